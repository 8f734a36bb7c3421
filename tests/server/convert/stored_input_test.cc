#include "server/convert/stored_input.h"

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/fake_stored_matrix.h"

namespace steelyard::server {
namespace {

TEST(StoredInputTest, NamesLeadToMatrices) {
  test::FakeMatrices matrices;
  matrices.Add("layer-7", {.rows = 1, .cols = 1}, std::string(8, '\0'));
  const auto held = HeldMatrix(matrices.lookup(), "matrices/layer-7", "a");
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_EQ((*held)->info().id, "layer-7");
  EXPECT_EQ(MatrixName("layer-7"), "matrices/layer-7");
  EXPECT_EQ(*MatrixIdOf("matrices/layer-7", "name"), "layer-7");
}

TEST(StoredInputTest, UnknownNamesAreNotFoundAndOthersAreNoNames) {
  const test::FakeMatrices none;
  for (const MatrixLookup& lookup : {none.lookup(), MatrixLookup()}) {
    const absl::Status status =
        HeldMatrix(lookup, "matrices/gone", "a.matrix").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_NE(status.message().find("matrices/gone"), std::string::npos);
    EXPECT_EQ(
        DetailOf(HeldMatrix(lookup, "universalSets/gone", "a.matrix").status())
            ->field,
        "a.matrix");
    EXPECT_EQ(DetailOf(HeldMatrix(lookup, "", "a.matrix").status())->reason,
              "FIELD_REQUIRED");
  }
}

}  // namespace
}  // namespace steelyard::server
