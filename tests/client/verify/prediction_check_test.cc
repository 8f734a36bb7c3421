#include "client/verify/prediction_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "client/verify/rows.h"
#include "tests/client/verify/key_tensors.h"

namespace steelyard::verify {
namespace {

using Normalization = client::KernelNormalization;
using tensor_files::StoredTensor;

// Rows of ordinary size, two columns of weights, more queries than are looked
// at.
class PredictionCheckTest : public testing::Test {
 protected:
  client::Prediction Values(const client::PredictOptions& options) const {
    const RowMatrix a = HeadsOf(a_)[0].All();
    const RowMatrix x = HeadsOf(x_)[0].All();
    const RowMatrix q = HeadsOf(queries_)[0].All();
    RowMatrix kernel = options.scale * q * a.transpose();
    if (options.normalization == Normalization::kUnitDiagonal) {
      kernel.colwise() -= 0.5 * options.scale * q.rowwise().squaredNorm();
      kernel.rowwise() -=
          0.5 * options.scale * a.rowwise().squaredNorm().transpose();
    }
    kernel = kernel.array().exp();
    client::Prediction prediction{.y = kernel * x, .y_exponents = {}};
    if (options.normalization == Normalization::kSoftmaxRows) {
      const Eigen::VectorXd sums = kernel.rowwise().sum();
      prediction.y.array().colwise() /= sums.array();
    }
    return prediction;
  }
  PredictionCheck Check(const client::PredictOptions& options,
                        const client::Prediction& prediction) const {
    return CheckPrediction({a_, x_, exponents_, queries_}, options, prediction);
  }

  StoredTensor a_ = test::TensorOf(test::NormalMatrix(30, 4, Seed{61}));
  StoredTensor x_ = test::TensorOf(test::NormalMatrix(30, 2, Seed{62}));
  StoredTensor queries_ = test::TensorOf(test::NormalMatrix(300, 4, Seed{63}));
  std::vector<std::int32_t> exponents_;
};

TEST_F(PredictionCheckTest, RightValuesHoldAndWrongOnesDoNot) {
  for (const Normalization normalization :
       {Normalization::kNone, Normalization::kUnitDiagonal,
        Normalization::kSoftmaxRows}) {
    const client::PredictOptions options{.scale = 0.5,
                                         .normalization = normalization};
    client::Prediction prediction = Values(options);
    const PredictionCheck good = Check(options, prediction);
    EXPECT_TRUE(good.verdict.held()) << good.verdict.findings.back().detail;
    EXPECT_LT(good.largest_error, 1e-13);  // The bound is 30 + 20 L units.
    prediction.y(0, 1) *= 1.0 + 1e-9;
    const PredictionCheck bad = Check(options, prediction);
    EXPECT_FALSE(bad.verdict.held());
    EXPECT_GT(bad.largest_error, 1e-11);
    prediction.y(0, 1) = std::numeric_limits<double>::quiet_NaN();
    EXPECT_FALSE(Check(options, prediction).verdict.held());
  }
}

TEST_F(PredictionCheckTest, ExponentsOfBothSidesCount) {
  const client::PredictOptions options{.scale = 0.5};
  client::Prediction prediction = Values(options);
  exponents_.assign(60, -3000);
  EXPECT_FALSE(Check(options, prediction).verdict.held());
  prediction.y_exponents.assign(600, -3000);
  EXPECT_TRUE(Check(options, prediction).verdict.held());
}

TEST_F(PredictionCheckTest, AnotherShapeIsNoPrediction) {
  const client::PredictOptions options;
  client::Prediction prediction = Values(options);
  prediction.y.conservativeResize(299, 2);
  EXPECT_FALSE(Check(options, prediction).verdict.held());
}

}  // namespace
}  // namespace steelyard::verify
