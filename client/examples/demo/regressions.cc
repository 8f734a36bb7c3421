// Three regressions on a real head, with LAPACK's answer beside ours.
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/input_tensors.h"
#include "client/cli/text_table.h"
#include "client/examples/demo/section.h"
#include "client/verify/solve_check.h"

namespace steelyard::demo {
namespace {

using cli::Brief;

struct Example {
  const char* title;
  const char* right_hand_side;  // Of the fixture.
  client::Problem problem;
  client::SolveOptions options;
};

const Example kExamples[] = {
    {"(A'A)^2 x = b, b a query",
     "layer3.queries[0,100]",
     client::GramPower{2},
     {}},
    {"min |A (A'A) x - b|, b a column of values",
     "layer3.values[0,:,0]",
     client::LeftGramPower{1},
     {}},
    {"exp(A A' / sqrt(32)) x = b, b a column of values",
     "layer3.values[0,:,0]",
     client::AttentionKernel{.scale = 0.17677669529663687},
     {}},
};

std::string Known(double value) {
  return std::isnan(value) ? "-" : Brief(value);
}

std::string First(const std::vector<double>& values) {
  return values.empty() ? "-" : Brief(values[0]);
}

}  // namespace

absl::Status ShowRegressions(Stage* stage) {
  stage->out
      << "\n4. Regressions against attention proxies. A: the 512 x 32 keys of\n"
         "   layer 3, head 0.\n\n";
  const auto a = LoadFixture(*stage, "layer3.keys[0]");
  if (!a.ok()) return a.status();
  cli::TextTable reported(
      {"", "termination", "residual", "floor", "backward", "forward"});
  cli::TextTable recomputed({"", "residual", "LAPACK residual", "error",
                             "LAPACK error", "difference", "LAPACK by",
                             "checked"});
  std::string titles;
  char name = 'a';
  for (const Example& example : kExamples) {
    const auto b = LoadFixture(*stage, example.right_hand_side);
    if (!b.ok()) return b.status();
    const auto solution = stage->client.Solve(cli::ViewOf(*a), cli::ViewOf(*b),
                                              example.problem, example.options);
    if (!solution.ok()) return solution.status();
    const auto check =
        verify::CheckSolve(*a, *b, example.problem, example.options, *solution);
    stage->verdict.Append(check.verdict);
    const client::SolveReport& report = solution->report;
    const std::string label(1, name++);
    absl::StrAppend(&titles, "   ", label, "  ", example.title, "\n");
    reported.AddRow(
        {label, client::Name(report.termination),
         First(report.excess_residual.empty() ? report.relative_residual
                                              : report.excess_residual),
         First(report.residual_floor), First(report.backward_error),
         First(report.forward_error)});
    absl::StrAppend(&titles, "      ", report.method, "\n");
    if (check.right_hand_sides.empty()) continue;
    const verify::SolveFigures& figures = check.right_hand_sides[0];
    recomputed.AddRow(
        {label, Known(figures.judged_residual()),
         Known(figures.lapack_residual), Known(figures.forward_error),
         Known(figures.lapack_error), Known(figures.difference),
         figures.lapack_method, check.verdict.held() ? "held" : "BROKEN"});
  }
  stage->out << titles
             << "\nAs the server reports it (b: the residual above "
                "the smallest possible one):\n";
  reported.Print(stage->out);
  stage->out << "\nRecomputed here in 80-bit arithmetic; errors against a "
                "refined solution:\n";
  recomputed.Print(stage->out);
  return absl::OkStatus();
}

}  // namespace steelyard::demo
