#include "client/tensor_files/tensor_spec.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace steelyard::tensor_files {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(TensorSpecTest, SplitsFileTensorAndSlices) {
  const auto spec = ParseTensorSpec("dir:x/m.safetensors:layer0.keys[3, 1:-2]");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->path, "dir:x/m.safetensors");
  EXPECT_EQ(spec->tensor, "layer0.keys");
  ASSERT_EQ(spec->slices.size(), 2u);
  EXPECT_TRUE(spec->slices[0].single);
  EXPECT_EQ(spec->slices[0].begin, 3);
  EXPECT_FALSE(spec->slices[1].single);
  EXPECT_EQ(spec->slices[1].begin, 1);
  EXPECT_EQ(spec->slices[1].end, -2);
}

TEST(TensorSpecTest, EndsMayBeLeftOut) {
  const auto spec = ParseTensorSpec("keys.npy[:4,2:,:]");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->path, "keys.npy");
  EXPECT_TRUE(spec->tensor.empty());
  EXPECT_EQ(spec->slices[0].begin, std::nullopt);
  EXPECT_EQ(spec->slices[0].end, 4);
  EXPECT_EQ(spec->slices[1].begin, 2);
  EXPECT_EQ(spec->slices[1].end, std::nullopt);
  EXPECT_EQ(spec->slices[2].end, std::nullopt);
}

TEST(TensorSpecTest, WhatIsNoSpecIsRefusedWithARule) {
  const struct {
    const char* text;
    const char* rule;
  } rows[] = {
      {"", "ends in .npy or .safetensors"},
      {"keys.txt", "ends in .npy or .safetensors"},
      {"keys.npy:name", "ends in .npy or .safetensors"},
      {"m.safetensors:", "name of a tensor is missing"},
      {"keys.npy[]", "slice is empty"},
      {"keys.npy[1,]", "slice is empty"},
      {"keys.npy[a]", "'a' in the slice is no number"},
      {"keys.npy[1:2:3]", "step"},
      {"keys.npy[99999999999999999999]", "is no number"},
      {"]", "']' without '['"},
  };
  for (const auto& row : rows) {
    const auto spec = ParseTensorSpec(row.text);
    ASSERT_FALSE(spec.ok()) << row.text;
    EXPECT_THAT(std::string(spec.status().message()), StartsWith(row.text));
    EXPECT_THAT(std::string(spec.status().message()), HasSubstr(row.rule));
  }
}

}  // namespace
}  // namespace steelyard::tensor_files
