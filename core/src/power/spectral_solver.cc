#include "power/spectral_solver.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/column_products.h"
#include "linalg/double_double_rows.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// Roundings of a chain of d fused multiply-adds whose terms have random signs,
// over u times the norm of its terms: (1/2)^(1/2) from the growth of the sums
// and 0.41 from a rounding, u times a mantissa in [1, 2) evenly between 0 and
// 1/2.
constexpr double kChain = 0.3;
// The same of x, whose last terms are the large ones.
constexpr double kLastChain = 0.5;
// (s_1 / s_d)^2j and its square are numbers.
constexpr double kLog2PowerMax = 400.0;
// Columns of fewer digits go through the levels, which refine.
constexpr double kTrusted = 0.01;
// Sums over fewer directions are not near their expected value.
constexpr double kDirectionsMin = 6.0;
// Rows of V'b whose roundings would lie in few directions: the products of the
// smallest singular values are formed in double-double.
constexpr Index kLastRows = 8;
// What lies in few directions must be small beside what is measured.
constexpr double kGuessedMax = 0.05;
// x this far below b is rounding, and underflow comes near.
constexpr double kSmallest = 0x1p-300;

double Square(double x) { return x * x; }

// h_i(a, b) = sum of a^l b^(i-l), l = 0 .. i; 0 for i < 0.
double Complete(double a, double b, int i) {
  if (i < 0) return 0.0;
  double sum = 1.0;
  double power = 1.0;
  for (int l = 1; l <= i; ++l) {
    power *= b;
    sum = a * sum + power;
  }
  return sum;
}

// Of how many numbers of one size `squares` could be the squares.
double Participants(double sum, double sum_of_squares) {
  return sum_of_squares > 0.0 ? sum * sum / sum_of_squares : 0.0;
}

}  // namespace

// Sums over the rows of a slice, a column each.
struct SpectralPower::Sums {
  std::vector<double> b, x, known, rest, moved, residual, gradient;

  explicit Sums(std::size_t k)
      : b(k), x(k), known(k), rest(k), moved(k), residual(k), gradient(k) {}
};

SpectralPower::SpectralPower(const SpectralFactor& spectral, int exponent,
                             const ComputeContext& context)
    : spectral_(spectral),
      exponent_(exponent),
      d_(spectral.v_transposed.rows()),
      m_(spectral.measured),
      below_(m_, d_),
      beside_(d_ - m_, m_) {
  const std::vector<double>& s = spectral.s;
  const int j = exponent;
  usable_ = 2.0 * j * std::log2(s.front()) <= kLog2PowerMax;
  if (!usable_) return;
  const auto at = [](Index p) { return static_cast<std::size_t>(p); };
  double squares = 0.0, rest_sum = 0.0, rest_squares = 0.0;
  for (Index p = 0; p < d_; ++p) {
    const double inverse = std::pow(s[at(p)], -2.0 * j);
    inverse_.push_back(inverse);
    power_.push_back(std::pow(s[at(p)] / s.front(), 2.0 * j));
    if (p < d_ - kLastRows) {
      inverse_square_ += Square(inverse);
      squares += Square(Square(inverse));
    }
    if (p < d_ - m_) {
      rest_sum += Square(inverse);
      rest_squares += Square(Square(inverse));
    }
  }
  directions_ = Participants(inverse_square_, squares);
  rest_directions_ = Participants(rest_sum, rest_squares);
  rest_.assign(s.size(), 0.0);
  moved_.assign(s.size(), 0.0);
  context.workers.ParallelFor(d_, context.stop,
                              [this](Index q) { AddDirection(q); });
  usable_ = !context.stop.stop_requested();
}

// Column q of C.
void SpectralPower::AddDirection(Index q) {
  const auto at = [](Index p) { return static_cast<std::size_t>(p); };
  const std::vector<double>& s = spectral_.s;
  const std::vector<double>& off = spectral_.backward_errors;
  const Index t = q - (d_ - m_);
  const double b = 1.0 / Square(s[at(q)]);
  for (Index p = 0; p < d_; ++p) {
    const double a = 1.0 / Square(s[at(p)]);
    const double of_f = Complete(a, b, exponent_ - 1) / (s[at(p)] * s[at(q)]);
    const double of_n = a * b * Complete(a, b, exponent_ - 2);
    const double size = off[at(p)] * off[at(q)] * (a + b);
    const Index r = p - (d_ - m_);
    if (r >= 0) {
      below_(r, q) = spectral_.f(r, q) * of_f - spectral_.n(r, q) * of_n;
    } else if (t >= 0) {
      beside_(p, t) = spectral_.f(t, p) * of_f - spectral_.n(t, p) * of_n;
    } else {
      rest_[at(q)] += size * Square(of_f);
    }
    moved_[at(q)] += size * Square(power_[at(p)] * of_f);
  }
}

SpectralPower::Answer SpectralPower::Solve(
    const Matrix<double>& b, const std::vector<int>& exponents) const {
  const Index k = b.cols();
  const Index width = PaddedColumns(k);
  const auto v = BlockOf(spectral_.v_transposed);
  Matrix<double> t(d_, width);
  Matrix<double> scaled(d_, width);
  Matrix<double> x(d_, width);
  Sums sums(static_cast<std::size_t>(width));
  // scaled := b, with columns of zeros.
  for (Index i = 0; i < d_; ++i) {
    double* const row = scaled.row(i);
    std::copy_n(b.row(i), k, row);
    for (Index c = 0; c < width; ++c) sums.b[c] += row[c] * row[c];
  }
  // t = V'b, x = V S^-2j t
  AddProduct(v, BlockOf(scaled), BlockOf(t));
  FormLastRows(scaled, t);
  for (Index p = 0; p < d_; ++p) {
    const auto at = static_cast<std::size_t>(p);
    const double* const from = t.row(p);
    double* const to = scaled.row(p);
    for (Index c = 0; c < width; ++c) {
      to[c] = inverse_[at] * from[c];
      sums.rest[c] += rest_[at] * from[c] * from[c];
      sums.moved[c] += moved_[at] * from[c] * from[c];
    }
  }
  AddProduct(Transposed(v), BlockOf(scaled), BlockOf(x));
  AddErrors(t, x, sums);
  Answer answer{.x = Matrix<double>(d_, k)};
  const int shift = -2 * exponent_ * spectral_.shift;
  for (const int exponent : exponents) {
    answer.exponents.push_back(exponent + shift);
  }
  for (Index i = 0; i < d_; ++i) std::copy_n(x.row(i), k, answer.x.row(i));
  for (Index c = 0; c < k; ++c) Judge(sums, c, answer);
  return answer;
}

// What is known of the error of x = V S^-2j t, and its residual in the basis V.
void SpectralPower::AddErrors(const Matrix<double>& t, const Matrix<double>& x,
                              Sums& sums) const {
  const Index width = t.cols();
  const auto v = BlockOf(spectral_.v_transposed);
  // C t where it is known
  Matrix<double> error(d_, width);
  AddProduct(BlockOf(below_), BlockOf(t),
             BlockOf(error).Part(d_ - m_, 0, m_, width));
  AddProduct(BlockOf(beside_), BlockOf(t).Part(d_ - m_, 0, m_, width),
             BlockOf(error).Part(0, 0, d_ - m_, width));
  // (S / s_1)^2j V'x - s_1^-2j t
  Matrix<double> of_x(d_, width);
  AddProduct(v, BlockOf(x), BlockOf(of_x));
  for (Index p = 0; p < d_; ++p) {
    const double power = power_[static_cast<std::size_t>(p)];
    const double* const from = t.row(p);
    for (Index c = 0; c < width; ++c) {
      const double r = power * of_x(p, c) - inverse_.front() * from[c];
      sums.residual[c] += r * r;
      sums.gradient[c] += power * r * (power * r);
      sums.known[c] += error(p, c) * error(p, c);
      sums.x[c] += x(p, c) * x(p, c);
    }
  }
}

void SpectralPower::FormLastRows(const Matrix<double>& b,
                                 Matrix<double>& t) const {
  const Index first = d_ - kLastRows;
  std::vector<double> column(static_cast<std::size_t>(d_));
  const std::vector<double> zero(column.size(), 0.0);
  double hi[kLastRows];
  double lo[kLastRows];
  for (Index c = 0; c < b.cols(); ++c) {
    for (Index i = 0; i < d_; ++i) {
      column[static_cast<std::size_t>(i)] = b(i, c);
    }
    DotRows({spectral_.v_transposed.row(first), kLastRows, d_}, column.data(),
            zero.data(), hi, lo);
    for (Index r = 0; r < kLastRows; ++r) t(first + r, c) = hi[r] + lo[r];
  }
}

void SpectralPower::Judge(const Sums& sums, Index c, Answer& answer) const {
  const auto at = static_cast<std::size_t>(c);
  Certificate& out = answer.certificate;
  const auto add = [&](double residual, double floor, double backward,
                       double optimality, double error, bool untrusted) {
    out.relative_residual.push_back(residual);
    out.residual_floor.push_back(floor);
    out.backward_error.push_back(backward);
    out.optimality.push_back(optimality);
    out.forward_error.push_back(error);
    answer.untrusted.push_back(untrusted);
  };
  const double b = std::sqrt(sums.b[at]);
  const double x = std::sqrt(sums.x[at]);
  if (b == 0.0) return add(0.0, 0.0, 0.0, 0.0, 0.0, false);
  if (!(x > kSmallest * b)) return add(1.0, 1.0, 1.0, 1.0, 1.0, true);
  const double chain = Square(kChain * kUnitRoundoff * b) * inverse_square_;
  const double last = Square(kLastChain * kUnitRoundoff * x);
  const double known = sums.known[at] + last;
  const double error = std::sqrt(known + sums.rest[at] + chain) / x;
  const bool guessed =
      (sums.rest[at] > kGuessedMax * known &&
       rest_directions_ < kDirectionsMin) ||
      (chain > kGuessedMax * known && directions_ < kDirectionsMin);
  // All over ||M|| = s_1^2j.
  const double residual = std::sqrt(sums.residual[at] + sums.moved[at]);
  const double gradient = std::sqrt(sums.gradient[at] + sums.moved[at]);
  const double right = inverse_.front() * b;
  add(residual / right, kUnitRoundoff * x / right, residual / (x + right),
      gradient / (x + right), error, guessed || !(error <= kTrusted));
}

}  // namespace steelyard
