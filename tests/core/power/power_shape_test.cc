#include "power/power_shape.h"

#include <gtest/gtest.h>

#include "factor/factor.h"
#include "power/residual_pass.h"
#include "sparse/csr_factor.h"

namespace steelyard::test {
namespace {

TEST(PowerShapeTest, ADenseMatrixCostsWhatItsPartsSay) {
  const PowerShape shape{.n = 1000, .d = 50, .k = 3};
  EXPECT_EQ(CostOfFactor(shape, {}, 2).bytes, CostOfFactor(1000, 50, 2).bytes);
  EXPECT_EQ(BytesOfPass(shape, 3, 2), BytesOfPass(1000, 50, 3, 2));
  EXPECT_EQ(EntriesOf(shape), 50000.0);
}

TEST(PowerShapeTest, ASparseMatrixIsNotTakenForADenseOne) {
  const PowerShape shape{.n = 1000000, .d = 500, .k = 1, .nonzeros = 2500000};
  EXPECT_EQ(EntriesOf(shape), 2500000.0);
  EXPECT_GE(CostOfFactor(shape, {}, 2).bytes,
            CostOfCsrFactor(1000000, 500, 2500000, 2).bytes);
  // The target of the project: less than 3 times the matrix and 8 vectors.
  const double matrix = 12.0 * 2500000.0 + 8.0 * 1000001.0;
  EXPECT_LT(CostOfPowerRegression(shape, {}, 2).bytes,
            3.0 * matrix + 8.0 * 8.0 * 1000000.0);
}

TEST(PowerShapeTest, ASketchPaysForItsIteration) {
  const PowerShape shape{.n = 100000, .d = 50, .k = 3, .nonzeros = 1000000};
  PowerRegressionOptions options;
  EXPECT_EQ(CostOfIteration(shape, options, 3).flops, 0.0);
  const double without = CostOfPowerRegression(shape, options, 2).flops;
  options.method = PowerMethod::kSketch;
  EXPECT_GT(CostOfIteration(shape, options, 3).bytes, 8.0 * 50.0 * 3.0);
  // 35 passes a solve at the least.
  EXPECT_GT(CostOfPowerRegression(shape, options, 2).flops,
            without + 35.0 * 4.0 * 1000000.0 * 3.0);
}

}  // namespace
}  // namespace steelyard::test
