#include "client/src/matrix_codec.h"

#include <cstring>
#include <sstream>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/error_detail.h"
#include "tests/client/support/filled_message.h"

namespace steelyard::client {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 30;

std::string Describe(const absl::StatusOr<MatrixInfo>& info) {
  if (!info.ok()) return info.status().ToString();
  std::ostringstream out;
  out << info->name << " " << info->size_bytes << " " << info->crc32c << " "
      << info->create_time.time_since_epoch().count() << " ";
  if (const auto* dense = std::get_if<DenseLayout>(&info->layout)) {
    out << static_cast<int>(dense->type);
    for (const std::int64_t extent : dense->shape) out << " " << extent;
  } else {
    const auto& csr = std::get<CsrLayout>(info->layout);
    out << static_cast<int>(csr.type) << " " << csr.rows << " " << csr.columns
        << " " << csr.nonzeros;
  }
  return out.str();
}

std::string DescribeWire(const google::protobuf::Message& message) {
  return Describe(FromProto(dynamic_cast<const v1::Matrix&>(message)));
}

TEST(MatrixCodecTest, EveryFieldOfAMatrixIsRead) {
  v1::Matrix sparse;
  test::FillEveryField(&sparse);
  ASSERT_TRUE(sparse.has_csr());
  // A microsecond, which the clock can tell.
  sparse.mutable_create_time()->set_nanos(5000);
  EXPECT_THAT(test::UnreadFields(sparse, DescribeWire), testing::IsEmpty());
  v1::Matrix dense = sparse;
  test::FillEveryField(dense.mutable_dense());
  EXPECT_THAT(test::UnreadFields(dense, DescribeWire), testing::IsEmpty());
}

TEST(MatrixCodecTest, WhatIsNoMatrixIsInternal) {
  v1::Matrix wire;
  EXPECT_TRUE(absl::IsInternal(FromProto(wire).status()));
  wire.mutable_dense()->set_dtype(v1::DTYPE_INT64);
  EXPECT_TRUE(absl::IsInternal(FromProto(wire).status()));
}

TEST(MatrixCodecTest, EveryFieldOfAStatusIsRead) {
  v1::UploadStatus wire;
  test::FillEveryField(&wire);
  const UploadStatus status = FromProto(wire);
  EXPECT_EQ(status.committed_size, wire.committed_size());
  EXPECT_EQ(status.total_size, wire.total_size());
  EXPECT_EQ(status.complete, wire.complete());
}

TEST(MatrixCodecTest, EveryFieldOfAHeaderIsSet) {
  v1::UploadHeader dense;
  ToProto("a", DenseLayout{.type = ScalarType::kBFloat16, .shape = {2, 3}}, 7,
          &dense);
  EXPECT_THAT(test::UnsetFields(dense), testing::IsEmpty());
  EXPECT_EQ(dense.dense().dtype(), v1::DTYPE_BFLOAT16);
  EXPECT_THAT(dense.dense().shape(), testing::ElementsAre(2, 3));
  EXPECT_EQ(dense.crc32c(), 7U);
  v1::UploadHeader sparse;
  ToProto(
      "a",
      CsrLayout{
          .type = ScalarType::kFloat32, .rows = 4, .columns = 5, .nonzeros = 6},
      7, &sparse);
  EXPECT_THAT(test::UnsetFields(sparse), testing::IsEmpty());
  EXPECT_EQ(sparse.csr().rows(), 4);
  EXPECT_EQ(sparse.csr().columns(), 5);
  EXPECT_EQ(sparse.csr().nonzeros(), 6);
  EXPECT_EQ(sparse.csr().dtype(), v1::DTYPE_FLOAT32);
}

TEST(MatrixCodecTest, NamesAndIdsAreOne) {
  EXPECT_EQ(MatrixName("a"), "matrices/a");
  EXPECT_EQ(MatrixName("matrices/a"), "matrices/a");
  EXPECT_EQ(MatrixId("matrices/a"), "a");
  EXPECT_EQ(MatrixId("a"), "a");
}

TEST(MatrixCodecTest, EachSourceHasItsAlternative) {
  const std::vector<std::int64_t> offsets = {0, 1, 2};
  const std::vector<std::int32_t> indices = {0, 1};
  const std::vector<float> values = {1.0F, 2.0F};
  const CsrView csr(2, 2, offsets, indices, values);
  v1::MatrixInput input;
  ASSERT_TRUE(ToProto(MatrixSource(csr), "a", kMost, &input).ok());
  EXPECT_THAT(test::UnsetFields(input), testing::IsEmpty());
  EXPECT_EQ(input.csr().rows(), 2);
  EXPECT_EQ(input.csr().columns(), 2);
  EXPECT_EQ(input.csr().dtype(), v1::DTYPE_FLOAT32);
  ASSERT_EQ(input.csr().row_offsets().size(), 24U);
  EXPECT_EQ(0,
            std::memcmp(input.csr().row_offsets().data(), offsets.data(), 24));
  EXPECT_EQ(
      0, std::memcmp(input.csr().column_indices().data(), indices.data(), 8));
  EXPECT_EQ(0, std::memcmp(input.csr().values().data(), values.data(), 8));

  ASSERT_TRUE(
      ToProto(MatrixSource(StoredMatrix("a")), "a", kMost, &input).ok());
  EXPECT_EQ(input.matrix(), "matrices/a");
  ASSERT_TRUE(
      ToProto(DenseSource(StoredMatrix("matrices/b")), "keys", kMost, &input)
          .ok());
  EXPECT_EQ(input.matrix(), "matrices/b");
  ASSERT_TRUE(ToProto(MatrixSource(values, {1, 2}), "a", kMost, &input).ok());
  EXPECT_EQ(input.dense().shape(1), 2);
}

TEST(MatrixCodecTest, ErrorsAreNamedByTheirPath) {
  const std::vector<std::int64_t> offsets = {0, 1, 2};
  const std::vector<std::int32_t> indices = {0, 1};
  const std::vector<double> values = {1.0, 2.0};
  v1::MatrixInput input;
  const auto field_of = [&](const MatrixSource& source, std::int64_t most) {
    return DetailOf(ToProto(source, "a", most, &input))->field;
  };
  EXPECT_EQ(field_of(CsrView(3, 2, offsets, indices, values), kMost),
            "a.csr.row_offsets");
  EXPECT_EQ(field_of(CsrView(2, 2, offsets, indices, values), 47), "a.csr");
  EXPECT_EQ(field_of({values, {3}}, kMost), "a.dense");
  EXPECT_EQ(
      DetailOf(ToProto(DenseSource(values, {3}), "keys", kMost, &input))->field,
      "keys.dense");
}

}  // namespace
}  // namespace steelyard::client
