#include "server/convert/matrix_resource.h"

#include <chrono>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/convert/field_coverage.h"

namespace steelyard::server {
namespace {

MatrixInfo Info(const std::string& id, const MatrixLayout& layout) {
  return {.id = id,
          .layout = layout,
          .crc32c = 0x89abcdefu,
          .create_time = std::chrono::system_clock::time_point(
              std::chrono::microseconds(1'500'000))};
}

TEST(MatrixResourceTest, EveryFieldOfAMatrixIsFilled) {
  v1::Matrix dense, heads, sparse;
  ToProto(Info("a", {.type = StorageType::kFloat32, .rows = 5, .cols = 3}),
          &dense);
  ToProto(Info("b", {.type = StorageType::kFloat16,
                     .extents = 3,
                     .heads = 2,
                     .rows = 5,
                     .cols = 3}),
          &heads);
  ToProto(Info("c", {.type = StorageType::kBFloat16,
                     .sparse = true,
                     .rows = 5,
                     .cols = 3,
                     .nonzeros = 4}),
          &sparse);
  EXPECT_THAT(test::UnsetFields(std::vector{dense, heads, sparse}),
              testing::IsEmpty());
  EXPECT_EQ(dense.name(), "matrices/a");
  EXPECT_EQ(dense.dense().dtype(), v1::DTYPE_FLOAT32);
  EXPECT_THAT(dense.dense().shape(), testing::ElementsAre(5, 3));
  EXPECT_EQ(dense.size_bytes(), 60);
  EXPECT_EQ(dense.crc32c(), 0x89abcdefu);
  EXPECT_EQ(dense.create_time().seconds(), 1);
  EXPECT_EQ(dense.create_time().nanos(), 500'000'000);
  EXPECT_THAT(heads.dense().shape(), testing::ElementsAre(2, 5, 3));
  EXPECT_EQ(heads.dense().dtype(), v1::DTYPE_FLOAT16);
  EXPECT_EQ(sparse.csr().dtype(), v1::DTYPE_BFLOAT16);
  EXPECT_EQ(sparse.csr().rows(), 5);
  EXPECT_EQ(sparse.csr().columns(), 3);
  EXPECT_EQ(sparse.csr().nonzeros(), 4);
  EXPECT_EQ(sparse.size_bytes(), 3 * 64);
}

TEST(MatrixResourceTest, EveryFieldOfAnUploadIsFilled) {
  v1::UploadStatus status;
  ToProto(UploadState{.committed = 7, .total = 9, .complete = true}, &status);
  EXPECT_THAT(test::UnsetFields(std::vector{status}), testing::IsEmpty());
  EXPECT_EQ(status.committed_size(), 7);
  EXPECT_EQ(status.total_size(), 9);
}

TEST(MatrixResourceTest, APageNamesTheNextOneWhereThereIsOne) {
  const std::vector<MatrixInfo> infos = {Info("a", {}), Info("b", {}),
                                         Info("c", {})};
  v1::ListMatricesResponse page;
  ToProto(infos, {.after = "", .size = 2}, &page);
  EXPECT_EQ(page.matrices_size(), 2);
  EXPECT_EQ(PageRequestOf(2, page.next_page_token())->after, "b");
  v1::ListMatricesResponse last;
  ToProto(infos, {.after = "", .size = 3}, &last);
  EXPECT_EQ(last.matrices_size(), 3);
  EXPECT_EQ(last.next_page_token(), "");
}

}  // namespace
}  // namespace steelyard::server
