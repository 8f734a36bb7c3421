#include "server/convert/regression.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/fake_stored_matrix.h"
#include "tests/server/convert/field_coverage.h"
#include "tests/server/convert/sparse_requests.h"
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
  request.mutable_attention_kernel()->set_preconditioner(
      v1::PRECONDITIONER_RPCHOLESKY);
  request.mutable_attention_kernel()->set_preconditioner_rank(10);
  test::SetTensor({10}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
                  request.mutable_attention_kernel()->mutable_row_ridge());
  request.set_seed(77);
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

v1::SolveRequest SketchedRequest() {
  v1::SolveRequest request = test::ValidSparseRequest();
  request.set_method(v1::METHOD_SKETCH);
  request.mutable_sketch()->set_kind(v1::SKETCH_KIND_COUNT_SKETCH);
  request.mutable_sketch()->set_rows(7);
  request.set_seed(5);
  return request;
}

v1::SolveRequest SeriesRequest() {
  v1::SolveRequest request = test::ValidSolveRequest();
  request.set_method(v1::METHOD_SERIES);
  request.mutable_matrix_exponential()->set_terms(12);
  return request;
}

// Least squares on a stored A with a stored B of two right-hand sides.
v1::SolveRequest StoredRequest() {
  v1::SolveRequest request;
  request.mutable_a()->set_matrix("matrices/a");
  request.set_b_matrix("matrices/b");
  request.mutable_left_gram_power()->set_exponent(0);
  return request;
}

test::FakeMatrices StoredMatrices() {
  const test::SparseNumbers numbers;
  test::FakeMatrices matrices;
  matrices.Add("a", test::SparseLayout(numbers), test::SparseBytes(numbers));
  matrices.Add("b", {.rows = 10, .cols = 2},
               test::BytesOf(test::PlainNumbers(20)));
  return matrices;
}

TEST(RegressionConvertTest, NoFieldOfTheRequestIsLeftOut) {
  EXPECT_THAT(test::UnsetFields(std::vector{
                  FullGramPowerRequest(), FullLeftGramPowerRequest(),
                  FullExponentialRequest(), FullKernelRequest(),
                  SketchedRequest(), SeriesRequest(), StoredRequest()}),
              IsEmpty());
}

TEST(RegressionConvertTest, ASketchReachesTheProblem) {
  v1::SolveRequest request = SketchedRequest();
  const auto problem = SolveProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  const auto& options = std::get<PowerRegressionOptions>(problem->options());
  EXPECT_EQ(options.method, PowerMethod::kSketch);
  EXPECT_EQ(options.sketch.kind, SketchKind::kCountSketch);
  EXPECT_EQ(options.sketch.rows, 7);
  EXPECT_EQ(options.seed.value, 5u);
  EXPECT_EQ(DescriptionOf(*problem),
            "gram_power 1: a 10x3 CSR of 16 FLOAT64, b 3 FLOAT64");
  EXPECT_EQ(ShapeOf(*problem).nonzeros, 16);
  EXPECT_EQ(CostOf(*problem, 2).flops,
            CostOfPowerRegression(ShapeOf(*problem), options, 2).flops);

  const std::vector<std::pair<v1::SketchKind, SketchKind>> kinds = {
      {v1::SKETCH_KIND_GAUSSIAN, SketchKind::kGaussian},
      {v1::SKETCH_KIND_SPARSE_SIGN, SketchKind::kSparseSign}};
  for (const auto& [proto, kind] : kinds) {
    request.mutable_sketch()->set_kind(proto);
    const auto other = SolveProblemFromProto(request, kLimits);
    ASSERT_TRUE(other.ok()) << other.status();
    EXPECT_EQ(std::get<PowerRegressionOptions>(other->options()).sketch.kind,
              kind);
  }
  // A sketch may be wished for where the server chooses the method.
  request = test::ValidSolveRequest();
  request.mutable_sketch()->set_kind(v1::SKETCH_KIND_SRHT);
  const auto chosen = SolveProblemFromProto(request, kLimits);
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  const auto& wish = std::get<PowerRegressionOptions>(chosen->options());
  EXPECT_EQ(wish.sketch.kind, SketchKind::kSrht);
  EXPECT_EQ(wish.sketch.rows, std::nullopt);
  EXPECT_EQ(wish.method, std::nullopt);
}

TEST(RegressionConvertTest, TheOtherMethodsOfThePaperReachTheProblem) {
  v1::SolveRequest request = SketchedRequest();
  request.set_method(v1::METHOD_SKETCH_PUBLISHED);
  const auto published = SolveProblemFromProto(request, kLimits);
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_EQ(std::get<PowerRegressionOptions>(published->options()).method,
            PowerMethod::kSketchPublished);

  const v1::SolveRequest terms = SeriesRequest();
  const auto series = SolveProblemFromProto(terms, kLimits);
  ASSERT_TRUE(series.ok()) << series.status();
  const auto& options = std::get<PowerRegressionOptions>(series->options());
  EXPECT_EQ(options.method, PowerMethod::kSeries);
  EXPECT_EQ(options.terms, 12);
}

TEST(RegressionConvertTest, StoredMatricesAreHeld) {
  test::FakeMatrices matrices = StoredMatrices();
  const v1::SolveRequest request = StoredRequest();
  const auto problem =
      SolveProblemFromProto(request, kLimits, matrices.lookup());
  ASSERT_TRUE(problem.ok()) << problem.status();
  matrices.Delete("a");
  matrices.Delete("b");
  EXPECT_EQ(DescriptionOf(*problem),
            "left_gram_power 0: a matrices/a 10x3 CSR of 16 FLOAT64, "
            "b matrices/b 10x2 FLOAT64");
  EXPECT_EQ(problem->a().stored()->info().id, "a");
  EXPECT_EQ(problem->b().stored()->info().id, "b");
  EXPECT_EQ(problem->right_hand_sides(), 2);
  // Nothing of them is in the message or copied.
  EXPECT_EQ(problem->a().copy_bytes() + problem->b().copy_bytes(), 0);
  EXPECT_EQ(
      DetailOf(AtProtoPath(NotFiniteError("b", 1, 0, 2, NAN), *problem))->field,
      "b_matrix");
  EXPECT_EQ(SolveProblemFromProto(request, kLimits).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(RegressionConvertTest, AStoredRightHandSideHasTheShapeOfB) {
  test::FakeMatrices matrices = StoredMatrices();
  const auto refusal = [&](const v1::SolveRequest& request) {
    return SolveProblemFromProto(request, kLimits, matrices.lookup()).status();
  };
  v1::SolveRequest request = StoredRequest();
  request.mutable_gram_power()->set_exponent(1);
  EXPECT_EQ(refusal(request).message(),
            "b_matrix has 10 rows; a has 3 columns");
  request = StoredRequest();
  request.set_b_matrix("matrices/a");
  EXPECT_EQ(DetailOf(refusal(request))->field, "b_matrix");
  EXPECT_THAT(std::string(refusal(request).message()), HasSubstr("CSR"));
  // The kernel takes no sparse A, wherever it comes from.
  request = StoredRequest();
  request.mutable_attention_kernel();
  EXPECT_EQ(DetailOf(refusal(request))->field, "a.matrix");
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
  EXPECT_EQ(options.preconditioner, KernelPreconditioner::kRpCholesky);
  EXPECT_EQ(options.preconditioner_rank, 10);
  EXPECT_EQ(options.seed, 77u);
  // Read in the admitted work.
  EXPECT_TRUE(options.row_ridge.empty());
  ASSERT_TRUE(problem->row_ridge().has_value());
  EXPECT_EQ(problem->row_ridge()->rows(), 10);
  EXPECT_EQ(problem->solution_rows(), 10);
  EXPECT_EQ(problem->right_hand_sides(), 1);
  EXPECT_FALSE(problem->extended_output());
}

TEST(RegressionConvertTest, AKernelRunsOnADenseStoredMatrix) {
  test::FakeMatrices matrices;
  matrices.Add("a", {.rows = 10, .cols = 3},
               test::BytesOf(test::PlainNumbers(30)));
  matrices.Add("b", {.rows = 10, .cols = 2},
               test::BytesOf(test::PlainNumbers(20)));
  v1::SolveRequest request = StoredRequest();
  request.mutable_attention_kernel();
  const auto problem =
      SolveProblemFromProto(request, kLimits, matrices.lookup());
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_EQ(DescriptionOf(*problem),
            "attention_kernel: a matrices/a 10x3 FLOAT64, b matrices/b 10x2 "
            "FLOAT64");
  EXPECT_EQ(problem->solution_rows(), 10);
  EXPECT_EQ(problem->right_hand_sides(), 2);
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
  EXPECT_EQ(options.sketch.kind, std::nullopt);
  EXPECT_EQ(options.sketch.rows, std::nullopt);
  EXPECT_EQ(options.terms, std::nullopt);
  // One of the process, so that what it made for a matrix serves again.
  EXPECT_EQ(options.seed.value, power->seed());
  EXPECT_EQ(SolveProblemFromProto(request, kLimits)->seed(), power->seed());
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
  EXPECT_EQ(kernel_options.preconditioner, std::nullopt);
  EXPECT_EQ(kernel_options.preconditioner_rank, std::nullopt);
  EXPECT_EQ(kernel_options.seed, kernel->seed());
  EXPECT_FALSE(kernel->row_ridge().has_value());
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
