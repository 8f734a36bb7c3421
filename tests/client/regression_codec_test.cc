#include "client/src/regression_codec.h"

#include <cmath>
#include <cstring>
#include <sstream>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/error_detail.h"
#include "tests/client/support/filled_message.h"

namespace steelyard::client {
namespace {

using namespace std::chrono_literals;

template <typename T>
void Print(const std::vector<T>& numbers, std::ostream& out) {
  out << "[";
  for (const T& number : numbers) out << number << " ";
  out << "] ";
}

// Every member of the structs; what a converter forgets does not show here.
std::string Describe(const SolveReport& report) {
  std::ostringstream out;
  out.precision(17);  // All digits of a double.
  out << Name(report.termination) << " " << report.method << " "
      << report.iterations << " ";
  Print(report.converged, out);
  Print(report.relative_residual, out);
  Print(report.excess_residual, out);
  Print(report.residual_floor, out);
  Print(report.backward_error, out);
  Print(report.least_squares_backward_error, out);
  Print(report.optimality, out);
  Print(report.forward_error, out);
  Print(report.componentwise_error, out);
  out << report.condition_estimate << " " << report.rank << " "
      << report.rank_gap << " " << report.seed << " " << report.factor_cache_hit
      << " " << report.log_smallest_ridge << " " << report.queue_time.count()
      << " " << report.compute_time.count();
  for (const PreconditionerTrial& trial : report.trials) {
    out << " " << Name(trial.preconditioner) << " " << trial.rank << " "
        << trial.iterations << " " << trial.contraction << " "
        << trial.build_time.count();
  }
  return out.str();
}

std::string Describe(const absl::StatusOr<Solution>& solution) {
  if (!solution.ok()) return solution.status().ToString();
  std::ostringstream out;
  out.precision(17);  // All digits of a double.
  out << solution->x << " " << solution->x_low << " ";
  Print(solution->x_exponents, out);
  out << Describe(solution->report);
  return out.str();
}

// x = (1, 2), as the wire has it.
v1::Tensor TwoNumbers() {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DTYPE_FLOAT64);
  tensor.add_shape(2);
  const double numbers[] = {1.0, 2.0};
  tensor.set_data(numbers, sizeof(numbers));
  return tensor;
}

v1::SolveResponse FilledResponse() {
  v1::SolveResponse response;
  test::FillEveryField(&response);
  *response.mutable_x() = TwoNumbers();
  *response.mutable_x_low() = TwoNumbers();
  return response;
}

v1::SolveRequest RequestFor(const Problem& problem,
                            const SolveOptions& options = {}) {
  const Eigen::MatrixXd a = Eigen::MatrixXd::Ones(4, 2);
  const Eigen::VectorXf b = Eigen::VectorXf::Ones(2);
  v1::SolveRequest request;
  EXPECT_TRUE(ToProto(a, b, problem, options, {}, &request).ok());
  return request;
}

TEST(RegressionCodecTest, EveryFieldOfTheAnswerIsRead) {
  EXPECT_THAT(test::UnreadFields(
                  FilledResponse(),
                  [](const google::protobuf::Message& message) {
                    return Describe(FromProto(
                        dynamic_cast<const v1::SolveResponse&>(message)));
                  }),
              testing::IsEmpty());
}

TEST(RegressionCodecTest, EveryFieldOfProgressIsRead) {
  v1::Progress wire;
  test::FillEveryField(&wire);
  const auto describe = [](const google::protobuf::Message& message) {
    const Progress progress =
        FromProto(dynamic_cast<const v1::Progress&>(message), 1);
    std::ostringstream out;
    out.precision(17);
    out << progress.phase << " " << progress.iteration << " "
        << progress.relative_residual.value_or(-1.0) << " "
        << progress.fraction.value_or(-1.0) << " " << progress.elapsed.count()
        << " " << progress.time_left.value_or(Seconds(-1.0)).count();
    return out.str();
  };
  EXPECT_THAT(test::UnreadFields(wire, describe), testing::IsEmpty());
  EXPECT_EQ(FromProto(wire, 3).attempt, 3);
  EXPECT_FALSE(FromProto(v1::Progress(), 1).fraction.has_value());
  EXPECT_FALSE(FromProto(v1::Progress(), 1).time_left.has_value());
}

TEST(RegressionCodecTest, ValuesOfTheAnswerArriveWhereTheyBelong) {
  v1::SolveResponse response = FilledResponse();
  response.mutable_report()->set_termination(v1::TERMINATION_PRECISION_FLOOR);
  response.clear_x_exponents();
  response.add_x_exponents(-3);
  response.add_x_exponents(40);
  const auto solution = FromProto(response);
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->x, Eigen::Vector2d(1.0, 2.0));
  EXPECT_EQ(solution->x_low, Eigen::Vector2d(1.0, 2.0));
  EXPECT_EQ(solution->x_exponents, (std::vector<std::int32_t>{-3, 40}));
  EXPECT_EQ(solution->report.termination, Termination::kPrecisionFloor);
  // FillEveryField sets number n to n + 0.5 and n + 1.5.
  EXPECT_EQ(solution->report.forward_error, (std::vector<double>{18.5, 19.5}));
  EXPECT_EQ(solution->report.seed, 11U);
}

TEST(RegressionCodecTest, AnswersThatContradictThemselvesAreRefused) {
  v1::SolveResponse no_x = FilledResponse();
  no_x.clear_x();
  EXPECT_EQ(FromProto(no_x).status().code(), absl::StatusCode::kInternal);
  v1::SolveResponse other_shape = FilledResponse();
  other_shape.mutable_x_low()->add_shape(1);
  EXPECT_TRUE(FromProto(other_shape).ok());  // 2 x 1 is a vector of 2.
  other_shape.mutable_x_low()->set_shape(0, 1);
  other_shape.mutable_x_low()->set_shape(1, 2);
  EXPECT_EQ(FromProto(other_shape).status().code(),
            absl::StatusCode::kInternal);
  v1::SolveResponse exponents = FilledResponse();
  exponents.add_x_exponents(1);
  EXPECT_EQ(FromProto(exponents).status().code(), absl::StatusCode::kInternal);
}

TEST(RegressionCodecTest, EveryFieldOfTheRequestIsSet) {
  const v1::SolveRequest request =
      RequestFor(GramPower{3}, {.tolerance = 1e-6,
                                .max_iterations = 7,
                                .seed = 5,
                                .method = Method::kSketch,
                                .sketch = SketchOptions{SketchKind::kSrht, 9},
                                .ridge = 0.5,
                                .extended_output = true,
                                .time_limit = 1500ms});
  // Client sets max_response_bytes: StreamSolve has no limit.
  EXPECT_THAT(test::UnsetFields(request),
              testing::UnorderedElementsAre("SolveRequest.a.dense.values",
                                            "SolveRequest.b.values",
                                            "SolveRequest.max_response_bytes"));
  EXPECT_EQ(request.tolerance(), 1e-6);
  EXPECT_EQ(request.max_iterations(), 7);
  EXPECT_EQ(request.seed(), 5U);
  EXPECT_EQ(request.method(), v1::METHOD_SKETCH);
  EXPECT_EQ(request.sketch().kind(), v1::SKETCH_KIND_SRHT);
  EXPECT_EQ(request.sketch().rows(), 9);
  EXPECT_EQ(request.ridge(), 0.5);
  EXPECT_TRUE(request.extended_output());
  EXPECT_EQ(request.time_limit().seconds(), 1);
  EXPECT_EQ(request.time_limit().nanos(), 500'000'000);
  EXPECT_EQ(request.gram_power().exponent(), 3);
}

TEST(RegressionCodecTest, WhatIsUnsetStaysUnset) {
  const v1::SolveRequest request = RequestFor(MatrixExponential{});
  EXPECT_FALSE(request.has_tolerance());
  EXPECT_FALSE(request.has_max_iterations());
  EXPECT_FALSE(request.has_seed());
  EXPECT_FALSE(request.has_ridge());
  EXPECT_FALSE(request.has_time_limit());
  EXPECT_FALSE(request.has_sketch());
  EXPECT_EQ(request.method(), v1::METHOD_UNSPECIFIED);
}

TEST(RegressionCodecTest, EachProblemHasItsAlternative) {
  EXPECT_EQ(RequestFor(GramPower{}).gram_power().exponent(), 1);
  EXPECT_EQ(RequestFor(LeftGramPower{4}).left_gram_power().exponent(), 4);
  const v1::SolveRequest exponential = RequestFor(MatrixExponential{});
  EXPECT_TRUE(exponential.has_matrix_exponential());
  EXPECT_FALSE(exponential.matrix_exponential().has_terms());
  EXPECT_EQ(
      RequestFor(MatrixExponential{.terms = 12}).matrix_exponential().terms(),
      12);
  const v1::SolveRequest kernel = RequestFor(AttentionKernel{
      .scale = 0.25, .normalization = KernelNormalization::kSoftmaxRows});
  EXPECT_EQ(kernel.attention_kernel().scale(), 0.25);
  EXPECT_EQ(kernel.attention_kernel().normalization(),
            v1::KERNEL_NORMALIZATION_SOFTMAX_ROWS);
  EXPECT_FALSE(kernel.attention_kernel().has_row_ridge());
  EXPECT_FALSE(kernel.attention_kernel().has_preconditioner_rank());
  EXPECT_EQ(kernel.attention_kernel().preconditioner(),
            v1::PRECONDITIONER_UNSPECIFIED);
}

TEST(RegressionCodecTest, EveryFieldOfTheKernelIsSet) {
  const v1::SolveRequest request = RequestFor(
      AttentionKernel{.scale = 0.5,
                      .normalization = KernelNormalization::kUnitDiagonal,
                      .row_ridge = {0.25, 0.5, 0.0, 1.0},
                      .preconditioner = Preconditioner::kRpCholesky,
                      .preconditioner_rank = 3});
  // We send bytes.
  EXPECT_THAT(test::UnsetFields(request.attention_kernel()),
              testing::ElementsAre("AttentionKernel.row_ridge.values"));
  const v1::Tensor& row_ridge = request.attention_kernel().row_ridge();
  EXPECT_EQ(row_ridge.dtype(), v1::DTYPE_FLOAT64);
  EXPECT_THAT(row_ridge.shape(), testing::ElementsAre(4));
  double last = 0.0;
  std::memcpy(&last, row_ridge.data().data() + 24, sizeof(last));
  EXPECT_EQ(last, 1.0);
  EXPECT_EQ(request.attention_kernel().preconditioner_rank(), 3);
}

TEST(RegressionCodecTest, EnumsCoverTheWire) {
  // Ours are the names of the contract.
  v1::SolveResponse response = FilledResponse();
  for (int n = 1; n < v1::Termination_ARRAYSIZE; ++n) {
    response.mutable_report()->set_termination(static_cast<v1::Termination>(n));
    const std::string name = Name(FromProto(response)->report.termination);
    EXPECT_EQ("TERMINATION_" + name,
              v1::Termination_Name(static_cast<v1::Termination>(n)));
  }
  for (const auto& [ours, wire] :
       {std::pair{Method::kGram, v1::METHOD_GRAM},
        std::pair{Method::kQr, v1::METHOD_QR},
        std::pair{Method::kSvd, v1::METHOD_SVD},
        std::pair{Method::kCholesky, v1::METHOD_CHOLESKY},
        std::pair{Method::kConjugateGradient, v1::METHOD_CONJUGATE_GRADIENT},
        std::pair{Method::kSketch, v1::METHOD_SKETCH},
        std::pair{Method::kSketchPublished, v1::METHOD_SKETCH_PUBLISHED},
        std::pair{Method::kSeries, v1::METHOD_SERIES},
        std::pair{Method::kBlockCoordinate, v1::METHOD_BLOCK_COORDINATE}}) {
    EXPECT_EQ(RequestFor(GramPower{}, {.method = ours}).method(), wire);
  }
  for (int n = 1; n < v1::Preconditioner_ARRAYSIZE; ++n) {
    const auto wire = static_cast<v1::Preconditioner>(n);
    response.mutable_report()->mutable_trials(0)->set_preconditioner(wire);
    const Preconditioner ours =
        FromProto(response)->report.trials[0].preconditioner;
    EXPECT_EQ("PRECONDITIONER_" + Name(ours), v1::Preconditioner_Name(wire));
    EXPECT_EQ(RequestFor(AttentionKernel{.preconditioner = ours})
                  .attention_kernel()
                  .preconditioner(),
              wire);
  }
  for (const auto& [ours, wire] :
       {std::pair{SketchKind::kAutomatic, v1::SKETCH_KIND_UNSPECIFIED},
        std::pair{SketchKind::kGaussian, v1::SKETCH_KIND_GAUSSIAN},
        std::pair{SketchKind::kSrht, v1::SKETCH_KIND_SRHT},
        std::pair{SketchKind::kCountSketch, v1::SKETCH_KIND_COUNT_SKETCH},
        std::pair{SketchKind::kSparseSign, v1::SKETCH_KIND_SPARSE_SIGN}}) {
    EXPECT_EQ(RequestFor(GramPower{}, {.sketch = SketchOptions{.kind = ours}})
                  .sketch()
                  .kind(),
              wire);
  }
  for (const auto& [ours, wire] :
       {std::pair{KernelNormalization::kNone, v1::KERNEL_NORMALIZATION_NONE},
        std::pair{KernelNormalization::kUnitDiagonal,
                  v1::KERNEL_NORMALIZATION_UNIT_DIAGONAL}}) {
    EXPECT_EQ(RequestFor(AttentionKernel{.normalization = ours})
                  .attention_kernel()
                  .normalization(),
              wire);
  }
}

TEST(RegressionCodecTest, WrongArgumentsAreNamedByTheirPath) {
  const Eigen::MatrixXd good = Eigen::MatrixXd::Ones(2, 2);
  const Eigen::MatrixXd empty(0, 2);
  const auto field_of = [](const TensorView& a, const TensorView& b,
                           const SolveOptions& options) {
    v1::SolveRequest request;
    const auto detail =
        DetailOf(ToProto(a, b, GramPower{}, options, {}, &request));
    return detail.has_value() ? detail->field : "";
  };
  EXPECT_EQ(field_of(empty, good, {}), "a.dense.shape[0]");
  EXPECT_EQ(field_of(good, empty, {}), "b.shape[0]");
  EXPECT_EQ(field_of(good, good, {.time_limit = 0s}), "time_limit");
  EXPECT_EQ(field_of(good, good, {.time_limit = Seconds(std::nan(""))}),
            "time_limit");
}

}  // namespace
}  // namespace steelyard::client
