#include "server/convert/matrix_upload.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/checksum/crc32c.h"
#include "steelyard/matrix.h"
#include "steelyard/status.h"
#include "steelyard/workers.h"
#include "tests/server/convert/sparse_requests.h"

namespace steelyard::server {
namespace {

using testing::HasSubstr;

const Limits kLimits;

v1::UploadHeader DenseHeader() {
  v1::UploadHeader header;
  header.set_matrix_id("a");
  header.mutable_dense()->set_dtype(v1::DTYPE_FLOAT32);
  for (const std::int64_t extent : {2, 5, 3}) {
    header.mutable_dense()->add_shape(extent);
  }
  header.set_crc32c(17);
  return header;
}

v1::UploadHeader SparseHeader() {
  v1::UploadHeader header;
  header.set_matrix_id("a");
  header.mutable_csr()->set_dtype(v1::DTYPE_FLOAT16);
  header.mutable_csr()->set_rows(5);
  header.mutable_csr()->set_columns(3);
  header.mutable_csr()->set_nonzeros(15);
  return header;
}

TEST(MatrixUploadTest, AHeaderIsALayout) {
  const auto dense = UploadOrderFromProto(DenseHeader(), kLimits);
  ASSERT_TRUE(dense.ok()) << dense.status();
  EXPECT_EQ(dense->id, "a");
  EXPECT_EQ(dense->crc32c, 17u);
  EXPECT_EQ(dense->layout, (MatrixLayout{.type = StorageType::kFloat32,
                                         .extents = 3,
                                         .heads = 2,
                                         .rows = 5,
                                         .cols = 3}));
  EXPECT_EQ(DescriptionOf(dense->layout), "2x5x3 FLOAT32");
  const auto sparse = UploadOrderFromProto(SparseHeader(), kLimits);
  ASSERT_TRUE(sparse.ok()) << sparse.status();
  EXPECT_EQ(sparse->layout, (MatrixLayout{.type = StorageType::kFloat16,
                                          .sparse = true,
                                          .rows = 5,
                                          .cols = 3,
                                          .nonzeros = 15}));
  EXPECT_EQ(DescriptionOf(sparse->layout), "5x3 CSR of 15 FLOAT16");
}

struct HeaderCase {
  std::function<void(v1::UploadHeader&)> break_it;
  std::string reason;
  std::string field;
};

void ExpectRefused(const v1::UploadHeader& valid,
                   const std::vector<HeaderCase>& cases) {
  for (const HeaderCase& each : cases) {
    v1::UploadHeader header = valid;
    each.break_it(header);
    const absl::Status status = UploadOrderFromProto(header, kLimits).status();
    const ErrorDetail detail = DetailOf(status).value_or(ErrorDetail{});
    EXPECT_EQ(detail.reason, each.reason) << status;
    EXPECT_EQ(detail.field, each.field) << status;
  }
}

TEST(MatrixUploadTest, WrongDenseHeadersAreRefusedAtTheirField) {
  const auto shape = [](int at, std::int64_t extent) {
    return [=](v1::UploadHeader& header) {
      header.mutable_dense()->set_shape(at, extent);
    };
  };
  ExpectRefused(
      DenseHeader(),
      {{[](auto& h) { h.clear_matrix_id(); }, "FIELD_REQUIRED",
        "header.matrix_id"},
       {[](auto& h) { h.set_matrix_id("A"); }, "FIELD_OUT_OF_RANGE",
        "header.matrix_id"},
       {[](auto& h) { h.clear_layout(); }, "FIELD_REQUIRED", "header.layout"},
       {[](auto& h) { h.mutable_dense()->clear_dtype(); }, "FIELD_REQUIRED",
        "header.dense.dtype"},
       {[](auto& h) { h.mutable_dense()->set_dtype(v1::DTYPE_INT64); },
        "WRONG_DTYPE", "header.dense.dtype"},
       {[](auto& h) { h.mutable_dense()->clear_shape(); }, "WRONG_SHAPE",
        "header.dense.shape"},
       {[](auto& h) { h.mutable_dense()->add_shape(1); }, "WRONG_SHAPE",
        "header.dense.shape"},
       {shape(1, 0), "WRONG_SHAPE", "header.dense.shape[1]"},
       {shape(0, 4097), "LIMIT_EXCEEDED", "header.dense.shape[0]"},
       {shape(2, 8193), "LIMIT_EXCEEDED", "header.dense.shape[2]"},
       {shape(1, std::int64_t{1} << 60), "SHAPE_OVERFLOW",
        "header.dense.shape"},
       {shape(1, std::numeric_limits<std::int64_t>::max()), "SHAPE_OVERFLOW",
        "header.dense.shape"}});
}

TEST(MatrixUploadTest, WrongSparseHeadersAreRefusedAtTheirField) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  ExpectRefused(SparseHeader(),
                {{[](auto& h) { h.mutable_csr()->set_dtype(v1::DType(99)); },
                  "UNKNOWN_ENUM", "header.csr.dtype"},
                 {[](auto& h) { h.mutable_csr()->set_rows(0); }, "WRONG_SHAPE",
                  "header.csr.rows"},
                 {[](auto& h) { h.mutable_csr()->set_columns(-1); },
                  "WRONG_SHAPE", "header.csr.columns"},
                 {[](auto& h) { h.mutable_csr()->set_columns(8193); },
                  "LIMIT_EXCEEDED", "header.csr.columns"},
                 {[](auto& h) { h.mutable_csr()->set_nonzeros(16); },
                  "WRONG_SHAPE", "header.csr.nonzeros"},
                 {[](auto& h) { h.mutable_csr()->set_nonzeros(-1); },
                  "WRONG_SHAPE", "header.csr.nonzeros"},
                 {[](auto& h) { h.mutable_csr()->set_rows(kMax); },
                  "SHAPE_OVERFLOW", "header.csr.rows"},
                 {[](auto& h) {
                    h.mutable_csr()->set_rows(kMax / 64);
                    h.mutable_csr()->set_nonzeros(kMax / 22);
                  },
                  "SHAPE_OVERFLOW", "header.csr.nonzeros"}});
}

v1::UploadChunk Chunk(std::int64_t offset, const std::string& data) {
  v1::UploadChunk chunk;
  chunk.set_offset(offset);
  chunk.set_data(data);
  chunk.set_crc32c(Crc32c(data));
  return chunk;
}

TEST(MatrixUploadTest, AChunkIsTheNextBytes) {
  EXPECT_TRUE(CheckChunk(Chunk(5, "abc"), 5, 8, kLimits).ok());
  const auto refused = [](const v1::UploadChunk& chunk) {
    return DetailOf(CheckChunk(chunk, 5, 8, kLimits))->reason;
  };
  EXPECT_EQ(refused(Chunk(4, "abc")), "OFFSET_MISMATCH");
  EXPECT_EQ(refused(Chunk(-1, "abc")), "OFFSET_MISMATCH");
  EXPECT_EQ(refused(Chunk(5, "abcd")), "WRONG_SIZE");
  EXPECT_EQ(refused(Chunk(5, "")), "FIELD_REQUIRED");
  EXPECT_EQ(refused(Chunk(5, std::string((1 << 20) + 1, 'x'))),
            "LIMIT_EXCEEDED");
  v1::UploadChunk damaged = Chunk(5, "abc");
  damaged.set_crc32c(damaged.crc32c() ^ 1);
  EXPECT_EQ(refused(damaged), "CHECKSUM_MISMATCH");
  EXPECT_THAT(std::string(EndedEarlyError(5, 8).message()),
              HasSubstr("after 5 bytes; the matrix has 8"));
}

class CheckNumbersTest : public testing::Test {
 protected:
  absl::Status Check(const MatrixLayout& layout,
                     const std::string& bytes) const {
    AlignedVector<std::byte> aligned(bytes.size());
    std::memcpy(aligned.data(), bytes.data(), bytes.size());
    return CheckNumbers(layout, aligned.data(), {workers_});
  }
  const Workers workers_{1};
};

TEST_F(CheckNumbersTest, EveryTypeIsLookedAt) {
  // All bits set: a NaN in every type.
  for (const StorageType type :
       {StorageType::kFloat64, StorageType::kFloat32, StorageType::kFloat16,
        StorageType::kBFloat16}) {
    const MatrixLayout layout{.type = type, .rows = 4, .cols = 2};
    const auto size = static_cast<std::size_t>(layout.size());
    EXPECT_TRUE(Check(layout, std::string(size, '\0')).ok());
    std::string bytes(size, '\0');
    bytes.replace(size / 8 * 5, size / 8, size / 8, '\xFF');
    const absl::Status status = Check(layout, bytes);
    EXPECT_EQ(DetailOf(status)->reason, "NOT_FINITE");
    EXPECT_EQ(DetailOf(status)->field, "chunk.data");
    EXPECT_THAT(std::string(status.message()), HasSubstr("matrix[2,1]"));
  }
}

TEST_F(CheckNumbersTest, ASparseMatrixIsCheckedInAllItsParts) {
  const test::SparseNumbers valid;
  const MatrixLayout layout = test::SparseLayout(valid);
  EXPECT_TRUE(Check(layout, test::SparseBytes(valid)).ok());

  test::SparseNumbers numbers = valid;
  numbers.values[7] = INFINITY;
  EXPECT_EQ(DetailOf(Check(layout, test::SparseBytes(numbers)))->reason,
            "NOT_FINITE");
  numbers = valid;
  numbers.row_offsets[3] = 99;
  EXPECT_EQ(DetailOf(Check(layout, test::SparseBytes(numbers)))->reason,
            "WRONG_SHAPE");
  numbers = valid;
  numbers.column_indices[0] = -1;
  EXPECT_EQ(DetailOf(Check(layout, test::SparseBytes(numbers)))->field,
            "chunk.data");
  // 11 offsets, then zeros to the next multiple of 64.
  std::string bytes = test::SparseBytes(valid);
  bytes[11 * 8] = 1;
  EXPECT_THAT(std::string(Check(layout, bytes).message()),
              HasSubstr("byte 88"));
}

TEST_F(CheckNumbersTest, AMatrixWithoutEntriesIsOne) {
  const MatrixLayout layout{.sparse = true, .rows = 3, .cols = 2};
  EXPECT_TRUE(Check(layout, std::string(64, '\0')).ok());
}

}  // namespace
}  // namespace steelyard::server
