#include "client/cli/kernel_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace steelyard::cli {
namespace {

using client::KernelNormalization;
using client::Preconditioner;

Arguments Parsed(std::vector<std::string> words) {
  words.insert(words.begin(), {"a.npy", "b.npy"});
  const auto parsed = Arguments::Parse(*FindCommand("solve"), words);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return *parsed;
}

TEST(KernelFlagsTest, EveryFlagIsRead) {
  const client::AttentionKernel plain = KernelOf(Parsed({}));
  EXPECT_EQ(plain.scale, 1.0);
  EXPECT_EQ(plain.normalization, KernelNormalization::kNone);
  EXPECT_EQ(plain.preconditioner, Preconditioner::kAutomatic);
  EXPECT_FALSE(plain.preconditioner_rank.has_value());
  const client::AttentionKernel kernel = KernelOf(
      Parsed({"--scale=0.25", "--normalization=softmax-rows",
              "--preconditioner=rpcholesky", "--preconditioner-rank=64"}));
  EXPECT_EQ(kernel.scale, 0.25);
  EXPECT_EQ(kernel.normalization, KernelNormalization::kSoftmaxRows);
  EXPECT_EQ(kernel.preconditioner, Preconditioner::kRpCholesky);
  EXPECT_EQ(kernel.preconditioner_rank, 64);
}

TEST(KernelFlagsTest, EveryPreconditionerHasItsWord) {
  for (const FlagSpec& flag : KernelSolverFlags()) {
    if (flag.name != "preconditioner") continue;
    for (const std::string& word : flag.choices) {
      EXPECT_EQ(
          FlagNameOf(
              KernelOf(Parsed({"--preconditioner=" + word})).preconditioner),
          word);
    }
  }
}

TEST(KernelFlagsTest, FlagsThatDoNotGoTogetherAreRefused) {
  EXPECT_TRUE(CheckKernelFlags(Parsed({})).ok());
  EXPECT_TRUE(CheckKernelFlags(Parsed({"--preconditioner=polynomial-sketch",
                                       "--preconditioner-rank=8"}))
                  .ok());
  EXPECT_FALSE(CheckKernelFlags(Parsed({"--preconditioner-rank=8"})).ok());
  EXPECT_FALSE(CheckKernelFlags(Parsed({"--preconditioner=jacobi",
                                        "--preconditioner-rank=8"}))
                   .ok());
  EXPECT_FALSE(
      CheckKernelFlags(Parsed({"--preconditioner=jacobi", "--method=cholesky"}))
          .ok());
}

}  // namespace
}  // namespace steelyard::cli
