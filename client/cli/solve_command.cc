#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/kernel_flags.h"
#include "client/cli/progress_bar.h"
#include "client/cli/solve_inputs.h"
#include "client/cli/solve_report.h"
#include "client/cli/stopwatch.h"
#include "client/cli/verdict_report.h"
#include "client/tensor_files/tensor_output.h"

namespace steelyard::cli {
namespace {

using client::Method;
using client::SketchKind;

struct Question {
  client::Problem problem;
  client::SolveOptions options;
};

// Flags that belong to other problems are mistakes, not noise.
absl::Status CheckFlagsFit(const Arguments& arguments,
                           const std::string& problem) {
  const bool kernel = problem == "attention-kernel";
  const bool power = problem == "gram-power" || problem == "left-gram-power";
  const auto refuse = [&problem](const char* flag, const char* where) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, " goes with ", where, ", not with ", problem));
  };
  for (const char* flag : {"scale", "normalization", "row-ridge",
                           "preconditioner", "preconditioner-rank"}) {
    if (arguments.Has(flag) && !kernel) return refuse(flag, "attention-kernel");
  }
  for (const char* flag : {"exponent", "extended"}) {
    if (arguments.Has(flag) && !power) {
      return refuse(flag, "gram-power and left-gram-power");
    }
  }
  if (arguments.Real("ridge").value_or(0.0) > 0 && !kernel && !power) {
    return refuse("ridge", "the powers and the kernel");
  }
  const std::string method = arguments.Text("method").value_or("automatic");
  const bool sketches = method == "sketch" || method == "published" ||
                        (method == "automatic" && !kernel);
  for (const char* flag : {"sketch", "sketch-rows"}) {
    if (arguments.Has(flag) && (!power || !sketches)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", flag,
                       " goes with gram-power and left-gram-power, by "
                       "--method=sketch, published or automatic"));
    }
  }
  if (arguments.Has("terms") && method != "series") {
    return absl::InvalidArgumentError("--terms goes with --method=series");
  }
  if (problem == "gram-power" && arguments.Integer("exponent") == 0) {
    return absl::InvalidArgumentError(
        "--exponent is 0; gram-power requires [1, 64]");
  }
  return CheckKernelFlags(arguments);
}

bool TakesExtended(const client::Problem& problem) {
  return std::holds_alternative<client::GramPower>(problem) ||
         std::holds_alternative<client::LeftGramPower>(problem);
}

client::Problem ProblemOf(const Arguments& arguments,
                          const std::string& problem) {
  const std::optional<int64_t> exponent = arguments.Integer("exponent");
  if (problem == "gram-power") {
    return client::GramPower{static_cast<int>(exponent.value_or(1))};
  }
  if (problem == "left-gram-power") {
    return client::LeftGramPower{static_cast<int>(exponent.value_or(0))};
  }
  if (problem == "matrix-exponential") {
    client::MatrixExponential exponential;
    if (const auto terms = arguments.Integer("terms")) {
      exponential.terms = static_cast<int32_t>(*terms);
    }
    return exponential;
  }
  return KernelOf(arguments);
}

Method MethodOf(const Arguments& arguments) {
  const std::string name = arguments.Text("method").value_or("automatic");
  if (name == "gram") return Method::kGram;
  if (name == "qr") return Method::kQr;
  if (name == "svd") return Method::kSvd;
  if (name == "cholesky") return Method::kCholesky;
  if (name == "conjugate-gradient") return Method::kConjugateGradient;
  if (name == "sketch") return Method::kSketch;
  if (name == "published") return Method::kSketchPublished;
  if (name == "series") return Method::kSeries;
  if (name == "block-coordinate") return Method::kBlockCoordinate;
  return Method::kAutomatic;
}

std::optional<client::SketchOptions> SketchOf(const Arguments& arguments) {
  const std::optional<std::string> kind = arguments.Text("sketch");
  const std::optional<int64_t> rows = arguments.Integer("sketch-rows");
  if (!kind && !rows) return std::nullopt;
  client::SketchOptions sketch{.rows = rows};
  if (kind == "gaussian") sketch.kind = SketchKind::kGaussian;
  if (kind == "srht") sketch.kind = SketchKind::kSrht;
  if (kind == "count-sketch") sketch.kind = SketchKind::kCountSketch;
  if (kind == "sparse-sign") sketch.kind = SketchKind::kSparseSign;
  return sketch;
}

absl::StatusOr<Question> QuestionOf(const Arguments& arguments) {
  const std::optional<std::string> problem = arguments.Text("problem");
  if (!problem) {
    return absl::InvalidArgumentError(
        "'solve' needs --problem=gram-power, left-gram-power, "
        "matrix-exponential or attention-kernel");
  }
  if (auto fit = CheckFlagsFit(arguments, *problem); !fit.ok()) return fit;
  // Without exponents of their own, x_low does not fit beside x.
  if (const auto output = arguments.Text("output")) {
    auto good = tensor_files::CheckOutputPath(
        *output, arguments.Has("extended") ? 2 : 1);
    if (!good.ok()) return good;
  }
  Question question;
  question.problem = ProblemOf(arguments, *problem);
  client::SolveOptions& options = question.options;
  options.tolerance = arguments.Real("tolerance");
  options.ridge = arguments.Real("ridge");
  options.method = MethodOf(arguments);
  options.sketch = SketchOf(arguments);
  options.extended_output = arguments.Has("extended");
  if (const auto most = arguments.Integer("max-iterations")) {
    options.max_iterations = static_cast<int32_t>(*most);
  }
  options.seed = arguments.Unsigned("seed");
  if (const auto limit = arguments.Seconds("time-limit")) {
    options.time_limit = client::Seconds(*limit);
  }
  return question;
}

ExitCode CodeOf(const SolveAnswer& answer) {
  if (answer.check && !answer.check->verdict.held()) {
    return ExitCode::kCertificateBroken;
  }
  return answer.solution.report.termination == client::Termination::kConverged
             ? ExitCode::kOk
             : ExitCode::kNotConverged;
}

void Verify(const SolveInputs& inputs, const Question& question,
            SolveAnswer* answer) {
  const Stopwatch stopwatch;
  const auto check = [&](const auto& a) {
    return verify::CheckSolve(a, *inputs.b, question.problem, question.options,
                              answer->solution);
  };
  answer->check = inputs.sparse_a ? check(*inputs.sparse_a) : check(*inputs.a);
  answer->verify_seconds = stopwatch.seconds();
}

}  // namespace

ExitCode RunSolve(const Arguments& arguments, const Console& console) {
  auto question = QuestionOf(arguments);
  const auto names = SolveNamesOf(arguments);
  const auto access = Connect(arguments, console);
  for (const absl::Status& status :
       {question.status(), names.status(), access.status()}) {
    if (!status.ok()) return ReportBadArguments(status, console);
  }
  SolveInputs inputs = LoadSolveInputs(*names, *access, console);
  if (inputs.code != ExitCode::kOk) return inputs.code;
  if (auto* kernel = std::get_if<client::AttentionKernel>(&question->problem)) {
    kernel->row_ridge = std::move(inputs.row_ridge);
  }

  SolveAnswer answer;
  answer.of_stored_matrix = names->a_stored.has_value();
  const Stopwatch stopwatch;
  {
    ProgressBar bar(console.err, console.err_is_terminal);
    auto solution = access->client.StreamSolve(
        inputs.a_source(), inputs.b_source(), question->problem,
        question->options,
        [&bar](const client::Progress& progress) { bar.Show(progress); },
        access->call);
    bar.Clear();
    if (!solution.ok()) {
      return ReportCallError(solution.status(), access->address, console);
    }
    answer.solution = *std::move(solution);
  }
  answer.call_seconds = stopwatch.seconds();
  answer.extended_would_help =
      TakesExtended(question->problem) && !question->options.extended_output;
  if (arguments.Has("verify")) Verify(inputs, *question, &answer);
  if (arguments.Has("json")) {
    PrintSolveJson(answer, console.out);
  } else {
    PrintSolveText(answer, arguments.Integer("show").value_or(10), console.out);
  }
  if (const auto path = arguments.Text("output")) {
    if (auto written = WriteSolution(*path, answer.solution); !written.ok()) {
      return ReportError(ExitCode::kFile, std::string(written.message()),
                         console);
    }
  }
  return CodeOf(answer);
}

}  // namespace steelyard::cli
