// Sparse matrices and sketches of `steelyard solve`, and what the commands on
// stored matrices refuse, against a server that stores none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/tensor_files/tensor_output.h"
#include "tests/client/tensor_files/npz_file.h"
#include "tests/client/tensor_files/scratch_file.h"
#include "tests/end_to_end/run_steelyard.h"

namespace steelyard {
namespace {

using test::ExpectOneLine;
using test::Outcome;
using ::testing::HasSubstr;

class MatricesCliTest : public test::ToolTest {
 protected:
  MatricesCliTest() {
    test::NpzFile::Csr(6, 3, {0, 2, 3, 5, 6, 8, 9}, {0, 2, 1, 0, 1, 2, 0, 2, 1},
                       {4, 1, -2, 1, 3, 5, 2, -1, 1})
        .Write(sparse_.path());
    Write(dense_.path(),
          {4, 0, 1, 0, -2, 0, 1, 3, 0, 0, 0, 5, 2, 0, -1, 0, 1, 0}, {6, 3});
    Write(b_.path(), {1, 2, 3, 4, 5, 6}, {6});
  }

  static void Write(const std::string& path, std::vector<double> numbers,
                    std::vector<int64_t> shape) {
    ASSERT_TRUE(tensor_files::WriteArrays(
                    path, {tensor_files::NamedArray::Doubles(
                              "a", std::move(numbers), std::move(shape))})
                    .ok());
  }

  const test::ScratchFile sparse_{".npz"};
  const test::ScratchFile dense_{".npy"};
  const test::ScratchFile b_{".npy"};
};

TEST_F(MatricesCliTest, ASparseFileGivesTheAnswerOfTheDenseOne) {
  for (const char* exponent : {"0", "1"}) {
    const auto solve = [&](const std::string& a) {
      const auto json =
          Json({"solve", a, b_.path(), "--problem=left-gram-power",
                std::string("--exponent=") + exponent, "--verify"});
      EXPECT_EQ(json["termination"], "CONVERGED");
      EXPECT_EQ(json["factor_cache_hit"], false);
      EXPECT_TRUE(json["verification"]["held"])
          << json["verification"]["rules"].dump(1);
      return json["x"].get<std::vector<double>>();
    };
    const auto dense = solve(dense_.path());
    const auto sparse = solve(sparse_.path());
    ASSERT_EQ(sparse.size(), dense.size());
    for (std::size_t i = 0; i < dense.size(); ++i) {
      // kappa is below 3: u kappa^3 and some steps.
      EXPECT_NEAR(sparse[i], dense[i], 1e-13);
    }
  }
}

TEST_F(MatricesCliTest, NonsenseIsOneLineAndTheRightCode) {
  const std::string a = dense_.path();
  const std::string b = b_.path();
  const std::string left = "--problem=left-gram-power";
  const struct {
    std::vector<std::string> words;
    int code;
    const char* part;
  } rows[] = {
      {{"matrices", "uplod", "x", a}, 2, "did you mean 'upload'"},
      {{"matrices", "upload", "x"}, 2, "takes NAME FILE"},
      {{"matrices", "upload", "X", a}, 2, "no name of a matrix"},
      {{"matrices", "upload", "x", "none.npy"}, 3, "none.npy"},
      {{"matrices", "upload", "x", "none.npz"}, 3, "none.npz"},
      {{"matrices", "list", "x"}, 2, "takes no name"},
      {{"solve", "--matrix=A", b, left}, 2, "--matrix is 'A'"},
      {{"solve", a, left}, 2, "takes A and B"},
      {{"solve", a, b, "--matrix=dense", left}, 2, "--verify only"},
      {{"solve", b, "--matrix=dense", "--verify", left}, 2, "both files"},
      {{"solve", a, b, left, "--terms=3"}, 2, "--method=series"},
      {{"solve", a, b, left, "--method=qr", "--sketch=srht"}, 2, "--sketch"},
      {{"solve", a, b, "--problem=attention-kernel", "--sketch-rows=9"},
       2,
       "--sketch-rows"},
      {{"solve", sparse_.path(), b, "--problem=attention-kernel"},
       4,
       "INVALID_ARGUMENT"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.words));
    const Outcome outcome = Run(row.words);
    ExpectOneLine(outcome, row.code);
    EXPECT_THAT(outcome.err, HasSubstr(row.part));
  }
}

}  // namespace
}  // namespace steelyard
