#include "client/tensor_files/row_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/tensor_files/tensor_output.h"
#include "tests/client/tensor_files/scratch_file.h"

namespace steelyard::tensor_files {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<double> Counted(std::size_t size) {
  std::vector<double> numbers(size);
  for (std::size_t i = 0; i < size; ++i) numbers[i] = static_cast<double>(i);
  return numbers;
}

TEST(RowReaderTest, RowsOfAMatrixBlockByBlock) {
  const test::ScratchFile file(".npy");
  ASSERT_TRUE(
      WriteArrays(file.path(), {NamedArray::Doubles("a", Counted(12), {6, 2})})
          .ok());
  const auto reader = RowReader::Open(file.path());
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->heads(), 1);
  EXPECT_EQ(reader->rows(), 6);
  EXPECT_EQ(reader->row_bytes(), 16);
  EXPECT_THAT(reader->Read(0, 2)->Doubles(), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(reader->Read(5, 1)->Doubles(), ElementsAre(10, 11));
  EXPECT_FALSE(reader->Read(5, 2).ok());
}

TEST(RowReaderTest, SlicesAreCounted) {
  const test::ScratchFile file(".npy");
  ASSERT_TRUE(
      WriteArrays(file.path(), {NamedArray::Doubles("a", Counted(12), {6, 2})})
          .ok());
  const auto tail = RowReader::Open(file.path() + "[-4:,1:]");
  ASSERT_TRUE(tail.ok()) << tail.status();
  EXPECT_EQ(tail->rows(), 4);
  EXPECT_THAT(tail->Read(0, 3)->Doubles(), ElementsAre(5, 7, 9));
  EXPECT_THAT(tail->Read(3, 1)->Doubles(), ElementsAre(11));
  EXPECT_THAT(RowReader::Open(file.path() + "[2:5]")->Read(1, 2)->Doubles(),
              ElementsAre(6, 7, 8, 9));
}

TEST(RowReaderTest, HeadsComeTogether) {
  const test::ScratchFile file(".safetensors");
  ASSERT_TRUE(WriteArrays(file.path(),
                          {NamedArray::Doubles("a", Counted(24), {3, 4, 2})})
                  .ok());
  const auto reader = RowReader::Open(file.path() + ":a[1:]");
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->heads(), 2);
  const auto block = reader->Read(1, 2);
  ASSERT_TRUE(block.ok()) << block.status();
  EXPECT_THAT(block->shape(), ElementsAre(2, 2, 2));
  EXPECT_THAT(block->Doubles(), ElementsAre(10, 11, 12, 13, 18, 19, 20, 21));
  // One head of several, then its rows.
  const auto head = RowReader::Open(file.path() + ":a[2]");
  EXPECT_THAT(head->Read(3, 1)->Doubles(), ElementsAre(22, 23));
}

TEST(RowReaderTest, VectorsAreNoRows) {
  const test::ScratchFile file(".npy");
  ASSERT_TRUE(
      WriteArrays(file.path(), {NamedArray::Doubles("a", {1, 2}, {2})}).ok());
  EXPECT_THAT(std::string(RowReader::Open(file.path()).status().message()),
              HasSubstr("neither n x d"));
  EXPECT_TRUE(absl::IsNotFound(RowReader::Open("none.npy").status()));
}

}  // namespace
}  // namespace steelyard::tensor_files
