#include "tests/support/mpfr_power_oracle.h"

#include <mpfr.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace steelyard::test {
namespace {

// One MPFR number with the default precision of its birth.
class Big {
 public:
  Big() { mpfr_init_set_zero(); }
  Big(double x) {  // NOLINT: doubles are exact
    mpfr_init_set_zero();
    mpfr_set_d(x_, x, MPFR_RNDN);
  }
  Big(const Big& other) {
    mpfr_init_set_zero();
    mpfr_set(x_, other.x_, MPFR_RNDN);
  }
  Big& operator=(const Big& other) {
    mpfr_set(x_, other.x_, MPFR_RNDN);
    return *this;
  }
  ~Big() { mpfr_clear(x_); }

  Big& operator+=(const Big& y) {
    mpfr_add(x_, x_, y.x_, MPFR_RNDN);
    return *this;
  }
  Big& operator-=(const Big& y) {
    mpfr_sub(x_, x_, y.x_, MPFR_RNDN);
    return *this;
  }
  friend Big operator*(const Big& x, const Big& y) {
    Big z;
    mpfr_mul(z.x_, x.x_, y.x_, MPFR_RNDN);
    return z;
  }
  friend Big operator/(const Big& x, const Big& y) {
    Big z;
    mpfr_div(z.x_, x.x_, y.x_, MPFR_RNDN);
    return z;
  }
  Big Sqrt() const {
    Big z;
    mpfr_sqrt(z.x_, x_, MPFR_RNDN);
    return z;
  }
  Big TimesPowerOf2(long exponent) const {
    Big z;
    mpfr_mul_2si(z.x_, x_, exponent, MPFR_RNDN);
    return z;
  }
  bool IsZero() const { return mpfr_zero_p(x_) != 0; }
  double ToDouble() const { return mpfr_get_d(x_, MPFR_RNDN); }
  double ToDouble(long* exponent) const {
    return mpfr_get_d_2exp(exponent, x_, MPFR_RNDN);
  }

 private:
  void mpfr_init_set_zero() {
    mpfr_init(x_);
    mpfr_set_zero(x_, 1);
  }
  mpfr_t x_;
};

using Vector = std::vector<Big>;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

Big Dot(const Vector& x, const Vector& y) {
  Big sum;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

Big Norm(const Vector& x) { return Dot(x, x).Sqrt(); }

Vector Times(const std::vector<Vector>& rows, const Vector& x) {
  Vector y;
  for (const Vector& row : rows) y.push_back(Dot(row, x));
  return y;
}

Vector Difference(Vector x, const Vector& y) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] -= y[i];
  return x;
}

long BitsOf(const PowerOracleProblem& problem) {
  if (problem.family == PowerFamily::kMatrixExponential) {
    double square = 0.0;
    for (Index e = 0; e < problem.a.size(); ++e) {
      square += problem.a.data()[e] * problem.a.data()[e];
    }
    return 400 + static_cast<long>(3.0 * square);
  }
  const double p = 2.0 * problem.exponent + 2.0;
  // 64 for the entries' own spread below kappa.
  return 264 + static_cast<long>(2.0 * p * std::log2(problem.condition));
}

}  // namespace

struct MpfrPowerOracle::State {
  std::vector<Vector> rows;  // A
  std::vector<Vector> gram;  // A'A + l I
  std::vector<Vector> root;  // lower triangular L, L L' = gram
  Vector b;
  Vector x;
  PowerFamily family;
  int exponent;
  Big ridge;

  Index d() const { return static_cast<Index>(gram.size()); }

  Vector TransposedTimes(const Vector& y) const {
    Vector product(At(d()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (std::size_t j = 0; j < product.size(); ++j) {
        product[j] += rows[i][j] * y[i];
      }
    }
    return product;
  }

  void MakeGram() {
    const std::size_t d = rows.front().size();
    gram.assign(d, Vector(d));
    for (std::size_t i = 0; i < d; ++i) {
      for (std::size_t j = 0; j < d; ++j) {
        for (const Vector& row : rows) gram[i][j] += row[i] * row[j];
      }
      gram[i][i] += ridge;
    }
  }

  void MakeRoot() {
    root = gram;
    for (std::size_t j = 0; j < root.size(); ++j) {
      for (std::size_t k = 0; k < j; ++k) {
        root[j][j] -= root[j][k] * root[j][k];
      }
      root[j][j] = root[j][j].Sqrt();
      for (std::size_t i = j + 1; i < root.size(); ++i) {
        for (std::size_t k = 0; k < j; ++k) {
          root[i][j] -= root[i][k] * root[j][k];
        }
        root[i][j] = root[i][j] / root[j][j];
      }
    }
  }

  Vector Solve(Vector y) const {
    for (std::size_t i = 0; i < y.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) y[i] -= root[i][k] * y[k];
      y[i] = y[i] / root[i][i];
    }
    for (std::size_t i = y.size(); i-- > 0;) {
      for (std::size_t k = i + 1; k < y.size(); ++k) {
        y[i] -= root[k][i] * y[k];
      }
      y[i] = y[i] / root[i][i];
    }
    return y;
  }

  // e^(sign G) y by Taylor until a term is below 2^-bits of the sum.
  Vector Exponential(const Vector& y, double sign) const {
    Vector sum = y;
    Vector term = y;
    const Big tiny = Big(1.0).TimesPowerOf2(-mpfr_get_default_prec());
    constexpr int kTermsMax = 20000;
    for (int k = 1; k < kTermsMax; ++k) {
      term = Times(gram, term);
      for (Big& entry : term) entry = entry * Big(sign) / Big(double(k));
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += term[i];
      if ((Norm(term) / (Norm(sum) * tiny)).ToDouble() < 1.0) break;
    }
    return sum;
  }

  Vector PowerTimes(Vector y) const {
    for (int i = 0; i < exponent; ++i) y = Times(gram, y);
    return y;
  }

  Vector ColumnOf(const Solution& solution, Index c) const {
    Vector column;
    for (Index i = 0; i < d(); ++i) {
      Big entry(solution.x(i, c));
      if (!solution.x_low.empty()) entry += Big(solution.x_low(i, c));
      if (!solution.x_exponents.empty()) {
        entry = entry.TimesPowerOf2(
            solution.x_exponents[At(i * solution.x.cols() + c)]);
      }
      column.push_back(entry);
    }
    return column;
  }
};

MpfrPowerOracle::MpfrPowerOracle(const PowerOracleProblem& problem) {
  mpfr_set_default_prec(BitsOf(problem));
  state_ = std::make_unique<State>();
  State& s = *state_;
  s.family = problem.family;
  s.exponent = problem.exponent;
  s.ridge = Big(problem.ridge);
  for (Index i = 0; i < problem.a.rows(); ++i) {
    s.rows.emplace_back(problem.a.row(i), problem.a.row(i) + problem.a.cols());
  }
  for (Index i = 0; i < problem.b.rows(); ++i) {
    s.b.emplace_back(problem.b(i, 0));
  }
  s.MakeGram();
  if (s.family == PowerFamily::kMatrixExponential) {
    s.x = s.Exponential(s.b, -1.0);
    return;
  }
  s.MakeRoot();
  s.x = s.family == PowerFamily::kGramPower ? s.b
                                            : s.Solve(s.TransposedTimes(s.b));
  for (int i = 0; i < s.exponent; ++i) s.x = s.Solve(s.x);
}

MpfrPowerOracle::~MpfrPowerOracle() = default;

double MpfrPowerOracle::ForwardError(const Solution& solution, Index c) const {
  const Vector x = state_->ColumnOf(solution, c);
  return (Norm(Difference(x, state_->x)) / Norm(state_->x)).ToDouble();
}

double MpfrPowerOracle::RelativeResidual(const Solution& solution,
                                         Index c) const {
  const State& s = *state_;
  Vector product = s.ColumnOf(solution, c);
  if (s.family == PowerFamily::kMatrixExponential) {
    product = s.Exponential(product, 1.0);
  } else {
    product = s.PowerTimes(std::move(product));
  }
  if (s.family == PowerFamily::kLeftGramPower) product = Times(s.rows, product);
  return (Norm(Difference(product, s.b)) / Norm(s.b)).ToDouble();
}

double MpfrPowerOracle::ExcessResidual(const Solution& solution,
                                       Index c) const {
  const State& s = *state_;
  const Vector v = s.PowerTimes(Difference(s.ColumnOf(solution, c), s.x));
  return (Dot(v, Times(s.gram, v)).Sqrt() / Norm(s.b)).ToDouble();
}

double MpfrPowerOracle::Value(Index i, long* exponent) const {
  return state_->x[At(i)].ToDouble(exponent);
}

}  // namespace steelyard::test
