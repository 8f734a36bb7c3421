#include "regression_codec.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "matrix_codec.h"
#include "tensor_codec.h"

namespace steelyard::client {
namespace {

v1::Method ToProto(Method method) {
  switch (method) {
    case Method::kAutomatic:
      return v1::METHOD_UNSPECIFIED;
    case Method::kGram:
      return v1::METHOD_GRAM;
    case Method::kQr:
      return v1::METHOD_QR;
    case Method::kSvd:
      return v1::METHOD_SVD;
    case Method::kCholesky:
      return v1::METHOD_CHOLESKY;
    case Method::kConjugateGradient:
      return v1::METHOD_CONJUGATE_GRADIENT;
    case Method::kSketch:
      return v1::METHOD_SKETCH;
    case Method::kSketchPublished:
      return v1::METHOD_SKETCH_PUBLISHED;
    case Method::kSeries:
      return v1::METHOD_SERIES;
    case Method::kBlockCoordinate:
      return v1::METHOD_BLOCK_COORDINATE;
  }
  return v1::METHOD_UNSPECIFIED;
}

v1::SketchKind ToProto(SketchKind kind) {
  switch (kind) {
    case SketchKind::kAutomatic:
      return v1::SKETCH_KIND_UNSPECIFIED;
    case SketchKind::kGaussian:
      return v1::SKETCH_KIND_GAUSSIAN;
    case SketchKind::kSrht:
      return v1::SKETCH_KIND_SRHT;
    case SketchKind::kCountSketch:
      return v1::SKETCH_KIND_COUNT_SKETCH;
    case SketchKind::kSparseSign:
      return v1::SKETCH_KIND_SPARSE_SIGN;
  }
  return v1::SKETCH_KIND_UNSPECIFIED;
}

v1::Preconditioner ToProto(Preconditioner preconditioner) {
  switch (preconditioner) {
    case Preconditioner::kAutomatic:
      return v1::PRECONDITIONER_UNSPECIFIED;
    case Preconditioner::kNone:
      return v1::PRECONDITIONER_NONE;
    case Preconditioner::kJacobi:
      return v1::PRECONDITIONER_JACOBI;
    case Preconditioner::kRpCholesky:
      return v1::PRECONDITIONER_RPCHOLESKY;
    case Preconditioner::kPolynomialSketch:
      return v1::PRECONDITIONER_POLYNOMIAL_SKETCH;
  }
  return v1::PRECONDITIONER_UNSPECIFIED;
}

Preconditioner FromProto(v1::Preconditioner preconditioner) {
  switch (preconditioner) {
    case v1::PRECONDITIONER_NONE:
      return Preconditioner::kNone;
    case v1::PRECONDITIONER_JACOBI:
      return Preconditioner::kJacobi;
    case v1::PRECONDITIONER_RPCHOLESKY:
      return Preconditioner::kRpCholesky;
    case v1::PRECONDITIONER_POLYNOMIAL_SKETCH:
      return Preconditioner::kPolynomialSketch;
    default:
      return Preconditioner::kAutomatic;
  }
}

Termination FromProto(v1::Termination termination) {
  switch (termination) {
    case v1::TERMINATION_CONVERGED:
      return Termination::kConverged;
    case v1::TERMINATION_ITERATION_LIMIT:
      return Termination::kIterationLimit;
    case v1::TERMINATION_TIME_LIMIT:
      return Termination::kTimeLimit;
    case v1::TERMINATION_PRECISION_FLOOR:
      return Termination::kPrecisionFloor;
    case v1::TERMINATION_ILL_CONDITIONED:
      return Termination::kIllConditioned;
    case v1::TERMINATION_STOPPED:
      return Termination::kStopped;
    default:
      return Termination::kUnknown;
  }
}

// Puts one kind of problem into the request.
struct ProblemWriter {
  std::int64_t bytes_max;
  v1::SolveRequest* request;

  absl::Status operator()(const GramPower& problem) const {
    request->mutable_gram_power()->set_exponent(problem.exponent);
    return absl::OkStatus();
  }
  absl::Status operator()(const LeftGramPower& problem) const {
    request->mutable_left_gram_power()->set_exponent(problem.exponent);
    return absl::OkStatus();
  }
  absl::Status operator()(const MatrixExponential& problem) const {
    v1::MatrixExponential* exponential = request->mutable_matrix_exponential();
    if (problem.terms.has_value()) exponential->set_terms(*problem.terms);
    return absl::OkStatus();
  }
  absl::Status operator()(const AttentionKernel& problem) const {
    v1::AttentionKernel* kernel = request->mutable_attention_kernel();
    kernel->set_scale(problem.scale);
    kernel->set_normalization(ToProto(problem.normalization));
    kernel->set_preconditioner(ToProto(problem.preconditioner));
    if (problem.preconditioner_rank.has_value()) {
      kernel->set_preconditioner_rank(*problem.preconditioner_rank);
    }
    if (problem.row_ridge.empty()) return absl::OkStatus();
    const TensorView row_ridge(
        problem.row_ridge,
        {static_cast<std::int64_t>(problem.row_ridge.size())});
    return ToProto(row_ridge, "attention_kernel.row_ridge", bytes_max,
                   kernel->mutable_row_ridge());
  }
};

template <typename T>
std::vector<T> Vector(const google::protobuf::RepeatedField<T>& field) {
  return std::vector<T>(field.begin(), field.end());
}

PreconditionerTrial FromProto(const v1::PreconditionerTrial& wire) {
  return {.preconditioner = FromProto(wire.preconditioner()),
          .rank = wire.rank(),
          .iterations = wire.iterations(),
          .contraction = wire.contraction(),
          .build_time = SecondsFromProto(wire.build_time())};
}

SolveReport FromProto(const v1::SolveReport& wire) {
  SolveReport report;
  report.termination = FromProto(wire.termination());
  report.method = wire.method();
  report.iterations = wire.iterations();
  report.converged = Vector(wire.converged());
  report.relative_residual = Vector(wire.relative_residual());
  report.excess_residual = Vector(wire.excess_residual());
  report.residual_floor = Vector(wire.residual_floor());
  report.backward_error = Vector(wire.backward_error());
  report.optimality = Vector(wire.optimality());
  report.forward_error = Vector(wire.forward_error());
  report.least_squares_backward_error =
      Vector(wire.least_squares_backward_error());
  report.componentwise_error = Vector(wire.componentwise_error());
  report.condition_estimate = wire.condition_estimate();
  report.rank = wire.rank();
  report.rank_gap = wire.rank_gap();
  report.seed = wire.seed();
  report.factor_cache_hit = wire.factor_cache_hit();
  report.log_smallest_ridge = wire.log_smallest_ridge();
  for (const v1::PreconditionerTrial& trial : wire.trials()) {
    report.trials.push_back(FromProto(trial));
  }
  report.queue_time = SecondsFromProto(wire.queue_time());
  report.compute_time = SecondsFromProto(wire.compute_time());
  return report;
}

absl::Status OptionsToProto(const SolveOptions& options,
                            v1::SolveRequest* request) {
  if (options.tolerance.has_value()) {
    request->set_tolerance(*options.tolerance);
  }
  if (options.max_iterations.has_value()) {
    request->set_max_iterations(*options.max_iterations);
  }
  if (options.seed.has_value()) request->set_seed(*options.seed);
  if (options.ridge.has_value()) request->set_ridge(*options.ridge);
  request->set_method(ToProto(options.method));
  if (options.sketch.has_value()) {
    v1::Sketch* sketch = request->mutable_sketch();
    sketch->set_kind(ToProto(options.sketch->kind));
    if (options.sketch->rows.has_value()) {
      sketch->set_rows(*options.sketch->rows);
    }
  }
  request->set_extended_output(options.extended_output);
  if (!options.time_limit.has_value()) return absl::OkStatus();
  if (!(*options.time_limit > Seconds(0.0))) {
    return LocalError(
        absl::StatusCode::kInvalidArgument,
        absl::StrCat("time_limit is ", options.time_limit->count(),
                     " s; it must be > 0 s"),
        {.reason = "FIELD_OUT_OF_RANGE", .field = "time_limit"});
  }
  *request->mutable_time_limit() = DurationToProto(*options.time_limit);
  return absl::OkStatus();
}

}  // namespace

v1::KernelNormalization ToProto(KernelNormalization normalization) {
  switch (normalization) {
    case KernelNormalization::kNone:
      return v1::KERNEL_NORMALIZATION_NONE;
    case KernelNormalization::kUnitDiagonal:
      return v1::KERNEL_NORMALIZATION_UNIT_DIAGONAL;
    case KernelNormalization::kSoftmaxRows:
      return v1::KERNEL_NORMALIZATION_SOFTMAX_ROWS;
  }
  return v1::KERNEL_NORMALIZATION_UNSPECIFIED;
}

absl::Status ToProto(const MatrixSource& a, const DenseSource& b,
                     const Problem& problem, const SolveOptions& options,
                     const ClientOptions& limits, v1::SolveRequest* request) {
  absl::Status status = OptionsToProto(options, request);
  if (!status.ok()) return status;
  status =
      std::visit(ProblemWriter{limits.request_bytes_max, request}, problem);
  if (!status.ok()) return status;
  status = ToProto(a, "a", limits.request_bytes_max, request->mutable_a());
  if (!status.ok()) return status;
  if (const StoredMatrix* stored = b.stored()) {
    request->set_b_matrix(MatrixName(stored->name));
    return absl::OkStatus();
  }
  return ToProto(*b.dense(), "b", limits.request_bytes_max,
                 request->mutable_b());
}

absl::StatusOr<Solution> FromProto(const v1::SolveResponse& response) {
  absl::StatusOr<RowMajorMatrix> x = MatrixFromProto(response.x(), "x");
  if (!x.ok()) return x.status();
  Solution solution;
  solution.x = *std::move(x);
  if (response.has_x_low()) {
    absl::StatusOr<RowMajorMatrix> x_low =
        MatrixFromProto(response.x_low(), "x_low");
    if (!x_low.ok()) return x_low.status();
    solution.x_low = *std::move(x_low);
    if (solution.x_low.rows() != solution.x.rows() ||
        solution.x_low.cols() != solution.x.cols()) {
      return BrokenAnswer("x and x_low differ in shape");
    }
  }
  if (response.x_exponents_size() != 0 &&
      response.x_exponents_size() != solution.x.size()) {
    return BrokenAnswer(
        absl::StrCat("x has ", solution.x.size(), " entries and ",
                     response.x_exponents_size(), " exponents"));
  }
  solution.x_exponents = Vector(response.x_exponents());
  solution.report = FromProto(response.report());
  return solution;
}

Progress FromProto(const v1::Progress& wire, int attempt) {
  Progress progress;
  progress.phase = wire.phase();
  progress.iteration = wire.iteration();
  if (wire.has_relative_residual()) {
    progress.relative_residual = wire.relative_residual();
  }
  if (wire.has_fraction()) progress.fraction = wire.fraction();
  progress.elapsed = SecondsFromProto(wire.elapsed());
  if (wire.has_time_left()) {
    progress.time_left = SecondsFromProto(wire.time_left());
  }
  progress.attempt = attempt;
  return progress;
}

std::string Name(Preconditioner preconditioner) {
  switch (preconditioner) {
    case Preconditioner::kAutomatic:
      break;
    case Preconditioner::kNone:
      return "NONE";
    case Preconditioner::kJacobi:
      return "JACOBI";
    case Preconditioner::kRpCholesky:
      return "RPCHOLESKY";
    case Preconditioner::kPolynomialSketch:
      return "POLYNOMIAL_SKETCH";
  }
  return "AUTOMATIC";
}

std::string Name(Termination termination) {
  switch (termination) {
    case Termination::kConverged:
      return "CONVERGED";
    case Termination::kIterationLimit:
      return "ITERATION_LIMIT";
    case Termination::kTimeLimit:
      return "TIME_LIMIT";
    case Termination::kPrecisionFloor:
      return "PRECISION_FLOOR";
    case Termination::kIllConditioned:
      return "ILL_CONDITIONED";
    case Termination::kStopped:
      return "STOPPED";
    case Termination::kUnknown:
      break;
  }
  return "UNKNOWN";
}

}  // namespace steelyard::client
