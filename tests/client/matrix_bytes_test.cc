#include "client/src/matrix_bytes.h"

#include <Eigen/SparseCore>
#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/error_detail.h"
#include "steelyard/client/regression.h"

namespace steelyard::client {
namespace {

using SparseMatrix = Eigen::SparseMatrix<float, Eigen::RowMajor>;

std::string ReadInPieces(const MatrixBytes& bytes, std::int64_t piece) {
  std::string all;
  for (std::int64_t at = 0; at < bytes.size(); at += piece) {
    std::string part(
        static_cast<std::size_t>(std::min(piece, bytes.size() - at)), '?');
    EXPECT_TRUE(bytes.Read(at, part).ok());
    all += part;
  }
  return all;
}

template <typename T>
std::string BytesOf(const std::vector<T>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()),
          numbers.size() * sizeof(T)};
}

std::string PaddedTo64(std::string bytes) {
  bytes.resize((bytes.size() + 63) / 64 * 64, '\0');
  return bytes;
}

TEST(MatrixBytesTest, AnyStridesGiveRowMajorBytesFromAnyByteOn) {
  Eigen::MatrixXf columns(5, 3);
  std::vector<float> row_major;
  for (int i = 0; i < 5; ++i) {
    for (int j = 0; j < 3; ++j) {
      columns(i, j) = static_cast<float>(10 * i + j);
      row_major.push_back(columns(i, j));
    }
  }
  const RowMajorMatrix wide = columns.cast<double>();
  std::vector<float> block;
  for (int i = 1; i < 4; ++i) {
    for (int j = 1; j < 3; ++j) block.push_back(columns(i, j));
  }
  for (const std::int64_t piece : {1, 3, 4, 7, 12, 1000}) {
    EXPECT_EQ(ReadInPieces(*MatrixBytes::Of(TensorView(columns)), piece),
              BytesOf(row_major));
    EXPECT_EQ(
        ReadInPieces(*MatrixBytes::Of(TensorView(columns.block(1, 1, 3, 2))),
                     piece),
        BytesOf(block));
    EXPECT_EQ(ReadInPieces(*MatrixBytes::Of(TensorView(wide)), piece),
              BytesOf(std::vector<double>(row_major.begin(), row_major.end())));
  }
}

// What lies in one piece is not copied.
TEST(MatrixBytesTest, RowMajorNumbersAreSeenWhereTheyLie) {
  const RowMajorMatrix numbers = RowMajorMatrix::Random(4, 3);
  const auto bytes = MatrixBytes::Of(TensorView(numbers));
  const auto view = bytes->View(5, 20);
  EXPECT_EQ(view.data(), reinterpret_cast<const char*>(numbers.data()) + 5);
  EXPECT_EQ(view.size(), 20U);
  const Eigen::MatrixXd columns = numbers;
  EXPECT_TRUE(MatrixBytes::Of(TensorView(columns))->View(5, 20).empty());
}

TEST(MatrixBytesTest, LayoutsAreThoseOfTheNumbers) {
  const std::vector<Eigen::half> numbers(24);
  const auto heads = MatrixBytes::Of(TensorView(numbers, {2, 3, 4}));
  const auto& layout = std::get<DenseLayout>(heads->layout());
  EXPECT_EQ(layout.type, ScalarType::kFloat16);
  EXPECT_THAT(layout.shape, testing::ElementsAre(2, 3, 4));
  EXPECT_EQ(heads->size(), 48);
  const auto vector = MatrixBytes::Of(TensorView(numbers, {24}));
  EXPECT_THAT(std::get<DenseLayout>(vector->layout()).shape,
              testing::ElementsAre(24, 1));
}

TEST(MatrixBytesTest, SparseSectionsArePaddedTo64) {
  SparseMatrix matrix(4, 5);
  matrix.insert(0, 1) = 1.5F;
  matrix.insert(2, 0) = -2.0F;
  matrix.insert(2, 4) = 3.0F;
  matrix.makeCompressed();
  const std::string expected =
      PaddedTo64(BytesOf<std::int64_t>({0, 1, 1, 3, 3})) +
      PaddedTo64(BytesOf<std::int32_t>({1, 0, 4})) +
      PaddedTo64(BytesOf<float>({1.5F, -2.0F, 3.0F}));
  const std::vector<std::int64_t> offsets = {0, 1, 1, 3, 3};
  const std::vector<std::int32_t> indices = {1, 0, 4};
  const std::vector<float> values = {1.5F, -2.0F, 3.0F};
  for (const std::int64_t piece : {1, 5, 63, 64, 65, 1000}) {
    EXPECT_EQ(ReadInPieces(*MatrixBytes::Of(CsrView(matrix)), piece), expected);
    EXPECT_EQ(
        ReadInPieces(*MatrixBytes::Of(CsrView(4, 5, offsets, indices, values)),
                     piece),
        expected);
  }
  const auto layout =
      std::get<CsrLayout>(MatrixBytes::Of(CsrView(matrix))->layout());
  EXPECT_EQ(layout.type, ScalarType::kFloat32);
  EXPECT_EQ(layout.rows, 4);
  EXPECT_EQ(layout.columns, 5);
  EXPECT_EQ(layout.nonzeros, 3);
}

TEST(MatrixBytesTest, AMatrixWithoutEntriesIsOne) {
  const std::vector<std::int64_t> offsets = {0, 0, 0};
  const auto bytes = MatrixBytes::Of(CsrView(
      2, 3, offsets, std::vector<std::int32_t>{}, std::vector<double>{}));
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(ReadInPieces(*bytes, 10), std::string(64, '\0'));
}

TEST(MatrixBytesTest, ArraysThatDoNotFitAreNamed) {
  const std::vector<std::int64_t> offsets = {0, 1, 2};
  const std::vector<std::int32_t> indices = {0, 1};
  const std::vector<double> values = {1.0, 2.0};
  const auto field_of = [](const CsrView& view) {
    const absl::Status status = CheckCsr(view, "a.csr");
    return status.ok() ? "" : DetailOf(status)->field;
  };
  EXPECT_EQ(field_of(CsrView(2, 2, offsets, indices, values)), "");
  EXPECT_EQ(field_of(CsrView(0, 2, offsets, indices, values)), "a.csr.rows");
  EXPECT_EQ(field_of(CsrView(2, 0, offsets, indices, values)), "a.csr.columns");
  EXPECT_EQ(field_of(CsrView(3, 2, offsets, indices, values)),
            "a.csr.row_offsets");
  EXPECT_EQ(field_of(CsrView(2, 2, offsets, indices, std::vector<double>(3))),
            "a.csr.row_offsets");
  EXPECT_EQ(
      field_of(CsrView(2, 2, offsets, std::vector<std::int32_t>{1}, values)),
      "a.csr.column_indices");
  const std::vector<std::int64_t> late = {1, 1, 2};
  EXPECT_EQ(field_of(CsrView(2, 2, late, indices, values)),
            "a.csr.row_offsets");
  SparseMatrix loose(2, 2);
  loose.insert(0, 0) = 1.0F;
  EXPECT_EQ(field_of(CsrView(loose)), "a.csr.row_offsets");
}

TEST(MatrixBytesTest, FeedsAreCheckedBeforeTheyAreRead) {
  const auto reason_of = [](const MatrixLayout& layout, bool reads = true) {
    MatrixFeed feed{.layout = layout, .read = {}};
    if (reads) feed.read = [](auto, auto) { return absl::OkStatus(); };
    const auto bytes = MatrixBytes::Of(feed);
    return bytes.ok() ? "" : DetailOf(bytes.status())->reason;
  };
  const auto dense = [](std::vector<std::int64_t> shape) {
    return DenseLayout{.type = ScalarType::kFloat64, .shape = std::move(shape)};
  };
  EXPECT_EQ(reason_of(dense({2, 3})), "");
  EXPECT_EQ(reason_of(dense({2, 3}), false), "FIELD_REQUIRED");
  EXPECT_EQ(reason_of(dense({2})), "WRONG_SHAPE");
  EXPECT_EQ(reason_of(dense({2, 0})), "FIELD_OUT_OF_RANGE");
  EXPECT_EQ(reason_of(dense({std::int64_t{1} << 40, std::int64_t{1} << 40})),
            "SHAPE_OVERFLOW");
  EXPECT_EQ(reason_of(CsrLayout{.rows = 1, .columns = 1}), "");
  EXPECT_EQ(reason_of(CsrLayout{.rows = 0, .columns = 1}),
            "FIELD_OUT_OF_RANGE");
  EXPECT_EQ(reason_of(CsrLayout{
                .rows = 1, .columns = 1, .nonzeros = std::int64_t{1} << 62}),
            "SHAPE_OVERFLOW");
}

}  // namespace
}  // namespace steelyard::client
