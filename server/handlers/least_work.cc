#include "server/handlers/least_work.h"

#include <algorithm>
#include <variant>
#include <vector>

#include "server/handlers/heavy_source.h"

namespace steelyard::server {
namespace {

// Padding is not read.
std::vector<Index> RowCounts(const TensorInput& matrix,
                             const Lengths& lengths) {
  if (!lengths.empty()) return lengths;
  return std::vector<Index>(static_cast<std::size_t>(matrix.heads()),
                            matrix.rows());
}

// A triangular factor of each head, K'K or KK' by symmetry.
double FactorFlops(const TensorInput& matrix, const Lengths& lengths = {}) {
  const auto d = static_cast<double>(matrix.cols());
  double flops = 0.0;
  for (const Index rows : RowCounts(matrix, lengths)) {
    const auto n = static_cast<double>(rows);
    flops += n * d * std::min(n, d);
  }
  return flops;
}

// Each number is looked at.
double ReadFlops(const TensorInput& matrix, const Lengths& lengths) {
  double rows = 0.0;
  for (const Index count : RowCounts(matrix, lengths)) {
    rows += static_cast<double>(count);
  }
  return rows * static_cast<double>(matrix.cols());
}

}  // namespace

double LeastFlops(const UniversalSetProblem& problem) {
  return FactorFlops(problem.keys(), problem.lengths());
}

double LeastFlops(const HeavyProblem& problem) {
  const HeavyTerms& terms = problem.terms();
  const double of_block = LeastFlopsOfBlock(problem);
  // Few queries by other functions are multiplied with every key, without a
  // set.
  if (terms.keys().has_value() && !IsSquare(terms.options().function)) {
    return ReadFlops(*terms.keys(), terms.lengths()) + of_block;
  }
  return LeastFlops(terms) + of_block;
}

double LeastFlops(const HeavyTerms& terms) {
  if (!terms.keys().has_value()) return 0.0;
  // Certified softmax reads the keys; causal streams do that with each block.
  if (NeedsPages(terms) || NeedsPlainKeys(terms)) {
    return ReadFlops(*terms.keys(), terms.lengths());
  }
  return FactorFlops(*terms.keys(), terms.lengths());
}

double LeastFlopsOfBlock(const HeavyProblem& problem) {
  return problem.rows().count() *
         static_cast<double>(problem.terms().shape().columns);
}

double LeastFlops(const AttendProblem& problem) {
  return LeastFlops(problem.terms()) + LeastFlopsOfBlock(problem);
}

double LeastFlops(const AttendTerms& terms) {
  if (!terms.keys().has_value()) return 0.0;
  // A set of any function starts from a factor; sinks and local keys do not.
  return terms.search().has_value()
             ? FactorFlops(*terms.keys(), terms.lengths())
             : ReadFlops(*terms.keys(), terms.lengths());
}

double LeastFlopsOfBlock(const AttendProblem& problem) {
  return problem.rows().count() *
         static_cast<double>(problem.terms().shape().columns);
}

double LeastFlops(const SolveProblem& problem) {
  const auto n = static_cast<double>(problem.a().rows());
  const auto d = static_cast<double>(problem.a().cols());
  // A factor may be there, which is then multiplied with each right-hand side.
  if (problem.a().stored() != nullptr) {
    return static_cast<double>(problem.solution_rows()) *
           static_cast<double>(problem.right_hand_sides());
  }
  if (!std::holds_alternative<PowerRegressionOptions>(problem.options())) {
    return n * n * d;
  }
  // Read, and a triangular factor of as few rows as carry the rank.
  const double numbers = problem.a().nonzeros().has_value()
                             ? static_cast<double>(*problem.a().nonzeros())
                             : n * d;
  const auto& options = std::get<PowerRegressionOptions>(problem.options());
  if (options.method == PowerMethod::kSeries) return numbers;
  return numbers + d * std::min(n, d) * std::min(n, d);
}

// Each pair of rows is multiplied, and each value with every weight.
double LeastFlops(const PredictProblem& problem) {
  const auto numbers =
      static_cast<double>(problem.a().cols() + problem.x().cols());
  return static_cast<double>(problem.a().rows()) *
         static_cast<double>(problem.queries().rows()) * numbers;
}

}  // namespace steelyard::server
