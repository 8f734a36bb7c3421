#include "client/cli/solve_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "client/cli/entries_text.h"
#include "client/cli/kernel_flags.h"
#include "client/cli/text_table.h"
#include "client/cli/verdict_report.h"
#include "client/tensor_files/tensor_output.h"

namespace steelyard::cli {
namespace {

using client::PreconditionerTrial;
using client::Solution;
using client::SolveReport;
using client::Termination;
using tensor_files::NamedArray;
using verify::SolveFigures;

constexpr std::size_t kRowsMax = 20;  // Of the table of right-hand sides.

std::vector<double> Flat(const client::RowMajorMatrix& matrix) {
  return {matrix.data(), matrix.data() + matrix.size()};
}

// What to do about it.
const char* AdviceOn(const SolveAnswer& answer) {
  switch (answer.solution.report.termination) {
    case Termination::kConverged:
      return "The residual is within the tolerance; see 'forward' for x "
             "itself.";
    case Termination::kPrecisionFloor:
      return answer.extended_would_help
                 ? "x is as good as float64 allows; --extended gives more "
                   "digits."
                 : "Above the tolerance, but as good as the format allows.";
    case Termination::kIllConditioned:
      return "No digit of x is certified; a --ridge makes it solvable.";
    case Termination::kIterationLimit:
      return "The best x so far; see --max-iterations.";
    case Termination::kTimeLimit:
      return "The best x so far; see --time-limit.";
    case Termination::kStopped:
      return "The server was shutting down; the best x so far.";
    case Termination::kUnknown:
      break;
  }
  return "The server gives a reason that this tool does not know.";
}

std::string At(const std::vector<double>& values, std::size_t k) {
  return k < values.size() ? Brief(values[k]) : "-";
}

std::string Known(double value) {
  return std::isnan(value) ? "-" : Brief(value);
}

void PrintRightHandSides(const SolveReport& report, std::ostream& out) {
  const bool odd = !report.excess_residual.empty();
  const bool kernel = !report.componentwise_error.empty();
  std::vector<std::string> headings = {"column", "residual"};
  if (odd) headings.push_back("excess");
  // Least squares: that of the problem, not the ratio that other systems have.
  const std::vector<double>& backward =
      report.least_squares_backward_error.empty()
          ? report.backward_error
          : report.least_squares_backward_error;
  headings.insert(headings.end(), {"floor", "backward", "forward"});
  if (kernel) headings.push_back("componentwise");
  headings.push_back("converged");
  TextTable table(headings);
  const std::size_t count = report.converged.size();
  for (std::size_t k = 0; k < std::min(count, kRowsMax); ++k) {
    std::vector<std::string> cells = {absl::StrCat(k),
                                      At(report.relative_residual, k)};
    if (odd) cells.push_back(At(report.excess_residual, k));
    cells.push_back(At(report.residual_floor, k));
    cells.push_back(At(backward, k));
    cells.push_back(At(report.forward_error, k));
    if (kernel) cells.push_back(At(report.componentwise_error, k));
    cells.push_back(report.converged[k] ? "yes" : "no");
    table.AddRow(std::move(cells));
  }
  table.Print(out);
  if (count > kRowsMax) {
    out << "  (" << count - kRowsMax << " more; see --json)\n";
  }
}

void PrintLapack(const std::vector<SolveFigures>& figures, std::ostream& out) {
  TextTable table({"column", "residual", "LAPACK residual", "error",
                   "LAPACK error", "difference", "LAPACK by"});
  for (std::size_t k = 0; k < std::min(figures.size(), kRowsMax); ++k) {
    const SolveFigures& one = figures[k];
    table.AddRow({absl::StrCat(k), Known(one.judged_residual()),
                  Known(one.lapack_residual), Known(one.forward_error),
                  Known(one.lapack_error), Known(one.difference),
                  one.lapack_method.empty() ? one.remark : one.lapack_method});
  }
  out << "\nRecomputed here in 80-bit arithmetic, LAPACK beside it:\n";
  table.Print(out);
}

// Fewer steps are left the smaller it is: of a digit of the residual.
std::string StepsADigit(double contraction) {
  if (!(contraction > 0.0 && contraction < 1.0)) return "-";
  return Brief(-std::log(10.0) / std::log(contraction));
}

void PrintTrials(const std::vector<PreconditionerTrial>& trials,
                 std::ostream& out) {
  if (trials.empty()) return;
  out << "Preconditioners tried; the least work to the goal wins, in counted "
         "flops:\n";
  TextTable table({"preconditioner", "rank", "steps tried", "residual a step",
                   "steps a digit", "built in"});
  for (const PreconditionerTrial& trial : trials) {
    table.AddRow({FlagNameOf(trial.preconditioner),
                  trial.rank == 0 ? "-" : absl::StrCat(trial.rank),
                  absl::StrCat(trial.iterations),
                  absl::StrCat("x ", Brief(trial.contraction)),
                  StepsADigit(trial.contraction),
                  BriefSeconds(trial.build_time.count())});
  }
  table.Print(out);
  out << "\n";
}

nlohmann::ordered_json TrialsJson(
    const std::vector<PreconditionerTrial>& trials) {
  auto rows = nlohmann::ordered_json::array();
  for (const PreconditionerTrial& trial : trials) {
    rows.push_back({{"preconditioner", FlagNameOf(trial.preconditioner)},
                    {"rank", trial.rank},
                    {"iterations", trial.iterations},
                    {"contraction", trial.contraction},
                    {"build_seconds", trial.build_time.count()}});
  }
  return rows;
}

nlohmann::ordered_json CheckJson(const SolveAnswer& answer) {
  auto columns = nlohmann::ordered_json::array();
  for (const SolveFigures& one : answer.check->right_hand_sides) {
    columns.push_back({{"relative_residual", one.relative_residual},
                       {"excess_residual", one.excess_residual},
                       {"residual_floor", one.residual_floor},
                       {"backward_error", one.backward_error},
                       {"componentwise_error", one.componentwise_error},
                       {"forward_error", one.forward_error},
                       {"reference_error", one.reference_error},
                       {"lapack_method", one.lapack_method},
                       {"lapack_residual", one.lapack_residual},
                       {"lapack_error", one.lapack_error},
                       {"difference", one.difference},
                       {"remark", one.remark}});
  }
  return {{"held", answer.check->verdict.held()},
          {"seconds", answer.verify_seconds},
          {"right_hand_sides", columns},
          {"rules", RulesJson(answer.check->verdict)}};
}

}  // namespace

void PrintSolveJson(const SolveAnswer& answer, std::ostream& out) {
  const Solution& solution = answer.solution;
  const SolveReport& report = solution.report;
  nlohmann::ordered_json json = {
      {"termination", client::Name(report.termination)},
      {"method", report.method},
      {"iterations", report.iterations},
      {"rank", report.rank},
      {"rank_gap", report.rank_gap},
      {"condition_estimate", report.condition_estimate},
      {"seed", report.seed},
      {"factor_cache_hit", report.factor_cache_hit},
      {"log_smallest_ridge", report.log_smallest_ridge},
      {"converged", report.converged},
      {"relative_residual", report.relative_residual},
      {"excess_residual", report.excess_residual},
      {"residual_floor", report.residual_floor},
      {"backward_error", report.backward_error},
      {"least_squares_backward_error", report.least_squares_backward_error},
      {"optimality", report.optimality},
      {"forward_error", report.forward_error},
      {"componentwise_error", report.componentwise_error},
      {"trials", TrialsJson(report.trials)},
      {"x_shape", {solution.x.rows(), solution.x.cols()}},
      {"x", Flat(solution.x)},
      {"x_low", Flat(solution.x_low)},
      {"x_exponents", solution.x_exponents},
      {"queue_seconds", report.queue_time.count()},
      {"compute_seconds", report.compute_time.count()},
      {"call_seconds", answer.call_seconds}};
  if (answer.check) json["verification"] = CheckJson(answer);
  out << json.dump(2) << "\n";
}

void PrintSolveText(const SolveAnswer& answer, int64_t show,
                    std::ostream& out) {
  const SolveReport& report = answer.solution.report;
  out << client::Name(report.termination) << "  " << AdviceOn(answer) << "\n"
      << "  method      " << report.method << "\n"
      << "  rank        " << report.rank << "\n"
      << "  condition   " << Brief(report.condition_estimate) << "\n"
      << "  iterations  " << report.iterations << "\n"
      << "  time        " << BriefSeconds(answer.call_seconds) << ", of which "
      << BriefSeconds(report.compute_time.count()) << " compute\n";
  if (answer.of_stored_matrix) {
    out << "  factor      "
        << (report.factor_cache_hit
                ? "found ready: an earlier solve of this matrix made it\n"
                : "made here, for this and later solves\n");
  }
  if (report.log_smallest_ridge != 0.0) {
    out << "  needs       a ridge of at least e^"
        << Brief(report.log_smallest_ridge) << " = "
        << Brief(std::exp(report.log_smallest_ridge)) << "\n";
  }
  out << "\n";
  PrintTrials(report.trials, out);
  PrintRightHandSides(report, out);
  PrintEntries({"x", answer.solution.x, answer.solution.x_exponents}, show,
               out);
  if (!answer.check) return;
  PrintLapack(answer.check->right_hand_sides, out);
  out << "\n";
  PrintRules(answer.check->verdict, report.converged.size() > 1, "", out);
  PrintOutcome(answer.check->verdict, answer.verify_seconds, out);
}

absl::Status WriteSolution(const std::string& path, const Solution& solution) {
  const std::vector<int64_t> shape = {solution.x.rows(), solution.x.cols()};
  std::vector<NamedArray> arrays = {
      NamedArray::Doubles("x", Flat(solution.x), shape)};
  if (solution.x_low.size() > 0) {
    arrays.push_back(NamedArray::Doubles("x_low", Flat(solution.x_low), shape));
  }
  if (!solution.x_exponents.empty()) {
    arrays.push_back(NamedArray::Integers(
        "x_exponents",
        {solution.x_exponents.begin(), solution.x_exponents.end()}, shape));
  }
  return tensor_files::WriteArraysOrBeside(
      path, arrays,
      {{"content", "steelyard solve: x + x_low, times 2^x_exponents"},
       {"termination", client::Name(solution.report.termination)},
       {"method", solution.report.method}});
}

}  // namespace steelyard::cli
