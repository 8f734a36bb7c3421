#include "server/convert/regression.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/field_coverage.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::server {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const Limits kLimits;

// Every field of the power families.
v1::SolveRequest FullGramPowerRequest() {
  v1::SolveRequest request;
  v1::Tensor* const a = request.mutable_a()->mutable_dense();
  for (const std::int64_t extent : {2, 2}) a->add_shape(extent);
  for (const double value : {1.0, 2.0, 3.0, 5.0}) a->add_values(value);
  test::SetPlainTensor({2, 4}, request.mutable_b());
  request.set_tolerance(1e-6);
  request.set_max_iterations(17);
  request.set_seed(99);
  request.set_method(v1::METHOD_QR);
  request.set_ridge(0.5);
  request.set_extended_output(true);
  request.mutable_gram_power()->set_exponent(3);
  request.mutable_time_limit()->set_seconds(2);
  request.mutable_time_limit()->set_nanos(5);
  request.set_max_response_bytes(1234);
  return request;
}

v1::SolveRequest FullKernelRequest() {
  v1::SolveRequest request = test::ValidKernelRequest();
  request.set_tolerance(1e-6);
  request.set_max_iterations(17);
  request.set_method(v1::METHOD_CONJUGATE_GRADIENT);
  request.mutable_attention_kernel()->set_scale(0.125);
  request.mutable_attention_kernel()->set_normalization(
      v1::KERNEL_NORMALIZATION_SOFTMAX_ROWS);
  return request;
}

v1::SolveRequest FullLeftGramPowerRequest() {
  v1::SolveRequest request = test::ValidSolveRequest();
  request.mutable_left_gram_power()->set_exponent(64);
  test::SetPlainTensor({10}, request.mutable_b());
  request.set_method(v1::METHOD_GRAM);
  return request;
}

v1::SolveRequest FullExponentialRequest() {
  v1::SolveRequest request = test::ValidSolveRequest();
  request.mutable_matrix_exponential();
  request.set_method(v1::METHOD_SVD);
  request.set_ridge(0.0);
  return request;
}

TEST(RegressionConvertTest, NoFieldOfTheRequestIsLeftOut) {
  EXPECT_THAT(test::UnsetFields(std::vector{
                  FullGramPowerRequest(), FullLeftGramPowerRequest(),
                  FullExponentialRequest(), FullKernelRequest()}),
              IsEmpty());
}

TEST(RegressionConvertTest, EveryFieldOfAGramPowerReachesTheProblem) {
  const v1::SolveRequest request = FullGramPowerRequest();
  const auto problem = SolveProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();

  EXPECT_EQ(DescriptionOf(*problem),
            "gram_power 3: a 2x2 FLOAT64, b 2x4 FLOAT64");
  const auto& options = std::get<PowerRegressionOptions>(problem->options());
  EXPECT_EQ(options.family, PowerFamily::kGramPower);
  EXPECT_EQ(options.exponent, 3);
  EXPECT_EQ(options.tolerance, 1e-6);
  EXPECT_EQ(options.max_iterations, 17);
  EXPECT_EQ(options.method, PowerMethod::kQr);
  EXPECT_EQ(options.ridge, 0.5);
  EXPECT_TRUE(options.extended_output);
  EXPECT_EQ(problem->seed(), 99u);
  EXPECT_EQ(problem->time_limit(), std::chrono::nanoseconds(2'000'000'005));
  EXPECT_EQ(problem->max_response_bytes(), 1234);
  EXPECT_EQ(problem->solution_rows(), 2);
  EXPECT_EQ(problem->right_hand_sides(), 4);
  EXPECT_TRUE(problem->extended_output());
}

TEST(RegressionConvertTest, EveryFieldOfAKernelReachesTheProblem) {
  const v1::SolveRequest request = FullKernelRequest();
  const auto problem = SolveProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();

  const auto& options = std::get<AttentionKernelOptions>(problem->options());
  EXPECT_EQ(options.scale, 0.125);
  EXPECT_EQ(options.normalization, KernelNormalization::kSoftmaxRows);
  EXPECT_EQ(options.ridge, 0.5);
  EXPECT_EQ(options.tolerance, 1e-6);
  EXPECT_EQ(options.max_iterations, 17);
  EXPECT_EQ(options.method, KernelMethod::kConjugateGradient);
  EXPECT_EQ(problem->solution_rows(), 10);
  EXPECT_EQ(problem->right_hand_sides(), 1);
  EXPECT_FALSE(problem->extended_output());
}

TEST(RegressionConvertTest, FamiliesAreToldApart) {
  const v1::SolveRequest left = FullLeftGramPowerRequest();
  const auto odd = SolveProblemFromProto(left, kLimits);
  ASSERT_TRUE(odd.ok()) << odd.status();
  const auto& odd_options = std::get<PowerRegressionOptions>(odd->options());
  EXPECT_EQ(odd_options.family, PowerFamily::kLeftGramPower);
  EXPECT_EQ(odd_options.exponent, 64);
  EXPECT_EQ(odd_options.method, PowerMethod::kGram);
  EXPECT_EQ(odd->solution_rows(), 3);

  const v1::SolveRequest exponential = FullExponentialRequest();
  const auto exp = SolveProblemFromProto(exponential, kLimits);
  ASSERT_TRUE(exp.ok()) << exp.status();
  EXPECT_EQ(std::get<PowerRegressionOptions>(exp->options()).family,
            PowerFamily::kMatrixExponential);
  EXPECT_EQ(DescriptionOf(*exp),
            "matrix_exponential: a 10x3 FLOAT64, b 3 FLOAT64");
}

TEST(RegressionConvertTest, UnsetOptionsHaveTheDefaultsOfTheContract) {
  const v1::SolveRequest request = test::ValidSolveRequest();
  const auto power = SolveProblemFromProto(request, kLimits);
  ASSERT_TRUE(power.ok()) << power.status();
  const auto& options = std::get<PowerRegressionOptions>(power->options());
  EXPECT_EQ(options.tolerance, std::nullopt);
  EXPECT_EQ(options.max_iterations, 1000);
  EXPECT_EQ(options.method, std::nullopt);
  EXPECT_EQ(options.ridge, 0.0);
  EXPECT_EQ(power->seed(), std::nullopt);
  EXPECT_EQ(power->time_limit(), std::nullopt);
  EXPECT_EQ(power->max_response_bytes(), 4'000'000);

  const v1::SolveRequest kernel_request = test::ValidKernelRequest();
  const auto kernel = SolveProblemFromProto(kernel_request, kLimits);
  ASSERT_TRUE(kernel.ok()) << kernel.status();
  const auto& kernel_options =
      std::get<AttentionKernelOptions>(kernel->options());
  EXPECT_EQ(kernel_options.tolerance, 1e-8);
  EXPECT_EQ(kernel_options.scale, 1.0);
  EXPECT_EQ(kernel_options.normalization, KernelNormalization::kNone);
  EXPECT_EQ(kernel_options.method, std::nullopt);
}

TEST(RegressionConvertTest, AMatrixOfOneRightHandSideKeepsItsShape) {
  v1::SolveRequest request = test::ValidSolveRequest();
  test::SetPlainTensor({3, 1}, request.mutable_b());
  const auto problem = SolveProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_EQ(problem->b().extents(), 2);
  EXPECT_EQ(problem->right_hand_sides(), 1);
}

TEST(RegressionConvertTest, TimeLimitsBeyondALifetimeAreNone) {
  v1::SolveRequest request = test::ValidSolveRequest();
  request.mutable_time_limit()->set_seconds(315'576'000'000);
  const auto problem = SolveProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_EQ(problem->time_limit(), std::nullopt);

  request.mutable_time_limit()->set_seconds(0);
  request.mutable_time_limit()->set_nanos(1);
  EXPECT_EQ(SolveProblemFromProto(request, kLimits)->time_limit(),
            std::chrono::nanoseconds(1));
}

TEST(RegressionConvertTest, AnswerIsMeasuredBeforeAnyWork) {
  v1::SolveRequest request = FullGramPowerRequest();
  request.set_max_response_bytes(2 * 8 * 2 * 4);  // x and x_low, 2 x 4
  EXPECT_TRUE(CheckResponseSize(*SolveProblemFromProto(request, kLimits)).ok());
  request.set_max_response_bytes(2 * 8 * 2 * 4 - 1);
  const absl::Status status =
      CheckResponseSize(*SolveProblemFromProto(request, kLimits));
  EXPECT_EQ(DetailOf(status)->reason, "RESPONSE_TOO_LARGE");
  EXPECT_THAT(std::string(status.message()), HasSubstr("StreamSolve"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("128 bytes"));
}

TEST(RegressionConvertTest, CoreErrorsGetTheirProtoPath) {
  const v1::SolveRequest request = FullGramPowerRequest();
  const auto problem = SolveProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok());
  EXPECT_EQ(
      DetailOf(AtProtoPath(NotFiniteError("a", 1, 0, 2, NAN), *problem))->field,
      "a.dense.values[2]");
  EXPECT_EQ(
      DetailOf(AtProtoPath(NotFiniteError("b", 1, 3, 4, NAN), *problem))->field,
      "b.data");
}

TEST(RegressionConvertTest, CostHasTheWorkAndTheAnswer) {
  const v1::SolveRequest power_request = test::ValidSolveRequest();
  const auto power = SolveProblemFromProto(power_request, kLimits);
  const Cost core = CostOfPowerRegression(
      {10, 3, 1}, std::get<PowerRegressionOptions>(power->options()), 2);
  EXPECT_EQ(CostOf(*power, 2).flops, core.flops);
  EXPECT_GE(CostOf(*power, 2).bytes, core.bytes + 2 * 8 * 3);

  const v1::SolveRequest kernel_request = test::ValidKernelRequest();
  const auto kernel = SolveProblemFromProto(kernel_request, kLimits);
  const Cost kernel_core = CostOfAttentionKernelRegression(
      10, 3, 1, std::get<AttentionKernelOptions>(kernel->options()), 2);
  EXPECT_EQ(CostOf(*kernel, 2).flops, kernel_core.flops);
  EXPECT_GE(CostOf(*kernel, 2).bytes, kernel_core.bytes + 2 * 8 * 10);
}

}  // namespace
}  // namespace steelyard::server
