#include "server/handlers/row_outbox.h"

#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

PredictedRows Rows(Index first, Index count) {
  return {.first = first, .y = Matrix<double>(count, 1)};
}

TEST(RowOutboxTest, GivesRowsInTheirOrderAndSaysWhenItIsFull) {
  RowOutbox outbox(40);
  EXPECT_TRUE(outbox.Put(Rows(0, 2)));
  EXPECT_TRUE(outbox.Put(Rows(2, 2)));
  // The rows that fill it are taken.
  EXPECT_FALSE(outbox.Put(Rows(4, 1)));
  for (const Index first : {0, 2, 4}) EXPECT_EQ(outbox.Take()->first, first);
  EXPECT_FALSE(outbox.Take().has_value());
  EXPECT_TRUE(outbox.Put(Rows(5, 4)));
}

TEST(RowOutboxTest, ExponentsCount) {
  RowOutbox outbox(40);
  PredictedRows rows = Rows(0, 4);
  rows.exponents = {1, 2, 3, 4};
  EXPECT_FALSE(outbox.Put(std::move(rows)));
}

}  // namespace
}  // namespace steelyard::server
