#include "power/odd_power.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "linalg/column_products.h"
#include "linalg/double_double.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// (s_1 / s_d)^(2j+2) and its square are numbers.
constexpr double kLog2PowerMax = 400.0;
// Columns of fewer digits go through the levels, which measure.
constexpr double kTrusted = 0.01;
// Sums over fewer directions are not near their expected value.
constexpr double kDirectionsMin = 6.0;
// What lies in few directions must be small beside what is known.
constexpr double kGuessedMax = 0.05;
// x this far below b is rounding, and underflow comes near.
constexpr double kSmallest = 0x1p-300;
// What is left of |b|^2 must be so many times its rounding, for four digits.
constexpr double kResidualMin = 1e5 * kUnitRoundoff;

double Square(double x) { return x * x; }

// h_i(a, b) = sum of a^l b^(i-l), l = 0 .. i.
double Complete(double a, double b, int i) {
  double sum = 1.0;
  double power = 1.0;
  for (int l = 1; l <= i; ++l) {
    power *= b;
    sum = a * sum + power;
  }
  return sum;
}

// Rows of `matrix`, block after block.
std::vector<SplitStrips> StripsOf(const Matrix<double>& matrix) {
  std::vector<SplitStrips> strips;
  for (Index first = 0; first < matrix.rows(); first += kSplitRows) {
    const Index count = std::min(kSplitRows, matrix.rows() - first);
    strips.emplace_back(matrix.cols())
        .Set(BlockOf(matrix).Part(first, 0, count, matrix.cols()));
  }
  return strips;
}

}  // namespace

// d x width as hi + lo; more rows past d, of zeros.
struct OddPower::Pair {
  Matrix<double> hi, lo;

  Pair(Index d, Index width)
      : hi(SplitHeight(d), width), lo(SplitHeight(d), width) {}

  // this := A'x, A in strips.
  void SetProduct(const std::vector<SplitStrips>& a, const Pair& x) {
    const Index width = hi.cols();
    SplitColumns columns(width);
    std::vector<double> squares(static_cast<std::size_t>(width));
    std::vector<double> ceilings(static_cast<std::size_t>(width));
    for (const Matrix<double>* const part : {&x.hi, &x.lo}) {
      Index first = 0;
      for (const SplitStrips& rows : a) {
        const Block<double> to = columns.Rows(rows.rows());
        for (Index i = 0; i < to.rows; ++i) {
          std::copy_n(part->row(first + i), width, to.row(i));
        }
        columns.Split(squares, ceilings);
        AddSplitProduct(rows, columns, 0, BlockOf(hi), BlockOf(lo));
        first += rows.rows();
      }
    }
    for (Index e = 0; e < hi.size(); ++e) {
      const DoubleDouble sum = TwoSum(hi.data()[e], lo.data()[e]);
      hi.data()[e] = sum.hi;
      lo.data()[e] = sum.lo;
    }
  }
};

// Sums over the rows of a slice, a column each.
struct OddPower::Sums {
  std::vector<double> x, z, known, excess, gradient, gram, excess_gram;
  std::vector<double> range, level;  // t'w_1, |w_1|^2

  explicit Sums(std::size_t k)
      : x(k),
        z(k),
        known(k),
        excess(k),
        gradient(k),
        gram(k),
        excess_gram(k),
        range(k),
        level(k) {}
};

OddPower::OddPower(const SpectralFactor& spectral, const Power& power)
    : spectral_(spectral), power_(power), d_(spectral.v_transposed.rows()) {
  const std::vector<double>& s = spectral.s;
  const int levels = power.exponent + 1;
  usable_ = !spectral.first.empty() &&
            2.0 * levels * std::log2(s.front()) <= kLog2PowerMax;
  if (!usable_) return;
  Matrix<double> v(d_, d_);
  // Of V'D V, D the squares of the scales.
  std::vector<double> sizes(s.size());
  for (Index p = 0; p < d_; ++p) {
    for (Index i = 0; i < d_; ++i) {
      v(i, p) = spectral.v_transposed(p, i);
      sizes[static_cast<std::size_t>(p)] +=
          Square(v(i, p) * spectral.scales[static_cast<std::size_t>(i)]);
    }
  }
  v_ = StripsOf(v);
  turn_ = StripsOf(spectral.v_transposed);
  double squares = 0.0;
  for (const double own : s) inverse_.push_back(1.0 / (own * own));
  of_gram_.assign(s.size(), 0.0);
  excess_of_gram_.assign(s.size(), 0.0);
  for (std::size_t p = 0; p < s.size(); ++p) {
    const double a = inverse_[p];
    // From the error of x to the excess over ||M||.
    const double to_excess = std::pow(s[p] / s.front(), 2.0 * levels - 1.0);
    const double of_c = sizes[p] * Square(std::pow(a, levels));
    of_c_ += of_c;
    excess_of_c_ += of_c * Square(to_excess);
    squares += Square(of_c);
    for (std::size_t q = 0; q < s.size(); ++q) {
      const double b = inverse_[q];
      const double size =
          sizes[p] * sizes[q] *
          Square(spectral.gram_rounding * a * b * Complete(a, b, levels - 1));
      of_gram_[q] += size;
      excess_of_gram_[q] += size * Square(to_excess);
    }
  }
  directions_ = squares > 0.0 ? of_c_ * of_c_ / squares : 0.0;
}

OddPower::Answer OddPower::Solve(const Columns& columns) const {
  const Index k = columns.count;
  const Index width = PaddedColumns(k);
  Sums sums(static_cast<std::size_t>(width));
  Pair t(d_, width);
  {
    Pair c(d_, width);
    LoadGradient(columns, c);
    t.SetProduct(v_, c);
  }
  Pair w(d_, width);
  FirstLevel(t, w, sums);
  const Matrix<double> first = w.hi;
  for (int level = 1; level <= power_.exponent; ++level) NextLevel(w);
  Pair x(d_, width);
  x.SetProduct(turn_, w);
  Matrix<double> turned(d_, width);
  AddRoundings(x, turned, sums);
  Answer answer{.solution = {.x = Matrix<double>(d_, k)}};
  for (Index i = 0; i < d_; ++i) {
    std::copy_n(x.hi.row(i), k, answer.solution.x.row(i));
  }
  for (Index c = 0; c < k; ++c) {
    answer.solution.exponents.push_back(
        columns.b_exponents[c] - (2 * power_.exponent + 1) * spectral_.shift);
    Judge(sums, columns, c, answer);
  }
  if (power_.exponent == 0) {
    AddLeastSquares(std::move(turned), sums, columns, answer);
  }
  const std::vector<bool>& unknown = answer.residual_unknown;
  if (std::find(unknown.begin(), unknown.end(), true) != unknown.end()) {
    answer.y = Matrix<double>(d_, width);
    AddProduct(Transposed(BlockOf(spectral_.v_transposed)),
               BlockOf(first).Part(0, 0, d_, width), BlockOf(answer.y));
  }
  return answer;
}

// Without the scales of A, times 2^-shift, as is all of A here.
void OddPower::LoadGradient(const Columns& columns, Pair& c) const {
  for (Index i = 0; i < d_; ++i) {
    const double scale = spectral_.scales[static_cast<std::size_t>(i)];
    const double* const hi = columns.c.hi.row(i) + columns.first;
    const double* const lo = columns.c.lo.row(i) + columns.first;
    for (Index column = 0; column < columns.count; ++column) {
      c.hi(i, column) = scale * hi[column];
      c.lo(i, column) = scale * lo[column];
    }
  }
}

// w := S^-2 t
void OddPower::Divide(const Pair& t, Pair& w) const {
  for (Index p = 0; p < d_; ++p) {
    const auto at = static_cast<std::size_t>(p);
    const double inverse = inverse_[at];
    const DoubleDouble square = TwoProduct(spectral_.s[at], spectral_.s[at]);
    for (Index c = 0; c < t.hi.cols(); ++c) {
      const double high = inverse * t.hi(p, c);
      const double left = std::fma(-square.hi, high, t.hi(p, c)) -
                          square.lo * high + t.lo(p, c);
      w.hi(p, c) = high;
      w.lo(p, c) = inverse * left;
    }
  }
}

// w += operand of
void OddPower::AddToLevel(const Matrix<double>& operand,
                          const Matrix<double>& of, Pair& w) const {
  const Index width = of.cols();
  Matrix<double> product(d_, width);
  AddProduct(BlockOf(operand), BlockOf(of).Part(0, 0, d_, width),
             BlockOf(product));
  for (Index e = 0; e < product.size(); ++e) {
    const DoubleDouble sum = TwoSum(w.hi.data()[e], product.data()[e]);
    w.hi.data()[e] = sum.hi;
    w.lo.data()[e] += sum.lo;
  }
}

void OddPower::FirstLevel(const Pair& t, Pair& w, Sums& sums) const {
  Divide(t, w);
  AddToLevel(spectral_.first, t.hi, w);
  for (Index p = 0; p < d_; ++p) {
    const auto at = static_cast<std::size_t>(p);
    const double* const of_t = t.hi.row(p);
    const double* const of_w = w.hi.row(p);
    for (std::size_t c = 0; c < sums.range.size(); ++c) {
      const double square = of_t[c] * of_t[c];
      sums.gram[c] += of_gram_[at] * square;
      sums.excess_gram[c] += excess_of_gram_[at] * square;
      sums.range[c] += of_t[c] * of_w[c];
      sums.level[c] += of_w[c] * of_w[c];
    }
  }
}

void OddPower::NextLevel(Pair& w) const {
  const Matrix<double> before = w.hi;
  Divide(w, w);
  AddToLevel(spectral_.next, before, w);
}

// What rounding x to its high part does.
void OddPower::AddRoundings(const Pair& x, Matrix<double>& turned,
                            Sums& sums) const {
  const Index width = x.hi.cols();
  // V' times it
  AddProduct(BlockOf(spectral_.v_transposed),
             BlockOf(x.lo).Part(0, 0, d_, width), BlockOf(turned));
  for (Index p = 0; p < d_; ++p) {
    const double ratio =
        spectral_.s[static_cast<std::size_t>(p)] / spectral_.s.front();
    const double of_excess = std::pow(ratio, 2.0 * power_.exponent + 1.0);
    const double scale = spectral_.scales[static_cast<std::size_t>(p)];
    const double* const hi = x.hi.row(p);
    const double* const lo = x.lo.row(p);
    const double* const r = turned.row(p);
    for (std::size_t c = 0; c < sums.x.size(); ++c) {
      const double excess = of_excess * r[c];
      sums.x[c] += hi[c] * hi[c];
      sums.z[c] += Square(scale * hi[c]);
      sums.known[c] += lo[c] * lo[c];
      sums.excess[c] += excess * excess;
      sums.gradient[c] += Square(of_excess * excess);
    }
  }
}

// A'r = A'A (x - fl(x)) = V S^2 V'(x - fl(x)).
void OddPower::AddLeastSquares(Matrix<double> turned, const Sums& sums,
                               const Columns& columns, Answer& answer) const {
  const Index width = turned.cols();
  for (Index p = 0; p < d_; ++p) {
    const double square = Square(spectral_.s[static_cast<std::size_t>(p)]);
    for (Index c = 0; c < width; ++c) turned(p, c) *= square;
  }
  Matrix<double> gradient(d_, width);
  AddProduct(Transposed(BlockOf(spectral_.v_transposed)), BlockOf(turned),
             BlockOf(gradient));
  answer.gradient = Matrix<double>(d_, columns.count);
  for (Index i = 0; i < d_; ++i) {
    const double scale = spectral_.scales[static_cast<std::size_t>(i)];
    for (Index c = 0; c < columns.count; ++c) {
      answer.gradient(i, c) = gradient(i, c) / scale;
    }
  }
  for (Index c = 0; c < columns.count; ++c) {
    const auto at = static_cast<std::size_t>(c);
    answer.expected_excess.push_back(spectral_.s.front() *
                                     std::sqrt(MovedExcess(sums, columns, c)));
    answer.z_norms.push_back(std::sqrt(sums.z[at]));
    answer.ridge_squares.push_back(power_.ridge * sums.x[at]);
  }
}

// Square of the excess that is only expected, over ||M||.
double OddPower::MovedExcess(const Sums& sums, const Columns& columns,
                             Index c) const {
  const double rounding =
      columns.c.rounding[static_cast<std::size_t>(columns.first + c)];
  return sums.excess_gram[static_cast<std::size_t>(c)] +
         Square(rounding) * excess_of_c_;
}

void OddPower::Judge(const Sums& sums, const Columns& columns, Index c,
                     Answer& answer) const {
  const auto at = static_cast<std::size_t>(c);
  const auto of_c = static_cast<std::size_t>(columns.first + c);
  struct Found {
    double residual = 1.0, excess = 1.0, floor = 1.0, backward = 1.0;
    double optimality = 1.0, error = 1.0;
    bool untrusted = true, unknown = false;
  };
  const auto add = [&](const Found& found) {
    Certificate& out = answer.solution.certificate;
    out.relative_residual.push_back(found.residual);
    out.excess_residual.push_back(found.excess);
    out.residual_floor.push_back(found.floor);
    out.backward_error.push_back(found.backward);
    out.optimality.push_back(found.optimality);
    out.forward_error.push_back(found.error);
    answer.solution.untrusted.push_back(found.untrusted);
    answer.residual_unknown.push_back(found.unknown);
  };
  const double square = columns.c.squares[of_c];
  const double b = std::sqrt(square);
  const double x = std::sqrt(sums.x[at]);
  if (b == 0.0) return add({0.0, 0.0, 0.0, 0.0, 0.0, 0.0, false});
  if (!(x > kSmallest * b)) return add({});
  const double rounding = Square(columns.c.rounding[of_c]);
  const double expected = sums.gram[at] + rounding * of_c_;
  const double error = std::sqrt(sums.known[at] + expected) / x;
  const double moved = MovedExcess(sums, columns, c);
  // All over ||M|| = s_1^(2j+1).
  const double right =
      b * std::pow(spectral_.s.front(), -2.0 * power_.exponent - 1.0);
  const double excess = std::sqrt(sums.excess[at] + moved) / right;
  // |b - M x|^2 / |b|^2
  const double left =
      1.0 - (sums.range[at] + power_.ridge * sums.level[at]) / square +
      Square(excess);
  const double residual = std::sqrt(std::max(left, 0.0));
  const bool guessed =
      expected > kGuessedMax * sums.known[at] && directions_ < kDirectionsMin;
  add({residual, excess, kUnitRoundoff * x / right,
       residual * right / (x + right),
       std::sqrt(sums.gradient[at] + moved) / (x + right), error,
       guessed || !(error <= kTrusted), !(left >= kResidualMin)});
}

double BytesOfOddPower(Index d, Index count, int workers) {
  const auto height = static_cast<double>(SplitHeight(d));
  const auto width = static_cast<double>(PaddedColumns(count));
  const auto blocks =
      static_cast<double>((d + kSplitRows - 1) / kSplitRows * (kSplitRows + 1));
  // V, V' and one of them in place; c, t, w, x as pairs, products, sums.
  return 8.0 *
         ((4.0 * blocks + 8.0) * height + height * height +
          workers * width *
              (16.0 * height + 3.0 * static_cast<double>(kSplitRows) + 32.0));
}

}  // namespace steelyard
