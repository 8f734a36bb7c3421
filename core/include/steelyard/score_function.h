// f of the attention scores A_ij = f(<q_i, k_j>) / sum_l f(<q_i, k_l>).
//
// SOURCE  NUMERICS N7. [KBKW25] LevAttention, section 2.
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace steelyard {

// |x|^p, p in [1, 64].
struct Power {
  double p = 2.0;
};

// c |x|^p, c > 0.
struct PowerTerm {
  double coefficient = 1.0;
  double p = 2.0;
};

// A sum of 1 to 16 such terms.
struct PowerSum {
  std::vector<PowerTerm> terms;
};

enum class SoftmaxMode {
  kHeuristic,  // only keys of the p = 2 set and local keys are looked at
  kCertified,  // every score >= epsilon, always; cost depends on the data
};

// exp(scale x). Whoever makes one has resolved the default, 1 / sqrt(d).
struct Softmax {
  SoftmaxMode mode = SoftmaxMode::kCertified;
  double scale = 1.0;
};

using ScoreFunction = std::variant<Power, PowerSum, Softmax>;

// f is |x|^2 up to a factor: the function with exact sensitivities in one pass.
bool IsSquare(const ScoreFunction& function);

// "|x|^1.5", "2|x|^2 + 0.5|x|^4", "softmax, certified".
std::string DescriptionOf(const ScoreFunction& function);

}  // namespace steelyard
