#include "power/exponential_error.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// Intervals shrink by 2 towards both ends down to 2^-40.
constexpr int kDyadicSteps = 40;

std::vector<double> Nodes() {
  std::vector<double> nodes{0.0};
  for (int e = kDyadicSteps; e >= 1; --e) nodes.push_back(std::ldexp(1.0, -e));
  for (int e = 2; e <= kDyadicSteps; ++e) {
    nodes.push_back(1.0 - std::ldexp(1.0, -e));
  }
  nodes.push_back(1.0);
  return nodes;
}

}  // namespace

double ExponentialError(const std::vector<double>& s,
                        const std::vector<double>& shifts,
                        const std::vector<double>& b, double x_norm) {
  if (x_norm == 0.0) return std::numeric_limits<double>::max();
  const std::vector<double> nodes = Nodes();
  double integral = 0.0;
  double b_norm = 0.0;
  for (const double entry : b) b_norm = std::hypot(b_norm, entry);
  for (std::size_t node = 0; node + 1 < nodes.size(); ++node) {
    const double from = nodes[node];
    const double left = 1.0 - nodes[node + 1];
    double root = 0.0;     // max s e^-((1 - t) h), rising in t
    double plain = 0.0;    // |e^-(t h) V'b|^2, falling in t
    double weighed = 0.0;  // |s e^-(t h) V'b|^2
    for (std::size_t i = 0; i < s.size(); ++i) {
      root = std::max(root, s[i] * std::exp(-left * shifts[i]));
      const double x = std::exp(-from * shifts[i]) * b[i];
      plain += x * x;
      weighed += s[i] * x * (s[i] * x);
    }
    integral += (nodes[node + 1] - from) *
                (root * std::sqrt(plain) + std::sqrt(weighed));
  }
  return kUnitRoundoff * (2.0 * s.front() * integral + b_norm + 2.0 * x_norm) /
         x_norm;
}

}  // namespace steelyard
