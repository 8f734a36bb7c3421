#include "power/scaled_block.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace steelyard {
namespace {

constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::min();

// ldexp whose exponent may be anything.
double Shift(double x, std::int64_t exponent) {
  return std::ldexp(
      x, static_cast<int>(std::clamp<std::int64_t>(exponent, -5000, 5000)));
}

// Exponent of the largest entry of each column, kNone for zero columns.
std::vector<std::int64_t> TopExponents(const ScaledBlock& block,
                                       const std::vector<int>* row_exponents,
                                       int times) {
  std::vector<std::int64_t> top(block.exponents.size(), kNone);
  for (Index i = 0; i < block.rows(); ++i) {
    const std::int64_t shift =
        row_exponents == nullptr
            ? 0
            : std::int64_t{times} *
                  (*row_exponents)[static_cast<std::size_t>(i)];
    for (Index c = 0; c < block.cols(); ++c) {
      const double entry = block.hi(i, c);
      if (entry == 0.0) continue;
      auto& best = top[static_cast<std::size_t>(c)];
      best = std::max<std::int64_t>(best, std::ilogb(entry) + shift);
    }
  }
  return top;
}

}  // namespace

void ScaleRows(const std::vector<int>& row_exponents, int times,
               ScaledBlock& block) {
  const std::vector<std::int64_t> top =
      TopExponents(block, &row_exponents, times);
  for (Index i = 0; i < block.rows(); ++i) {
    const std::int64_t shift =
        std::int64_t{times} * row_exponents[static_cast<std::size_t>(i)];
    for (Index c = 0; c < block.cols(); ++c) {
      const std::int64_t by = top[static_cast<std::size_t>(c)];
      if (by == kNone) continue;
      block.hi(i, c) = Shift(block.hi(i, c), shift - by);
      if (block.has_low()) block.lo(i, c) = Shift(block.lo(i, c), shift - by);
    }
  }
  for (std::size_t c = 0; c < top.size(); ++c) {
    block.exponents[c] = top[c] == kNone ? 0 : block.exponents[c] + top[c];
  }
}

void AddTo(const ScaledBlock& b, ScaledBlock& a) {
  const std::vector<std::int64_t> top_a = TopExponents(a, nullptr, 0);
  const std::vector<std::int64_t> top_b = TopExponents(b, nullptr, 0);
  for (Index c = 0; c < a.cols(); ++c) {
    const auto at = static_cast<std::size_t>(c);
    if (top_b[at] == kNone) continue;
    const bool zero = top_a[at] == kNone;
    const std::int64_t common =
        zero ? b.exponents[at] : std::max(a.exponents[at], b.exponents[at]);
    for (Index i = 0; i < a.rows(); ++i) {
      const double mine =
          zero ? 0.0 : Shift(a.hi(i, c), a.exponents[at] - common);
      a.hi(i, c) = mine + Shift(b.hi(i, c), b.exponents[at] - common);
    }
    a.exponents[at] = common;
  }
}

std::vector<double> Log2Norms(const ScaledBlock& block) {
  const std::vector<std::int64_t> top = TopExponents(block, nullptr, 0);
  std::vector<double> norms(top.size(),
                            -std::numeric_limits<double>::infinity());
  for (std::size_t c = 0; c < top.size(); ++c) {
    if (top[c] == kNone) continue;
    double sum = 0.0;
    for (Index i = 0; i < block.rows(); ++i) {
      const double entry = Shift(block.hi(i, static_cast<Index>(c)), -top[c]);
      sum += entry * entry;
    }
    norms[c] =
        0.5 * std::log2(sum) + static_cast<double>(top[c] + block.exponents[c]);
  }
  return norms;
}

std::vector<double> SquaresOfColumns(const Matrix<double>& block) {
  std::vector<double> squares(static_cast<std::size_t>(block.cols()), 0.0);
  for (Index i = 0; i < block.rows(); ++i) {
    for (Index c = 0; c < block.cols(); ++c) {
      const double x = block(i, c);
      squares[static_cast<std::size_t>(c)] += x * x;
    }
  }
  return squares;
}

std::vector<double> NormsOfColumns(const Matrix<double>& block) {
  std::vector<double> squares = SquaresOfColumns(block);
  for (double& square : squares) square = std::sqrt(square);
  return squares;
}

}  // namespace steelyard
