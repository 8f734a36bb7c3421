#include "server/handlers/least_work.h"

#include <algorithm>
#include <variant>

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
  return FactorFlops(problem.keys());
}

double LeastFlops(const HeavyProblem& problem) {
  return FactorFlops(problem.keys());
}

double LeastFlops(const SolveProblem& problem) {
  if (std::holds_alternative<PowerRegressionOptions>(problem.options())) {
    return FactorFlops(problem.a());
  }
  const auto n = static_cast<double>(problem.a().rows());
  return n * n * static_cast<double>(problem.a().cols());
}

}  // namespace steelyard::server
