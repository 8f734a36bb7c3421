#include "client/verify/solve_check.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/verify/exponential_system.h"
#include "client/verify/kernel_system.h"
#include "client/verify/power_system.h"

namespace steelyard::verify {
namespace {

using client::Termination;
using tensor_files::StoredTensor;

constexpr double kUnit = 0x1p-53;
constexpr double kDefaultKernelTolerance = 1e-8;
constexpr int64_t kWrittenOutMax = int64_t{1} << 28;

using Examiner =
    std::function<SolveFigures(const WideVector& b, const ScaledVector& x)>;

// A problem as the rules see it.
struct Family {
  Examiner examine;
  double floors = 8.0;  // Floors within which a residual counts as one.
  bool is_kernel = false;
  int64_t solution_rows = 0;
  int64_t target_rows = 0;
};

Family FamilyOf(const RowMatrix& a, const client::Problem& problem,
                double ridge) {
  Family family;
  family.solution_rows = a.cols();
  family.target_rows = a.cols();
  const auto power = [&](const PowerProblem& form) {
    family.examine = [system = std::make_shared<PowerSystem>(a, form)](
                         const auto& b, const auto& x) {
      return system->Examine(b, x);
    };
    family.floors = 8.0 * (form.exponent + 1);
    if (form.left) family.target_rows = a.rows();
  };
  if (const auto* gram = std::get_if<client::GramPower>(&problem)) {
    power({.left = false, .exponent = gram->exponent, .ridge = ridge});
  } else if (const auto* left = std::get_if<client::LeftGramPower>(&problem)) {
    power({.left = true, .exponent = left->exponent, .ridge = ridge});
  } else if (const auto* kernel =
                 std::get_if<client::AttentionKernel>(&problem)) {
    auto system = std::make_shared<KernelSystem>(a, *kernel, ridge);
    family.is_kernel = true;
    family.floors = 8.0 * system->logit_size();
    family.solution_rows = a.rows();
    family.target_rows = a.rows();
    family.examine = [system](const auto& b, const auto& x) {
      return system->Examine(b, x);
    };
  } else {
    family.examine = [system = std::make_shared<ExponentialSystem>(a)](
                         const auto& b, const auto& x) {
      return system->Examine(b, x);
    };
    family.floors = 16.0;
  }
  return family;
}

// Column k of x + x_low, with its exponents.
ScaledVector ColumnOf(const client::Solution& solution, Eigen::Index k) {
  const Eigen::Index rows = solution.x.rows();
  WideVector column(rows);
  std::vector<int64_t> exponents(static_cast<std::size_t>(rows), 0);
  int64_t largest = 0;
  bool any = false;
  for (Eigen::Index i = 0; i < rows; ++i) {
    column[i] = static_cast<long double>(solution.x(i, k));
    if (solution.x_low.size() > 0) {
      column[i] += static_cast<long double>(solution.x_low(i, k));
    }
    const Eigen::Index at = i * solution.x.cols() + k;
    int64_t& exponent = exponents[static_cast<std::size_t>(i)];
    if (!solution.x_exponents.empty()) {
      exponent = solution.x_exponents[static_cast<std::size_t>(at)];
    }
    if (column[i] != 0) {
      const int64_t size = exponent + std::ilogb(column[i]);
      largest = any ? std::max(largest, size) : size;
      any = true;
    }
  }
  for (Eigen::Index i = 0; i < rows; ++i) {
    const int64_t by = exponents[static_cast<std::size_t>(i)] - largest;
    column[i] = std::ldexp(
        column[i], static_cast<int>(std::clamp<int64_t>(by, -40000, 40000)));
  }
  ScaledVector result{.mantissa = std::move(column), .exponent = largest};
  result.Normalize();
  return result;
}

class Check {
 public:
  Check(const client::SolveOptions& options, const client::Solution& solution,
        const Family& family)
      : options_(options), report_(solution.report), family_(family) {}

  void Examine(std::size_t k, const SolveFigures& figures, Verdict* verdict) {
    verdict_ = verdict;
    label_ = report_.converged.size() > 1 ? absl::StrCat(" of column ", k) : "";
    const double residual = figures.judged_residual();
    if (std::isnan(residual)) {
      verdict_->AddUnchecked("the residual" + label_, figures.remark);
      return;
    }
    const bool odd = !std::isnan(figures.excess_residual);
    const double phi =
        std::isnan(figures.residual_floor) ? 0.0 : figures.residual_floor;
    const double reported =
        (odd ? report_.excess_residual : report_.relative_residual)[k];
    const double slack = family_.floors * std::max(phi, kUnit);
    Compare(odd ? "the excess residual" : "the residual", reported, residual,
            slack + 0.01 * residual);
    if (odd) {
      Compare("the residual", report_.relative_residual[k],
              figures.relative_residual,
              slack + 0.01 * figures.relative_residual);
    }
    CheckTermination(k, residual, phi);
    if (std::isnan(figures.residual_floor)) return;
    Compare("the residual floor", report_.residual_floor[k], phi, phi);
    if (!std::isnan(figures.backward_error)) {
      Compare("the backward error", report_.backward_error[k],
              figures.backward_error,
              family_.floors * kUnit + 0.01 * figures.backward_error);
    }
    CheckForward(k, figures);
  }

 private:
  void Compare(const std::string& what, double reported, double recomputed,
               double allowed) {
    verdict_->Add(what + label_, std::abs(reported - recomputed) <= allowed,
                  absl::StrFormat("reported %.3g, recomputed %.3g", reported,
                                  recomputed));
  }

  void CheckTermination(std::size_t k, double residual, double phi) {
    const double floor_slack = family_.floors * std::max(phi, kUnit);
    const double tolerance = options_.tolerance  ? *options_.tolerance
                             : family_.is_kernel ? kDefaultKernelTolerance
                                                 : floor_slack;
    if (report_.converged[k]) {
      verdict_->Add("converged: the residual is within the tolerance" + label_,
                    residual <= tolerance + floor_slack,
                    absl::StrFormat("%.3g <= %.3g", residual, tolerance));
    } else if (report_.termination == Termination::kPrecisionFloor) {
      verdict_->Add("precision floor: no residual is much below it" + label_,
                    residual <= 2 * floor_slack,
                    absl::StrFormat("%.3g, floor %.3g", residual, phi));
    } else {
      verdict_->AddUnchecked(
          "termination " + client::Name(report_.termination) + label_,
          "it promises nothing about the residual");
    }
  }

  void CheckForward(std::size_t k, const SolveFigures& figures) {
    if (k >= report_.forward_error.size()) return;
    const double reported = report_.forward_error[k];
    const std::string rule =
        "the solution is as near as its forward error says" + label_;
    if (std::isnan(figures.forward_error) || !(reported < 0.1)) {
      verdict_->AddUnchecked(rule, reported < 0.1 ? "no reference solution"
                                                  : "no digit is certified");
      return;
    }
    // The last rounding of x itself is no part of the estimate.
    const double allowed =
        10 * (reported + figures.reference_error + 2 * kUnit);
    verdict_->Add(rule, figures.forward_error <= allowed,
                  absl::StrFormat("reported %.2g, distance to a refined "
                                  "solution %.2g",
                                  reported, figures.forward_error));
  }

  const client::SolveOptions& options_;
  const client::SolveReport& report_;
  const Family& family_;
  Verdict* verdict_ = nullptr;
  std::string label_;
};

bool ShapesFit(const client::Solution& solution, const Family& family,
               int64_t columns) {
  const auto count = static_cast<std::size_t>(columns);
  const client::SolveReport& report = solution.report;
  return solution.x.rows() == family.solution_rows &&
         solution.x.cols() == columns && report.converged.size() == count &&
         report.relative_residual.size() == count &&
         report.residual_floor.size() == count &&
         report.backward_error.size() == count;
}

SolveCheck CheckRows(const RowMatrix& matrix, const StoredTensor& b,
                     const client::Problem& problem,
                     const client::SolveOptions& options,
                     const client::Solution& solution) {
  SolveCheck check;
  const Family family = FamilyOf(matrix, problem, options.ridge.value_or(0.0));
  const int64_t columns = b.shape().size() > 1 ? b.shape()[1] : 1;
  const bool odd = std::holds_alternative<client::LeftGramPower>(problem);
  const bool fit = ShapesFit(solution, family, columns) &&
                   b.shape()[0] == family.target_rows &&
                   (!odd || solution.report.excess_residual.size() ==
                                static_cast<std::size_t>(columns));
  check.verdict.Add(
      "one column of x and one entry of the report a column of b", fit,
      absl::StrFormat("x is %d x %d", solution.x.rows(), solution.x.cols()));
  if (!fit) return check;
  const std::vector<double> numbers = b.Doubles();
  Check rules(options, solution, family);
  for (int64_t k = 0; k < columns; ++k) {
    WideVector target(family.target_rows);
    for (int64_t i = 0; i < family.target_rows; ++i) {
      target[i] = static_cast<long double>(
          numbers[static_cast<std::size_t>(i * columns + k)]);
    }
    check.right_hand_sides.push_back(
        family.examine(target, ColumnOf(solution, k)));
    rules.Examine(static_cast<std::size_t>(k), check.right_hand_sides.back(),
                  &check.verdict);
  }
  return check;
}

}  // namespace

SolveCheck CheckSolve(const StoredTensor& a, const StoredTensor& b,
                      const client::Problem& problem,
                      const client::SolveOptions& options,
                      const client::Solution& solution) {
  return CheckRows(HeadsOf(a)[0].All(), b, problem, options, solution);
}

SolveCheck CheckSolve(const tensor_files::StoredCsr& a, const StoredTensor& b,
                      const client::Problem& problem,
                      const client::SolveOptions& options,
                      const client::Solution& solution) {
  if (a.rows > kWrittenOutMax / a.columns) {
    SolveCheck check;
    check.verdict.AddUnchecked(
        "the solve", absl::StrCat("A written out would have more than ",
                                  kWrittenOutMax, " numbers"));
    return check;
  }
  return CheckRows(WrittenOut(a), b, problem, options, solution);
}

}  // namespace steelyard::verify
