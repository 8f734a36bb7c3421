// f of the attention scores A_ij = f(<q_i, k_j>) / sum_l f(<q_i, k_l>).
#pragma once

#include <optional>
#include <variant>
#include <vector>

namespace steelyard::client {

// f(x) = |x|^p.
struct Power {
  // Dimensionless, in [1, 64]. p = 2 has exact sensitivities everywhere; other
  // p have upper bounds, refined to exact ones near epsilon where keys are at
  // hand.
  double p = 2.0;
};

// coefficient * |x|^p.
struct PowerTerm {
  double coefficient = 1.0;  // > 0, finite.
  double p = 2.0;            // In [1, 64].
};

// f(x) = sum of the terms. 1 to 16 of them.
struct PowerSum {
  std::vector<PowerTerm> terms;
};

// What is given up for softmax: no set of keys that is independent of n holds
// every large score.
enum class SoftmaxMode {
  // Scores are shares among the universal set of p = 2 (and, in Attend, sinks
  // and local keys); a large score elsewhere is missed.
  kHeuristic,
  // Every score >= epsilon, always; the cost depends on the data and never
  // exceeds that of scoring every key.
  kCertified,
};

// f(x) = exp(scale x).
struct Softmax {
  SoftmaxMode mode = SoftmaxMode::kCertified;
  // Finite, not 0. Unset: 1 / sqrt(d).
  std::optional<double> scale = std::nullopt;
};

using ScoreFunction = std::variant<Power, PowerSum, Softmax>;

}  // namespace steelyard::client
