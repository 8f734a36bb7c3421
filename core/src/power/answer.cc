#include "power/answer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

namespace steelyard {
namespace {

constexpr std::int64_t kLargestExponent = 1023;
constexpr std::int64_t kSmallestExponent = -1022;
// So that the low part, 106 bits below, is a normal number too.
constexpr std::int64_t kSmallestWithLow = kSmallestExponent + 107;

std::size_t At(Index e) { return static_cast<std::size_t>(e); }

// std::ilogb of a number that is not 0; a plain load where it is normal.
std::int64_t ExponentOf(double x) {
  const auto field = static_cast<std::int64_t>(
      (std::bit_cast<std::uint64_t>(x) >> 52) & 0x7ff);
  return field != 0 ? field - 1023 : std::ilogb(x);
}

// std::ldexp; a product where 2^exponent is a normal number.
double Shifted(double x, std::int64_t exponent) {
  if (exponent >= kSmallestExponent && exponent <= kLargestExponent) {
    return x * std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023)
                                     << 52);
  }
  return std::ldexp(
      x, static_cast<int>(std::clamp<std::int64_t>(exponent, -4000, 4000)));
}

// Does every entry fit float64?
bool AllFit(const Matrix<double>& hi,
            const std::vector<std::int64_t>& exponents, bool with_low) {
  const std::int64_t least = with_low ? kSmallestWithLow : kSmallestExponent;
  for (Index e = 0; e < hi.size(); ++e) {
    const double x = hi.data()[e];
    if (x == 0.0) continue;
    const std::int64_t exponent = ExponentOf(x) + exponents[At(e)];
    if (exponent < least || exponent > kLargestExponent) return false;
  }
  return true;
}

void Put(const std::vector<double>& from, Index first,
         std::vector<double>& to) {
  std::copy(from.begin(), from.end(), to.begin() + first);
}

}  // namespace

bool AssembleX(Matrix<double> hi, Matrix<double> lo,
               const std::vector<std::int64_t>& exponents, Solution& solution) {
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  const bool with_low = !lo.empty();
  const bool fits = AllFit(hi, exponents, with_low);
  if (!fits) solution.x_exponents.assign(At(hi.size()), 0);
  bool in_range = true;
  for (Index e = 0; e < hi.size(); ++e) {
    double& x = hi.data()[e];
    if (x == 0.0) continue;
    // Mantissas in [0.5, 1) when exponents are returned beside them.
    const std::int64_t own = fits ? 0 : ExponentOf(x) + 1;
    const std::int64_t shift = fits ? exponents[At(e)] : -own;
    x = Shifted(x, shift);
    if (with_low) lo.data()[e] = Shifted(lo.data()[e], shift);
    if (!fits) {
      const std::int64_t exponent = own + exponents[At(e)];
      in_range = in_range && exponent >= -kMost && exponent <= kMost;
      solution.x_exponents[At(e)] =
          static_cast<int>(std::clamp(exponent, -kMost, kMost));
    }
  }
  solution.x = std::move(hi);
  solution.x_low = std::move(lo);
  return in_range;
}

PowerAnswer::PowerAnswer(Index d, Index k, bool odd)
    : odd_(odd), hi_(d, k), terminations_(At(k), Termination::kConverged) {
  for (auto* ratios :
       {&report_.relative_residual, &report_.residual_floor,
        &report_.backward_error, &report_.optimality, &report_.forward_error}) {
    ratios->assign(At(k), 0.0);
  }
  if (odd) report_.excess_residual.assign(At(k), 0.0);
  report_.converged.assign(At(k), true);
}

void PowerAnswer::Add(Index first, const std::vector<int>& exponents,
                      SliceAnswer slice) {
  const ScaledBlock& x = slice.x;
  if (x.has_low() && lo_.empty()) lo_ = Matrix<double>(hi_.rows(), hi_.cols());
  if (x.cols() > 0) exponents_.resize(At(hi_.size()), 0);
  for (Index i = 0; i < x.rows(); ++i) {
    for (Index c = 0; c < x.cols(); ++c) {
      hi_(i, first + c) = x.hi(i, c);
      if (x.has_low()) lo_(i, first + c) = x.lo(i, c);
      exponents_[At(i * hi_.cols() + first + c)] =
          x.exponents[At(c)] - exponents[At(i)];
    }
  }
  AddReport(first, slice);
}

bool PowerAnswer::PutColumns(Index first, const Matrix<double>& x,
                             const std::vector<int>& exponents, Index from,
                             Index count) {
  constexpr double kLeast = std::numeric_limits<double>::min();
  constexpr double kMost = std::numeric_limits<double>::max();
  std::vector<double> factors;
  for (Index c = from; c < from + count; ++c) {
    const int exponent = exponents[At(c)];
    if (exponent < kSmallestExponent || exponent > kLargestExponent) {
      return false;
    }
    factors.push_back(std::ldexp(1.0, exponent));
  }
  bool fits = true;
  for (Index i = 0; i < x.rows(); ++i) {
    const double* const in = x.row(i) + from;
    double* const out = hi_.row(i) + first;
    for (std::size_t c = 0; c < factors.size(); ++c) {
      const double number = in[c] * factors[c];
      const double size = std::abs(number);
      fits &= (in[c] == 0.0) | ((size >= kLeast) & (size <= kMost));
      out[c] = number;
    }
  }
  return fits;
}

void PowerAnswer::AddReport(Index first, const SliceAnswer& slice) {
  const Certificate& certificate = slice.certificate;
  Put(certificate.relative_residual, first, report_.relative_residual);
  if (odd_) Put(certificate.excess_residual, first, report_.excess_residual);
  Put(certificate.residual_floor, first, report_.residual_floor);
  Put(certificate.backward_error, first, report_.backward_error);
  Put(certificate.optimality, first, report_.optimality);
  Put(certificate.forward_error, first, report_.forward_error);
  if (!certificate.least_squares_backward_error.empty()) {
    std::vector<double>& bounds = report_.least_squares_backward_error;
    // Of slices that there is no time for: E = -A.
    if (bounds.empty()) bounds.assign(At(hi_.cols()), 1.0);
    Put(certificate.least_squares_backward_error, first, bounds);
  }
  for (const int refinements : slice.refinements) {
    report_.iterations = std::max(report_.iterations, refinements);
  }
  Index column = first;
  for (const Termination termination : slice.terminations) {
    terminations_[At(column)] = termination;
    report_.converged[At(column++)] = termination == Termination::kConverged;
  }
  report_.termination = Worst(terminations_);
}

Solution PowerAnswer::Finish(bool extended_output) && {
  Solution solution;
  solution.report = std::move(report_);
  if (extended_output && lo_.empty()) {
    lo_ = Matrix<double>(hi_.rows(), hi_.cols());
  }
  if (exponents_.empty() && !extended_output) {
    solution.x = std::move(hi_);
    return solution;
  }
  exponents_.resize(At(hi_.size()), 0);
  AssembleX(std::move(hi_), extended_output ? std::move(lo_) : Matrix<double>(),
            exponents_, solution);
  return solution;
}

Solution PowerAnswer::Stopped(StopReason why) && {
  AddReport(0, ZeroAnswer(std::vector<bool>(At(hi_.cols()), false), odd_, why));
  report_.method = "stopped before the factorisation was done; x = 0";
  Solution solution;
  solution.report = std::move(report_);
  solution.x = std::move(hi_);
  return solution;
}

}  // namespace steelyard
