#include "client/tensor_files/tensor_file.h"

#include <cstring>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/tensor_files/scratch_file.h"
#include "tests/support/source_paths.h"

namespace steelyard::tensor_files {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Bytes(const std::vector<double>& values) {
  return {reinterpret_cast<const char*>(values.data()),
          values.size() * sizeof(double)};
}

// 0, 1, ..., count - 1.
std::vector<double> Counting(int count) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(i);
  return values;
}

absl::StatusOr<StoredTensor> LoadText(const std::string& text) {
  const auto spec = ParseTensorSpec(text);
  if (!spec.ok()) return spec.status();
  return Load(*spec);
}

class NpyFileTest : public testing::Test {
 protected:
  // 2 x 3 x 4 of 0, 1, ..., in the order of the file.
  const test::ScratchFile rows_{
      ".npy",
      test::NpyBytes(
          1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3, 4), }",
          Bytes(Counting(24)))};
  const test::ScratchFile columns_{
      ".npy",
      test::NpyBytes(
          1, "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }",
          Bytes(Counting(6)))};
};

TEST_F(NpyFileTest, WholeFile) {
  const auto tensor = LoadText(rows_.path());
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_THAT(tensor->shape(), ElementsAre(2, 3, 4));
  EXPECT_EQ(tensor->Doubles(), Counting(24));
}

TEST_F(NpyFileTest, OneHead) {
  const auto tensor = LoadText(rows_.path() + "[1]");
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_THAT(tensor->shape(), ElementsAre(3, 4));
  EXPECT_EQ(tensor->Doubles().front(), 12.0);
  EXPECT_EQ(tensor->Doubles().back(), 23.0);
}

TEST_F(NpyFileTest, SlicesOfEveryAxis) {
  const auto tensor = LoadText(rows_.path() + "[:, 1:3, -2]");
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_THAT(tensor->shape(), ElementsAre(2, 2));
  EXPECT_THAT(tensor->Doubles(), ElementsAre(6, 10, 18, 22));
}

TEST_F(NpyFileTest, ColumnMajorIsTransposed) {
  const auto whole = LoadText(columns_.path());
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_THAT(whole->shape(), ElementsAre(2, 3));
  EXPECT_THAT(whole->Doubles(), ElementsAre(0, 2, 4, 1, 3, 5));
  const auto column = LoadText(columns_.path() + "[:,1]");
  ASSERT_TRUE(column.ok()) << column.status();
  EXPECT_THAT(column->Doubles(), ElementsAre(2, 3));
}

TEST_F(NpyFileTest, SlicesOutsideTheShapeAreRefused) {
  const struct {
    const char* slice;
    const char* rule;
  } rows[] = {
      {"[2]", "slice of axis 0 must lie within 0:2"},
      {"[-3]", "slice of axis 0 must lie within 0:2"},
      {"[9223372036854775807]", "within 0:2"},
      {"[-9223372036854775808]", "within 0:2"},
      {"[0:3]", "within 0:2"},
      {"[1:1]", "within 0:2"},
      {"[0,2:1]", "slice of axis 1 must lie within 0:3"},
      {"[0,0,0,0]", "4 slices, but only 3 axes"},
      {"[0,0,0]", "leaves a single number"},
  };
  for (const auto& row : rows) {
    const auto tensor = LoadText(rows_.path() + row.slice);
    ASSERT_FALSE(tensor.ok()) << row.slice;
    EXPECT_THAT(std::string(tensor.status().message()), HasSubstr(row.rule));
  }
}

TEST_F(NpyFileTest, DescribeReadsTheHeaderOnly) {
  const auto spec = ParseTensorSpec(rows_.path() + "[0:1]");
  ASSERT_TRUE(spec.ok());
  const auto info = Describe(*spec);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->text(), "float64 [1, 3, 4]");
  EXPECT_EQ(info->bytes(), 96);
}

TEST(TensorFileTest, ExtentsOfZeroAndScalarsAreRefused) {
  const test::ScratchFile empty(
      ".npy",
      test::NpyBytes(
          1, "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 3), }",
          ""));
  EXPECT_THAT(std::string(LoadText(empty.path()).status().message()),
              HasSubstr("has an extent of 0"));
  const test::ScratchFile scalar(
      ".npy", test::NpyBytes(
                  1, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }",
                  std::string(8, '\0')));
  EXPECT_THAT(std::string(LoadText(scalar.path()).status().message()),
              HasSubstr("single number"));
}

TEST(TensorFileTest, ChoosesATensorByNameOrSaysWhatThereIs) {
  const test::ScratchFile file(
      ".safetensors",
      test::SafetensorsBytes(
          R"({"a":{"dtype":"F64","shape":[2],"data_offsets":[0,16]},)"
          R"("b":{"dtype":"F64","shape":[1],"data_offsets":[16,24]},)"
          R"("c":{"dtype":"I64","shape":[1],"data_offsets":[24,32]}})",
          Bytes({1, 2, 3, 4})));
  const auto b = LoadText(file.path() + ":b");
  ASSERT_TRUE(b.ok()) << b.status();
  EXPECT_THAT(b->Doubles(), ElementsAre(3.0));
  EXPECT_THAT(std::string(LoadText(file.path()).status().message()),
              HasSubstr("choose one, FILE.safetensors:NAME, of: a, b, c"));
  const auto none = LoadText(file.path() + ":d");
  EXPECT_EQ(none.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("a, b, c"));
  EXPECT_THAT(std::string(LoadText(file.path() + ":c").status().message()),
              HasSubstr("element type is I64"));
}

TEST(TensorFileTest, AReaderGivesAnyBytesOfAnySlice) {
  const test::ScratchFile file(
      ".safetensors",
      test::SafetensorsBytes(
          R"({"a":{"dtype":"F64","shape":[4,3],"data_offsets":[0,96]}})",
          Bytes(Counting(12))));
  // Rows lie together in the file, columns do not.
  for (const char* slice : {"", "[1:3]", "[:,1]", "[1:3,0:2]", "[2]"}) {
    const auto spec = ParseTensorSpec(file.path() + ":a" + slice);
    ASSERT_TRUE(spec.ok()) << spec.status();
    const auto whole = Load(*spec);
    const auto reader = TensorReader::Open(*spec);
    ASSERT_TRUE(whole.ok() && reader.ok()) << reader.status();
    EXPECT_EQ(reader->info().text(), whole->info().text());
    for (const std::size_t piece : {1, 5, 8, 1000}) {
      std::string bytes;
      const auto total = static_cast<std::size_t>(whole->info().bytes());
      for (std::size_t at = 0; at < total; at += piece) {
        std::string part(std::min(piece, total - at), '?');
        ASSERT_TRUE(reader
                        ->Read(static_cast<int64_t>(at),
                               absl::MakeSpan(part.data(), part.size()))
                        .ok());
        bytes += part;
      }
      EXPECT_EQ(bytes, std::string(whole->bytes().data(), total)) << slice;
    }
  }
  EXPECT_TRUE(absl::IsNotFound(
      TensorReader::Open(*ParseTensorSpec("none.npy")).status()));
}

TEST(TensorFileTest, ReadsTheFixture) {
  const auto keys =
      LoadText(test::SourcePath("tests/data/minilm_qkv.safetensors") +
               ":layer3.keys[11]");
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->info().text(), "float16 [512, 32]");
}

}  // namespace
}  // namespace steelyard::tensor_files
