#include "server/convert/matrix_input.h"

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "steelyard/workers.h"
#include "tests/server/convert/fake_stored_matrix.h"
#include "tests/server/convert/sparse_requests.h"

namespace steelyard::server {
namespace {

const Limits kLimits;
const TensorRule kRule{.extents_max = 2, .cols_max = kLimits.columns_max};

class MatrixInputTest : public testing::Test {
 protected:
  absl::StatusOr<MatrixInput> Read(const v1::MatrixInput& proto) const {
    return MatrixFromProto(proto, "a", kRule, kLimits, matrices_.lookup());
  }
  absl::StatusOr<MatrixInput> ReadStored(const std::string& name) const {
    v1::MatrixInput proto;
    proto.set_matrix(name);
    return Read(proto);
  }

  test::FakeMatrices matrices_;
  const Workers workers_{1};
  const ComputeContext context_{workers_};
};

TEST_F(MatrixInputTest, ADenseMatrixIsItsTensor) {
  v1::MatrixInput proto;
  test::SetPlainTensor({10, 3}, proto.mutable_dense());
  const auto input = Read(proto);
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(input->rows(), 10);
  EXPECT_EQ(input->cols(), 3);
  EXPECT_EQ(input->nonzeros(), std::nullopt);
  EXPECT_EQ(input->csr(), nullptr);
  EXPECT_EQ(input->stored(), nullptr);
  EXPECT_EQ(input->Description(), "10x3 FLOAT64");
  const auto loaded = LoadedMatrix::Load(*input, context_);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(Rows((*loaded)->view()), 10);
  EXPECT_EQ(
      DetailOf(input->AtPath(NotFiniteError("a", 1, 0, 3, 0.0), "a"))->field,
      "a.dense.data");
}

TEST_F(MatrixInputTest, ASparseMatrixIsCheckedWhenItIsLoaded) {
  v1::MatrixInput proto;
  test::SetSparse(test::SparseNumbers(), proto.mutable_csr());
  const auto input = Read(proto);
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(input->nonzeros(), 16);
  const auto loaded = LoadedMatrix::Load(*input, context_);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(Nonzeros((*loaded)->view()), 16);
  EXPECT_EQ(
      DetailOf(input->AtPath(NotFiniteError("a", 1, 0, 3, 0.0), "a"))->field,
      "a.csr.values");

  // A column beyond the last.
  const std::int32_t column = 3;
  std::memcpy(proto.mutable_csr()->mutable_column_indices()->data(), &column,
              sizeof(column));
  const auto bad = Read(proto);
  ASSERT_TRUE(bad.ok()) << bad.status();
  const absl::Status status = LoadedMatrix::Load(*bad, context_).status();
  EXPECT_EQ(DetailOf(status)->reason, "WRONG_SHAPE");
  EXPECT_EQ(DetailOf(status)->field, "a.csr.column_indices[0]");
}

TEST_F(MatrixInputTest, AStoredMatrixIsHeldFromItsHeaderOn) {
  const test::SparseNumbers numbers;
  test::FakeStoredMatrix& stored = matrices_.Add(
      "sparse", test::SparseLayout(numbers), test::SparseBytes(numbers));
  const auto input = ReadStored("matrices/sparse");
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(stored.loads(), 0);
  matrices_.Delete("sparse");
  EXPECT_EQ(ReadStored("matrices/sparse").status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(input->nonzeros(), 16);
  EXPECT_EQ(input->copy_bytes(), 0);
  const auto loaded = LoadedMatrix::Load(*input, context_);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(input->stored()->info().id, "sparse");
  EXPECT_EQ(Cols((*loaded)->view()), 3);
}

TEST_F(MatrixInputTest, WhatCannotBeReadIsToldByLoad) {
  matrices_
      .Add("bad", {.rows = 2, .cols = 1}, test::BytesOf<double>({1.0, 2.0}))
      .FailLoads(absl::DataLossError("the bytes of matrices/bad changed"));
  const auto input = ReadStored("matrices/bad");
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(LoadedMatrix::Load(*input, context_).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(MatrixInputTest, AStoredMatrixMustBeWhatTheFieldTakes) {
  matrices_.Add("heads", {.extents = 3, .heads = 2, .rows = 5, .cols = 1},
                std::string(80, '\0'));
  absl::Status status = ReadStored("matrices/heads").status();
  EXPECT_EQ(DetailOf(status)->reason, "WRONG_SHAPE");
  EXPECT_EQ(DetailOf(status)->field, "a.matrix");

  for (const bool sparse : {false, true}) {
    matrices_.Add("wide", {.sparse = sparse, .rows = 1, .cols = 8193},
                  std::string(8193 * 8, '\0'));
    status = ReadStored("matrices/wide").status();
    EXPECT_EQ(DetailOf(status)->reason, "LIMIT_EXCEEDED");
    EXPECT_EQ(DetailOf(status)->field, "a.matrix");
  }
}

TEST_F(MatrixInputTest, ASourceIsRequired) {
  EXPECT_EQ(DetailOf(Read({}).status())->field, "a.dense");
}

}  // namespace
}  // namespace steelyard::server
