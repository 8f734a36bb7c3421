#include "client/src/predict_stream.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace steelyard::client {
namespace {

using testing::ElementsAre;

// Rows of two numbers, the first its place among all.
v1::PredictResponse Rows(std::int64_t offset, std::int64_t first, int count) {
  v1::PredictResponse response;
  response.set_offset(offset);
  response.mutable_y()->set_dtype(v1::DTYPE_FLOAT64);
  response.mutable_y()->add_shape(count);
  response.mutable_y()->add_shape(2);
  for (int i = 0; i < count; ++i) {
    const double row[] = {static_cast<double>(first + i), 0.5};
    response.mutable_y()->mutable_data()->append(
        reinterpret_cast<const char*>(row), sizeof(row));
  }
  return response;
}

class PredictStreamTest : public testing::Test {
 protected:
  absl::Status Add(v1::PredictResponse response) {
    return stream_.Add(&response);
  }

  std::vector<std::int64_t> firsts_;
  std::vector<double> column_;
  std::vector<std::int32_t> exponents_;
  PredictStream stream_{7,
                        [this](std::int64_t first_row, const Prediction& part) {
                          firsts_.push_back(first_row);
                          for (Eigen::Index i = 0; i < part.y.rows(); ++i) {
                            column_.push_back(part.y(i, 0));
                          }
                          exponents_ = part.y_exponents;
                        }};
};

TEST_F(PredictStreamTest, RowsComeInOrder) {
  stream_.Begin(0);
  EXPECT_TRUE(Add(Rows(0, 0, 3)).ok());
  EXPECT_TRUE(absl::IsInternal(stream_.Finish()));
  EXPECT_TRUE(Add(Rows(3, 3, 4)).ok());
  EXPECT_TRUE(stream_.Finish().ok());
  EXPECT_THAT(firsts_, ElementsAre(0, 3));
  EXPECT_THAT(column_, ElementsAre(0, 1, 2, 3, 4, 5, 6));
}

TEST_F(PredictStreamTest, AnAttemptGoesOnWhereTheLastOneEnded) {
  stream_.Begin(0);
  EXPECT_TRUE(Add(Rows(0, 0, 3)).ok());
  stream_.Begin(stream_.next_row());
  EXPECT_TRUE(Add(Rows(0, 3, 4)).ok());
  EXPECT_TRUE(stream_.Finish().ok());
  EXPECT_THAT(firsts_, ElementsAre(0, 3));
  EXPECT_THAT(column_, ElementsAre(0, 1, 2, 3, 4, 5, 6));
}

TEST_F(PredictStreamTest, AnAttemptFromTheStartGivesNoRowTwice) {
  stream_.Begin(0);
  EXPECT_TRUE(Add(Rows(0, 0, 3)).ok());
  stream_.Begin(0);
  EXPECT_TRUE(Add(Rows(0, 0, 2)).ok());
  v1::PredictResponse rest = Rows(2, 2, 5);
  for (int i = 0; i < 10; ++i) rest.add_y_exponents(i);
  EXPECT_TRUE(Add(rest).ok());
  EXPECT_TRUE(stream_.Finish().ok());
  EXPECT_THAT(firsts_, ElementsAre(0, 3));
  EXPECT_THAT(column_, ElementsAre(0, 1, 2, 3, 4, 5, 6));
  // Those of the rows that were new.
  EXPECT_THAT(exponents_, ElementsAre(2, 3, 4, 5, 6, 7, 8, 9));
}

TEST_F(PredictStreamTest, AnswersThatBreakTheContractAreNoticed) {
  stream_.Begin(0);
  EXPECT_TRUE(Add(Rows(0, 0, 2)).ok());
  EXPECT_TRUE(absl::IsInternal(Add(Rows(3, 3, 1))));  // A gap.
  EXPECT_TRUE(absl::IsInternal(Add(Rows(0, 0, 1))));  // Once more.
  EXPECT_TRUE(absl::IsInternal(Add(Rows(2, 2, 6))));  // Too many.
  v1::PredictResponse narrow = Rows(2, 2, 2);
  narrow.mutable_y()->set_shape(0, 4);
  narrow.mutable_y()->set_shape(1, 1);
  EXPECT_TRUE(absl::IsInternal(Add(narrow)));
  v1::PredictResponse exponents = Rows(2, 2, 2);
  exponents.add_y_exponents(1);
  EXPECT_TRUE(absl::IsInternal(Add(exponents)));
  v1::PredictResponse none;
  none.set_offset(2);
  EXPECT_TRUE(absl::IsInternal(Add(none)));
  EXPECT_TRUE(Add(Rows(2, 2, 5)).ok());
  EXPECT_TRUE(stream_.Finish().ok());
}

TEST(GatheredPredictionTest, ExponentsOfOnePartStandBesideTheOthers) {
  GatheredPrediction whole(3);
  whole.Add(0, {.y = RowMajorMatrix::Constant(2, 2, 1.0), .y_exponents = {}});
  whole.Add(
      2, {.y = RowMajorMatrix::Constant(1, 2, 0.5), .y_exponents = {2000, -7}});
  const Prediction prediction = std::move(whole).Take();
  EXPECT_EQ(prediction.y.sum(), 5.0);
  EXPECT_THAT(prediction.y_exponents, ElementsAre(0, 0, 0, 0, 2000, -7));
}

}  // namespace
}  // namespace steelyard::client
