#include "server/handlers/least_work.h"

#include <algorithm>
#include <variant>

#include "server/handlers/heavy_source.h"

namespace steelyard::server {
namespace {

// A triangular factor of each head, K'K or KK' by symmetry.
double FactorFlops(const TensorInput& matrix) {
  const auto n = static_cast<double>(matrix.rows());
  const auto d = static_cast<double>(matrix.cols());
  return static_cast<double>(matrix.heads()) * n * d * std::min(n, d);
}

}  // namespace

double LeastFlops(const UniversalSetProblem& problem) {
  const auto d = static_cast<double>(problem.keys().cols());
  double flops = 0.0;
  // Padding is not read.
  for (const Index keys : KeyCounts(problem)) {
    const auto n = static_cast<double>(keys);
    flops += n * d * std::min(n, d);
  }
  return flops;
}

double LeastFlops(const HeavyProblem& problem) {
  return LeastFlops(problem.terms()) + LeastFlopsOfBlock(problem);
}

double LeastFlops(const HeavyTerms& terms) {
  if (!terms.keys().has_value()) return 0.0;
  // Certified softmax reads the keys; causal streams do that with each block.
  if (NeedsPages(terms) || NeedsPlainKeys(terms)) {
    return static_cast<double>(terms.keys()->heads()) *
           static_cast<double>(terms.keys()->rows()) *
           static_cast<double>(terms.keys()->cols());
  }
  return FactorFlops(*terms.keys());
}

double LeastFlopsOfBlock(const HeavyProblem& problem) {
  return problem.rows().count() *
         static_cast<double>(problem.terms().shape().columns);
}

double LeastFlops(const SolveProblem& problem) {
  if (std::holds_alternative<PowerRegressionOptions>(problem.options())) {
    return FactorFlops(problem.a());
  }
  const auto n = static_cast<double>(problem.a().rows());
  return n * n * static_cast<double>(problem.a().cols());
}

}  // namespace steelyard::server
