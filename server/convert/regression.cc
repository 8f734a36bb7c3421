#include "server/convert/regression.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "server/convert/kernel_options.h"
#include "server/convert/key_heads.h"
#include "server/convert/response_size.h"
#include "server/errors/errors.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

// A time limit above this never ends a call; below it nanoseconds do not
// overflow when added to a clock.
constexpr std::int64_t kTimeLimitSecondsMax = std::int64_t{100} * 365 * 86400;

// google.protobuf.Duration: seconds and nanos have one sign.
constexpr std::int64_t kDurationSecondsMax = 315'576'000'000;
constexpr std::int32_t kNanosMax = 999'999'999;

// Of SolveResponse, for each right-hand side: nine lists of the report.
constexpr double kReportEntryBytesMax = 8.0 * 8.0 + 1.0;
// Everything else: method, tags, lengths, times, trials.
constexpr double kReportBytesMax = 4096.0;

constexpr char kStreamSolve[] =
    "Raise max_response_bytes, or call StreamSolve, whose x comes in "
    "chunks.";

absl::StatusOr<PowerMethod> PowerMethodOf(v1::Method method) {
  switch (method) {
    case v1::METHOD_GRAM:
      return PowerMethod::kGram;
    case v1::METHOD_QR:
      return PowerMethod::kQr;
    case v1::METHOD_SVD:
      return PowerMethod::kSvd;
    case v1::METHOD_SKETCH:
      return PowerMethod::kSketch;
    case v1::METHOD_SKETCH_PUBLISHED:
      return PowerMethod::kSketchPublished;
    default:
      return ConflictingFieldsError(
          "method", absl::StrCat("is ", v1::Method_Name(method)),
          "gram_power and left_gram_power take METHOD_GRAM, METHOD_QR, "
          "METHOD_SVD, METHOD_SKETCH, METHOD_SKETCH_PUBLISHED or none");
  }
}

absl::StatusOr<PowerMethod> ExponentialMethodOf(v1::Method method) {
  switch (method) {
    case v1::METHOD_SVD:
      return PowerMethod::kSvd;
    case v1::METHOD_SERIES:
      return PowerMethod::kSeries;
    default:
      return ConflictingFieldsError(
          "method", absl::StrCat("is ", v1::Method_Name(method)),
          "matrix_exponential takes METHOD_SVD, METHOD_SERIES or none");
  }
}

absl::StatusOr<std::optional<SketchKind>> SketchKindOf(
    const v1::Sketch& sketch) {
  switch (sketch.kind()) {
    case v1::SKETCH_KIND_UNSPECIFIED:
      return std::nullopt;
    case v1::SKETCH_KIND_GAUSSIAN:
      return SketchKind::kGaussian;
    case v1::SKETCH_KIND_SRHT:
      return SketchKind::kSrht;
    case v1::SKETCH_KIND_COUNT_SKETCH:
      return SketchKind::kCountSketch;
    case v1::SKETCH_KIND_SPARSE_SIGN:
      return SketchKind::kSparseSign;
    default:
      return UnknownEnumError("sketch.kind", static_cast<int>(sketch.kind()),
                              "SketchKind");
  }
}

// Of methods that sketch, and where the server chooses the method.
absl::Status CheckSketchBelongs(const v1::SolveRequest& request) {
  const char* const rule =
      "a sketch is of METHOD_SKETCH, METHOD_SKETCH_PUBLISHED or no method, of "
      "gram_power and left_gram_power";
  if (!request.has_gram_power() && !request.has_left_gram_power()) {
    return ConflictingFieldsError("sketch", "is set", rule);
  }
  switch (request.method()) {
    case v1::METHOD_UNSPECIFIED:
    case v1::METHOD_SKETCH:
    case v1::METHOD_SKETCH_PUBLISHED:
      return absl::OkStatus();
    default:
      return ConflictingFieldsError(
          "sketch",
          absl::StrCat("is set beside ", v1::Method_Name(request.method())),
          rule);
  }
}

absl::StatusOr<SketchOptions> SketchOf(const v1::SolveRequest& request,
                                       const MatrixInput& a) {
  SketchOptions options;
  if (!request.has_sketch()) return options;
  if (absl::Status belongs = CheckSketchBelongs(request); !belongs.ok()) {
    return belongs;
  }
  const v1::Sketch& sketch = request.sketch();
  const auto kind = SketchKindOf(sketch);
  if (!kind.ok()) return kind.status();
  options.kind = *kind;
  if (options.kind == SketchKind::kSrht && a.nonzeros().has_value()) {
    return ConflictingFieldsError("sketch.kind", "is SKETCH_KIND_SRHT",
                                  "it takes a dense matrix, and a is CSR");
  }
  if (sketch.has_rows()) {
    if (sketch.rows() < a.cols() || sketch.rows() > a.rows()) {
      return OutOfRangeError("sketch.rows", absl::StrCat(sketch.rows()),
                             absl::StrCat("it must be in [d, n], and a is ",
                                          a.rows(), " x ", a.cols()));
    }
    options.rows = sketch.rows();
  }
  return options;
}

// Of every random choice of requests that bring no seed: one a process, so that
// what was computed for a matrix serves the next request, too.
std::uint64_t SeedOfProcess() {
  static const std::uint64_t seed =
      absl::Uniform<std::uint64_t>(absl::BitGen());
  return seed;
}

std::uint64_t SeedOf(const v1::SolveRequest& request) {
  return request.has_seed() ? request.seed() : SeedOfProcess();
}

absl::StatusOr<int> ExponentOf(const std::string& field, std::int32_t exponent,
                               int min, const Limits& limits) {
  if (exponent < min) {
    return OutOfRangeError(
        field, absl::StrCat(exponent),
        absl::StrCat("it must be in [", min, ", ", limits.exponent_max, "]"));
  }
  if (exponent > limits.exponent_max) {
    return LimitExceededError(
        {.field = field,
         .what = field,
         .limit = "exponent_max",
         .value = static_cast<double>(exponent),
         .max = static_cast<double>(limits.exponent_max)});
  }
  return exponent;
}

// What every family shares, checked.
struct SharedOptions {
  std::optional<double> tolerance;
  std::optional<int> max_iterations;
  double ridge = 0.0;
};

absl::StatusOr<SharedOptions> SharedOptionsOf(const v1::SolveRequest& request) {
  SharedOptions options;
  if (request.has_tolerance()) {
    if (!(request.tolerance() > 0.0 && request.tolerance() < 1.0)) {
      return OutOfRangeError("tolerance", absl::StrCat(request.tolerance()),
                             "it must be in (0, 1)");
    }
    options.tolerance = request.tolerance();
  }
  if (request.has_max_iterations()) {
    if (request.max_iterations() < 1) {
      return OutOfRangeError("max_iterations",
                             absl::StrCat(request.max_iterations()),
                             "it must be >= 1");
    }
    options.max_iterations = request.max_iterations();
  }
  if (request.has_ridge()) {
    if (!std::isfinite(request.ridge()) || request.ridge() < 0.0) {
      return OutOfRangeError("ridge", absl::StrCat(request.ridge()),
                             "it must be finite and >= 0");
    }
    options.ridge = request.ridge();
  }
  return options;
}

absl::Status CheckExponentialAlone(const v1::SolveRequest& request) {
  constexpr char kFamily[] = "matrix_exponential";
  if (request.ridge() > 0.0) {
    return ConflictingFieldsError("ridge", absl::StrCat("is ", request.ridge()),
                                  absl::StrCat(kFamily, " takes no ridge"));
  }
  if (request.extended_output()) {
    return ConflictingFieldsError(
        "extended_output", "is true",
        absl::StrCat(kFamily, " has no extended output"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<int>> TermsOf(const v1::SolveRequest& request) {
  constexpr char kField[] = "matrix_exponential.terms";
  if (!request.matrix_exponential().has_terms()) return std::nullopt;
  const int terms = request.matrix_exponential().terms();
  if (request.method() != v1::METHOD_SERIES) {
    return ConflictingFieldsError(kField, absl::StrCat("is ", terms),
                                  "terms are of METHOD_SERIES");
  }
  if (terms < 1) {
    return OutOfRangeError(kField, absl::StrCat(terms), "it must be >= 1");
  }
  return terms;
}

// The family, its exponent or its terms.
absl::Status SetFamily(const v1::SolveRequest& request, const Limits& limits,
                       PowerRegressionOptions* options) {
  if (request.has_matrix_exponential()) {
    options->family = PowerFamily::kMatrixExponential;
    if (absl::Status alone = CheckExponentialAlone(request); !alone.ok()) {
      return alone;
    }
    const auto terms = TermsOf(request);
    if (!terms.ok()) return terms.status();
    options->terms = *terms;
    return absl::OkStatus();
  }
  const bool even = request.has_gram_power();
  options->family =
      even ? PowerFamily::kGramPower : PowerFamily::kLeftGramPower;
  const absl::StatusOr<int> exponent =
      even ? ExponentOf("gram_power.exponent", request.gram_power().exponent(),
                        1, limits)
           : ExponentOf("left_gram_power.exponent",
                        request.left_gram_power().exponent(), 0, limits);
  if (!exponent.ok()) return exponent.status();
  options->exponent = *exponent;
  return absl::OkStatus();
}

absl::StatusOr<PowerRegressionOptions> PowerOptionsOf(
    const v1::SolveRequest& request, const SharedOptions& shared,
    const MatrixInput& a, const Limits& limits) {
  PowerRegressionOptions options;
  options.tolerance = shared.tolerance;
  options.max_iterations =
      shared.max_iterations.value_or(options.max_iterations);
  options.ridge = shared.ridge;
  options.extended_output = request.extended_output();
  options.seed = {SeedOf(request)};
  if (absl::Status family = SetFamily(request, limits, &options);
      !family.ok()) {
    return family;
  }
  if (request.method() != v1::METHOD_UNSPECIFIED) {
    const absl::StatusOr<PowerMethod> method =
        request.has_matrix_exponential() ? ExponentialMethodOf(request.method())
                                         : PowerMethodOf(request.method());
    if (!method.ok()) return method.status();
    options.method = *method;
  }
  const absl::StatusOr<SketchOptions> sketch = SketchOf(request, a);
  if (!sketch.ok()) return sketch.status();
  options.sketch = *sketch;
  return options;
}

absl::Status CheckKernelAlone(const v1::SolveRequest& request,
                              const MatrixInput& a) {
  if (a.csr() != nullptr) {
    return ConflictingFieldsError(
        a.csr()->path(),
        a.stored() == nullptr ? "is set" : "names a CSR matrix",
        "attention_kernel takes a dense matrix");
  }
  if (request.extended_output()) {
    return ConflictingFieldsError("extended_output", "is true",
                                  "attention_kernel has no extended output");
  }
  return request.has_sketch() ? CheckSketchBelongs(request) : absl::OkStatus();
}

absl::StatusOr<AttentionKernelOptions> KernelOptionsOf(
    const v1::SolveRequest& request, const SharedOptions& shared,
    const MatrixInput& a) {
  if (absl::Status alone = CheckKernelAlone(request, a); !alone.ok()) {
    return alone;
  }
  absl::StatusOr<AttentionKernelOptions> options =
      KernelOptionsFromProto(request, a.rows());
  if (!options.ok()) return options;
  options->tolerance = shared.tolerance.value_or(options->tolerance);
  options->max_iterations =
      shared.max_iterations.value_or(options->max_iterations);
  options->ridge = shared.ridge;
  options->seed = SeedOf(request);
  return options;
}

absl::StatusOr<std::variant<PowerRegressionOptions, AttentionKernelOptions>>
OptionsOf(const v1::SolveRequest& request, const MatrixInput& a,
          const Limits& limits) {
  const absl::StatusOr<SharedOptions> shared = SharedOptionsOf(request);
  if (!shared.ok()) return shared.status();
  const int method = static_cast<int>(request.method());
  if (!v1::Method_IsValid(method)) {
    return UnknownEnumError("method", method, "Method");
  }
  switch (request.problem_case()) {
    case v1::SolveRequest::kGramPower:
    case v1::SolveRequest::kLeftGramPower:
    case v1::SolveRequest::kMatrixExponential:
      return PowerOptionsOf(request, *shared, a, limits);
    case v1::SolveRequest::kAttentionKernel:
      return KernelOptionsOf(request, *shared, a);
    case v1::SolveRequest::PROBLEM_NOT_SET:
      break;
  }
  return FieldRequiredError(
      "problem",
      "gram_power, left_gram_power, matrix_exponential or attention_kernel");
}

absl::StatusOr<TensorInput> UncheckedRightHandSide(
    const v1::SolveRequest& request, const Limits& limits,
    const MatrixLookup& matrices) {
  TensorRule rule{.extents_min = 1,
                  .extents_max = 2,
                  .cols_max = limits.right_hand_sides_max,
                  .cols_limit = "right_hand_sides_max"};
  switch (request.right_hand_side_case()) {
    case v1::SolveRequest::kB:
      return TensorFromProto(request.b(), "b", rule, limits);
    case v1::SolveRequest::kBMatrix:
      rule.extents_min = 2;
      return StoredTensor(matrices, request.b_matrix(), "b_matrix", rule,
                          limits);
    case v1::SolveRequest::RIGHT_HAND_SIDE_NOT_SET:
      break;
  }
  return FieldRequiredError("b", "it or b_matrix holds the right-hand sides");
}

// b has rows(M) rows: n for left_gram_power and attention_kernel, d otherwise.
absl::StatusOr<TensorInput> RightHandSideFromProto(
    const v1::SolveRequest& request, const MatrixInput& a, const Limits& limits,
    const MatrixLookup& matrices) {
  absl::StatusOr<TensorInput> b =
      UncheckedRightHandSide(request, limits, matrices);
  if (!b.ok()) return b;
  const bool by_rows =
      request.has_left_gram_power() || request.has_attention_kernel();
  const Index required = by_rows ? a.rows() : a.cols();
  if (b->rows() != required) {
    return WrongShapeError(
        b->PathOfExtent(0),
        b->stored() == nullptr ? absl::StrCat("is ", b->rows())
                               : absl::StrCat("has ", b->rows(), " rows"),
        absl::StrCat("a has ", required, by_rows ? " rows" : " columns"));
  }
  return b;
}

// Unset: no limit. A limit beyond kTimeLimitSecondsMax is none.
absl::StatusOr<std::optional<std::chrono::nanoseconds>> TimeLimitOf(
    const v1::SolveRequest& request) {
  if (!request.has_time_limit()) return std::nullopt;
  const std::int64_t seconds = request.time_limit().seconds();
  const std::int32_t nanos = request.time_limit().nanos();
  const bool valid = seconds >= 0 && seconds <= kDurationSecondsMax &&
                     nanos >= 0 && nanos <= kNanosMax &&
                     (seconds > 0 || nanos > 0);
  if (!valid) {
    return OutOfRangeError(
        "time_limit",
        absl::StrCat("{seconds: ", seconds, ", nanos: ", nanos, "}"),
        "it must be a valid duration > 0");
  }
  if (seconds > kTimeLimitSecondsMax) return std::nullopt;
  return std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanos);
}

const char* NameOf(PowerFamily family) {
  switch (family) {
    case PowerFamily::kGramPower:
      return "gram_power";
    case PowerFamily::kLeftGramPower:
      return "left_gram_power";
    case PowerFamily::kMatrixExponential:
      return "matrix_exponential";
  }
  return "gram_power";
}

// Numbers of x, and of x_low where it is asked for.
double SolutionNumbers(const SolveProblem& problem) {
  return (problem.extended_output() ? 2.0 : 1.0) *
         static_cast<double>(problem.solution_rows()) *
         static_cast<double>(problem.right_hand_sides());
}

}  // namespace

Index SolveProblem::solution_rows() const {
  return std::holds_alternative<AttentionKernelOptions>(options_) ? a_.rows()
                                                                  : a_.cols();
}

bool SolveProblem::extended_output() const {
  const auto* const power = std::get_if<PowerRegressionOptions>(&options_);
  return power != nullptr && power->extended_output;
}

absl::StatusOr<SolveProblem> SolveProblemFromProto(
    const v1::SolveRequest& request, const Limits& limits,
    const MatrixLookup& matrices) {
  if (!request.has_a()) return FieldRequiredError("a", "it holds the matrix");
  absl::StatusOr<MatrixInput> a = MatrixFromProto(
      request.a(), "a", {.extents_max = 2, .cols_max = limits.columns_max},
      limits, matrices);
  if (!a.ok()) return a.status();
  const auto options = OptionsOf(request, *a, limits);
  if (!options.ok()) return options.status();
  absl::StatusOr<TensorInput> b =
      RightHandSideFromProto(request, *a, limits, matrices);
  if (!b.ok()) return b.status();

  absl::StatusOr<std::optional<TensorInput>> row_ridge =
      RowRidgeFromProto(request.attention_kernel(), a->rows(), limits);
  if (!row_ridge.ok()) return row_ridge.status();

  SolveProblem problem(*std::move(a), *std::move(b));
  problem.options_ = *options;
  problem.row_ridge_ = *std::move(row_ridge);
  problem.seed_ = SeedOf(request);
  const auto time_limit = TimeLimitOf(request);
  if (!time_limit.ok()) return time_limit.status();
  problem.time_limit_ = *time_limit;
  const absl::StatusOr<std::int64_t> bytes = MaxResponseBytes(
      request.has_max_response_bytes()
          ? std::optional<std::int64_t>(request.max_response_bytes())
          : std::nullopt,
      limits);
  if (!bytes.ok()) return bytes.status();
  problem.max_response_bytes_ = *bytes;
  return problem;
}

PowerShape ShapeOf(const SolveProblem& problem) {
  return {.n = problem.a().rows(),
          .d = problem.a().cols(),
          .k = problem.right_hand_sides(),
          .nonzeros = problem.a().nonzeros()};
}

double BytesBesideCore(const SolveProblem& problem) {
  const auto copies =
      static_cast<double>(problem.a().copy_bytes() + problem.b().copy_bytes());
  // Message and wire form, each with x (8 bytes a number, 4 more where it needs
  // an exponent) and the report.
  const auto k = static_cast<double>(problem.right_hand_sides());
  return copies + 2.0 * (12.0 * SolutionNumbers(problem) +
                         kReportEntryBytesMax * k + kReportBytesMax);
}

Cost CostOf(const SolveProblem& problem, int workers) {
  const PowerShape shape = ShapeOf(problem);
  Cost cost =
      std::holds_alternative<AttentionKernelOptions>(problem.options())
          ? CostOfAttentionKernelRegression(
                shape.n, shape.d, shape.k,
                std::get<AttentionKernelOptions>(problem.options()), workers)
          : CostOfPowerRegression(
                shape, std::get<PowerRegressionOptions>(problem.options()),
                workers);
  cost.bytes += BytesBesideCore(problem);
  return cost;
}

std::string DescriptionOf(const SolveProblem& problem) {
  std::string family = "attention_kernel";
  if (const auto* const power =
          std::get_if<PowerRegressionOptions>(&problem.options())) {
    family = NameOf(power->family);
    if (power->family != PowerFamily::kMatrixExponential) {
      absl::StrAppend(&family, " ", power->exponent);
    }
  }
  return absl::StrCat(family, ": a ", problem.a().Description(), ", b ",
                      problem.b().Description());
}

absl::Status AtProtoPath(const absl::Status& status,
                         const SolveProblem& problem) {
  const absl::Status at_a = problem.a().AtPath(status, "a");
  return AtTensor(AtKernelPath(at_a), "b", problem.b());
}

absl::Status CheckResponseSize(const SolveProblem& problem) {
  return CheckFits(8.0 * SolutionNumbers(problem), problem.max_response_bytes(),
                   kStreamSolve);
}

}  // namespace steelyard::server
