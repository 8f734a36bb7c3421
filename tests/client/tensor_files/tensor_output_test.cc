#include "client/tensor_files/tensor_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>

#include "client/tensor_files/file_layout.h"
#include "client/tensor_files/tensor_file.h"
#include "tests/client/tensor_files/scratch_file.h"

namespace steelyard::tensor_files {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Numbers of which no bit may be lost.
const std::vector<double> kNumbers = {0.1,
                                      -0.0,
                                      std::numeric_limits<double>::denorm_min(),
                                      std::numeric_limits<double>::max(),
                                      std::nextafter(1.0, 2.0),
                                      M_PI};

absl::StatusOr<StoredTensor> LoadText(const std::string& text) {
  const auto spec = ParseTensorSpec(text);
  if (!spec.ok()) return spec.status();
  return Load(*spec);
}

void ExpectSameBits(const std::vector<double>& a,
                    const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(double)), 0);
}

TEST(TensorOutputTest, NpyRoundTrip) {
  const test::ScratchFile file(".npy");
  ASSERT_TRUE(
      WriteArrays(file.path(), {NamedArray::Doubles("x", kNumbers, {2, 3})})
          .ok());
  const auto back = LoadText(file.path());
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_THAT(back->shape(), ElementsAre(2, 3));
  ExpectSameBits(back->Doubles(), kNumbers);
  // The data of the format starts at a multiple of 64.
  EXPECT_EQ((file.bytes().size() - 48) % 64, 0u);
}

TEST(TensorOutputTest, SafetensorsRoundTrip) {
  const test::ScratchFile file(".safetensors");
  const std::vector<NamedArray> arrays = {
      NamedArray::Integers("row_offsets", {0, 3, -5}, {3}),
      NamedArray::Doubles("x", kNumbers, {6}),
      NamedArray::Integers("none", {}, {0})};
  ASSERT_TRUE(
      WriteArrays(file.path(), arrays, {{"note", "a \"quoted\"\nline"}}).ok());
  const auto back = LoadText(file.path() + ":x");
  ASSERT_TRUE(back.ok()) << back.status();
  ExpectSameBits(back->Doubles(), kNumbers);
  const auto input = InputFile::Open(file.path());
  ASSERT_TRUE(input.ok());
  const auto layout = ReadSafetensorsLayout(*input);
  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_EQ(layout->entries.size(), 3u);
}

TEST(TensorOutputTest, IntegersAreInt64) {
  const test::ScratchFile file(".npy");
  ASSERT_TRUE(
      WriteArrays(file.path(), {NamedArray::Integers("i", {7, 9}, {2})}).ok());
  EXPECT_THAT(file.bytes(), HasSubstr("'descr': '<i8'"));
  EXPECT_THAT(file.bytes(), HasSubstr("'shape': (2,)"));
  EXPECT_EQ(file.bytes().substr(file.bytes().size() - 16),
            test::LittleEndian(7, 8) + test::LittleEndian(9, 8));
}

TEST(TensorOutputTest, PathsThatCannotHoldTheResultAreRefused) {
  EXPECT_TRUE(CheckOutputPath("x.npy", 1).ok());
  EXPECT_TRUE(CheckOutputPath("x.safetensors", 3).ok());
  EXPECT_THAT(std::string(CheckOutputPath("x.npy", 2).message()),
              HasSubstr("choose a name that ends in .safetensors"));
  EXPECT_THAT(std::string(CheckOutputPath("x.csv", 1).message()),
              HasSubstr("ends in .npy or .safetensors"));
}

TEST(TensorOutputTest, AFailedWriteLeavesNothingBehind) {
  const absl::Status status =
      WriteArrays("/nowhere/x.npy", {NamedArray::Doubles("x", kNumbers, {6})});
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("/nowhere/x.npy: cannot write"));
  // A folder in the way: the new file is made, and removed again.
  const test::ScratchFile folder(".npy");
  std::filesystem::create_directory(folder.path());
  EXPECT_FALSE(
      WriteArrays(folder.path(), {NamedArray::Doubles("x", kNumbers, {6})})
          .ok());
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(folder.path()).parent_path())) {
    EXPECT_NE(entry.path().string().substr(0, folder.path().size() + 1),
              folder.path() + ".");
  }
}

TEST(TensorOutputTest, AnArrayTooManyIsNotLost) {
  const test::ScratchFile file(".npy");
  const std::string beside = file.path() + ".safetensors";
  const auto x = NamedArray::Doubles("x", {1, 2}, {2});
  const auto exponents = NamedArray::Integers("x_exponents", {0, 3000}, {2});
  EXPECT_TRUE(WriteArraysOrBeside(file.path(), {x}).ok());
  const absl::Status told = WriteArraysOrBeside(file.path(), {x, exponents});
  EXPECT_TRUE(absl::IsFailedPrecondition(told));
  EXPECT_THAT(std::string(told.message()), ::testing::HasSubstr(beside));
  const auto spec = ParseTensorSpec(beside + ":x");
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(Load(*spec)->Doubles(), (std::vector<double>{1, 2}));
  EXPECT_THAT(**LoadIntegers(*spec, "x_exponents"),
              ::testing::ElementsAre(0, 3000));
  EXPECT_FALSE(LoadIntegers(*spec, "y_exponents")->has_value());
  // What is there, but of another type, is an error.
  EXPECT_TRUE(absl::IsInvalidArgument(LoadIntegers(*spec, "x").status()));
  EXPECT_FALSE(
      LoadIntegers(*ParseTensorSpec(file.path()), "x_exponents")->has_value());
  std::remove(beside.c_str());
}

}  // namespace
}  // namespace steelyard::tensor_files
