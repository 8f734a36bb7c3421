// Kernel regressions by the tool, from the solve to values at new rows, against
// a server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/tensor_files/tensor_file.h"
#include "client/tensor_files/tensor_output.h"
#include "tests/client/tensor_files/scratch_file.h"
#include "tests/end_to_end/run_steelyard.h"

namespace steelyard {
namespace {

using test::ExpectOneLine;
using test::Outcome;
using ::testing::HasSubstr;

class PredictCliTest : public test::ToolTest {
 protected:
  static void SetUpTestSuite() {
    folder_ = (std::filesystem::temp_directory_path() /
               ("steelyard-predict-" + std::to_string(::getpid())))
                  .string();
    std::filesystem::create_directories(folder_);
    server::ServerConfig config = test::TestConfig();
    config.matrix_directory = folder_;
    Start(config);
  }
  static void TearDownTestSuite() {
    ToolTest::TearDownTestSuite();
    std::filesystem::remove_all(folder_);
  }

  // 96 tokens of a head, and the next 32.
  static std::string Train() { return Tensor("layer3.queries[1,:96]"); }
  static std::string Fresh() { return Tensor("layer3.queries[1,96:128]"); }
  static std::string Targets() { return Tensor("layer3.values[1,:96,0:3]"); }

  // Flags of a solve of Train and Targets.
  static nlohmann::json Solve(const std::vector<std::string>& flags,
                              int code = 0) {
    std::vector<std::string> words = {"solve", Train(), Targets(),
                                      "--problem=attention-kernel"};
    words.insert(words.end(), flags.begin(), flags.end());
    return Json(words, code);
  }

  static inline std::string folder_;
};

TEST_F(PredictCliTest, ASolutionPredictsOfEveryNormalization) {
  for (const char* normalization : {"none", "unit-diagonal", "softmax-rows"}) {
    SCOPED_TRACE(normalization);
    const test::ScratchFile x(".npy");
    const std::string same = std::string("--normalization=") + normalization;
    const auto solved = Solve({"--scale=0.1", same, "--ridge=0.25", "--verify",
                               "--output=" + x.path()});
    EXPECT_TRUE(solved["verification"]["held"]);
    const auto fresh = Json({"predict", Train(), x.path(), Fresh(),
                             "--scale=0.1", same, "--verify"});
    EXPECT_TRUE(fresh["verification"]["held"])
        << fresh["verification"]["rules"].dump(1);
    EXPECT_EQ(fresh["y_shape"], (std::vector<int>{32, 3}));
    // At its own rows the regression leaves b - ridge x.
    const auto own =
        Json({"predict", Train(), x.path(), Train(), "--scale=0.1", same});
    const auto b =
        tensor_files::Load(*tensor_files::ParseTensorSpec(Targets()));
    ASSERT_TRUE(b.ok());
    const std::vector<double> targets = b->Doubles();
    double norm = 0.0;
    double off = 0.0;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const double left = targets[i] - 0.25 * solved["x"][i].get<double>();
      off += std::pow(own["y"][i].get<double>() - left, 2);
      norm += targets[i] * targets[i];
    }
    // The tolerance of a kernel, 1e-8, a column.
    EXPECT_LT(std::sqrt(off), 1e-8 * std::sqrt(norm));
  }
}

TEST_F(PredictCliTest, StoredMatricesGiveTheSameValues) {
  const test::ScratchFile x(".npy");
  const std::vector<std::string> kernel = {"--scale=0.1",
                                           "--normalization=unit-diagonal"};
  Json({"matrices", "upload", "train", Train()});
  Json({"matrices", "upload", "fresh", Fresh()});
  const auto with_kernel = [&](std::vector<std::string> words) {
    words.insert(words.end(), kernel.begin(), kernel.end());
    return Json(words);
  };
  const auto solve = [&] {
    return with_kernel({"solve", Targets(), "--matrix=train",
                        "--problem=attention-kernel", "--ridge=0.25",
                        "--output=" + x.path()});
  };
  EXPECT_EQ(solve()["factor_cache_hit"], false);
  EXPECT_EQ(solve()["factor_cache_hit"], true);
  const auto sent = with_kernel({"predict", Train(), x.path(), Fresh()});
  Json({"matrices", "upload", "x", x.path()});
  const auto stored = with_kernel(
      {"predict", "--matrix=train", "--x-matrix=x", "--queries-matrix=fresh"});
  EXPECT_EQ(stored["y"], sent["y"]);
  ExpectOneLine(Run({"predict", x.path(), Fresh(), "--matrix=nobody"}), 4);
}

TEST_F(PredictCliTest, EveryWayToIterateHolds) {
  std::vector<double> ridges(96);
  for (std::size_t i = 0; i < 96; ++i) {
    ridges[i] = 0.125 * static_cast<double>(i % 4);
  }
  const test::ScratchFile row_ridge(".npy");
  ASSERT_TRUE(tensor_files::WriteArrays(
                  row_ridge.path(),
                  {tensor_files::NamedArray::Doubles("l", ridges, {96})})
                  .ok());
  const std::vector<std::vector<std::string>> ways = {
      {},
      {"--method=cholesky"},
      {"--method=conjugate-gradient"},
      {"--method=conjugate-gradient", "--preconditioner=none"},
      {"--method=conjugate-gradient", "--preconditioner=jacobi"},
      {"--method=conjugate-gradient", "--preconditioner=rpcholesky",
       "--preconditioner-rank=24"},
      {"--method=conjugate-gradient", "--preconditioner=polynomial-sketch"},
      {"--method=block-coordinate"},
  };
  for (std::vector<std::string> flags : ways) {
    SCOPED_TRACE(testing::PrintToString(flags));
    flags.insert(
        flags.end(),
        {"--scale=0.1", "--normalization=unit-diagonal", "--ridge=0.0625",
         "--row-ridge=" + row_ridge.path(), "--verify", "--seed=3"});
    const auto json = Solve(flags);
    EXPECT_EQ(json["termination"], "CONVERGED") << json["method"];
    EXPECT_TRUE(json["verification"]["held"])
        << json["verification"]["rules"].dump(1);
  }
}

TEST_F(PredictCliTest, TrialsAreTold) {
  const std::vector<std::string> flags = {
      "--method=conjugate-gradient", "--scale=0.1",
      "--normalization=unit-diagonal", "--ridge=0.01"};
  const auto json = Solve(flags);
  EXPECT_GE(json["trials"].size(), 1U);
  std::vector<std::string> words = {"solve", Train(), Targets(),
                                    "--problem=attention-kernel"};
  words.insert(words.end(), flags.begin(), flags.end());
  EXPECT_THAT(Run(words).out, HasSubstr("Preconditioners tried"));
}

TEST_F(PredictCliTest, NonsenseIsOneLineAndTheRightCode) {
  const test::ScratchFile x(".npy");
  ASSERT_TRUE(
      tensor_files::WriteArrays(x.path(), {tensor_files::NamedArray::Doubles(
                                              "x", {1.0, std::nan("")}, {2})})
          .ok());
  const std::string two = Tensor("layer3.queries[1,:2]");
  const std::string vector = Tensor("layer3.values[1,:96,0]");
  const std::string kernel = "--problem=attention-kernel";
  const struct {
    std::vector<std::string> words;
    const char* part;
  } rows[] = {
      {{"predict", Train(), x.path(), Fresh()}, "WRONG_SHAPE"},
      {{"predict", two, x.path(), Fresh()}, "NOT_FINITE"},
      {{"predict", Train(), vector, Tensor("layer3.queries[1,:4,:7]")},
       "WRONG_SHAPE"},
      {{"predict", Train(), vector, Tensor("layer3.queries[1,0]")},
       "WRONG_SHAPE"},
      {{"solve", Train(), vector, kernel, "--row-ridge=" + x.path()},
       "row_ridge"},
      {{"solve", Train(), vector, kernel, "--method=conjugate-gradient",
        "--preconditioner=rpcholesky", "--preconditioner-rank=97"},
       "preconditioner_rank"},
      {{"solve", Tensor("layer3.keys[1]"), Tensor("layer3.values[1,0]"),
        "--problem=gram-power", "--method=block-coordinate"},
       "method"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.words));
    const Outcome outcome = Run(row.words);
    ExpectOneLine(outcome, 4);
    EXPECT_THAT(outcome.err, HasSubstr(row.part));
  }
}

}  // namespace
}  // namespace steelyard
