#include "server/convert/key_heads.h"

#include <cmath>

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::server {
namespace {

const Limits kLimits;

using Numbers = google::protobuf::RepeatedField<std::int64_t>;

Numbers List(std::initializer_list<std::int64_t> numbers) {
  return Numbers(numbers.begin(), numbers.end());
}

// 3 heads of 10 keys of 2 columns.
v1::MatrixInput ThreeHeads() {
  v1::MatrixInput input;
  test::SetPlainTensor({3, 10, 2}, input.mutable_dense());
  return input;
}

TEST(KeyHeadsTest, KeysAreRequired) {
  const absl::Status status = KeysFromProto(false, {}, kLimits).status();
  EXPECT_EQ(DetailOf(status)->reason, "FIELD_REQUIRED");
  EXPECT_EQ(DetailOf(status)->field, "keys");
}

TEST(KeyHeadsTest, LengthsAreOneAHeadAndWithinTheKeys) {
  const v1::MatrixInput input = ThreeHeads();
  const auto keys = KeysFromProto(true, input, kLimits);
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(LengthsFromProto({}, *keys).value(), Lengths{});
  EXPECT_EQ(LengthsFromProto(List({1, 10, 4}), *keys).value(),
            (Lengths{1, 10, 4}));

  const absl::Status few = LengthsFromProto(List({1, 10}), *keys).status();
  EXPECT_EQ(DetailOf(few)->reason, "WRONG_SHAPE");
  EXPECT_EQ(few.message(),
            "lengths has 2 numbers; keys have 3 heads, and each head has one "
            "length");
  for (const std::int64_t length : {0, -1, 11}) {
    const absl::Status status =
        LengthsFromProto(List({1, length, 4}), *keys).status();
    EXPECT_EQ(DetailOf(status)->reason, "FIELD_OUT_OF_RANGE");
    EXPECT_EQ(DetailOf(status)->field, "lengths[1]");
  }
}

TEST(KeyHeadsTest, PaddingIsNotInTheViews) {
  const v1::MatrixInput input = ThreeHeads();
  const auto keys = KeysFromProto(true, input, kLimits);
  ASSERT_TRUE(keys.ok()) << keys.status();
  const TensorMatrices matrices(*keys);
  EXPECT_EQ(Rows(ValidRows(matrices, {})[2]), 10);
  const auto heads = ValidRows(matrices, {1, 10, 4});
  ASSERT_EQ(heads.size(), 3u);
  EXPECT_EQ(Rows(heads[0]), 1);
  EXPECT_EQ(Rows(heads[1]), 10);
  EXPECT_EQ(Rows(heads[2]), 4);
  EXPECT_EQ(std::get<MatrixView<double>>(heads[2]).data(),
            std::get<MatrixView<double>>(matrices.heads()[2]).data());
}

TEST(KeyHeadsTest, AnErrorNamesThePlaceInTheTensorThatCoreDidNotSee) {
  v1::MatrixInput input = ThreeHeads();
  test::WriteByHand(input.mutable_dense());
  const auto keys = KeysFromProto(true, input, kLimits);
  ASSERT_TRUE(keys.ok()) << keys.status();
  // Row 12 of 1 + 10 + 4 valid rows is row 1 of head 2.
  const absl::Status core = NotFiniteError("keys", 12, 1, 2, std::nan(""));

  const absl::Status ragged = AtTensor(core, "keys", *keys, {1, 10, 4});
  EXPECT_EQ(DetailOf(ragged)->metadata.at("index"), "43");
  EXPECT_EQ(DetailOf(ragged)->field, "keys.dense.values[43]");
  EXPECT_EQ(ragged.message(), "keys[21,1] is nan; every number must be finite");

  const absl::Status full = AtTensor(core, "keys", *keys);
  EXPECT_EQ(DetailOf(full)->metadata.at("index"), "25");
  EXPECT_EQ(full.message(), core.message());

  EXPECT_EQ(AtTensor(core, "values", *keys), core);
  const absl::Status other = absl::CancelledError("gone");
  EXPECT_EQ(AtTensor(other, "keys", *keys), other);
}

}  // namespace
}  // namespace steelyard::server
