// Sparse matrices of `steelyard solve`, against a server that stores none.
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

}  // namespace
}  // namespace steelyard
