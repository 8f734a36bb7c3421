#include "tests/support/kernel_oracle.h"

#include <mpfr.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace steelyard::test {
namespace {

constexpr double kLongDoubleLogitMax = 11000.0;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

long double LongDot(const Matrix<double>& a, Index i, Index j) {
  long double sum = 0.0L;
  for (Index c = 0; c < a.cols(); ++c) {
    sum += static_cast<long double>(a(i, c)) * a(j, c);
  }
  return sum;
}

// One MPFR number.
class Big {
 public:
  explicit Big(int bits) {
    mpfr_init2(value_, bits);
    mpfr_set_zero(value_, 1);
  }
  Big(const Big& other) {
    mpfr_init2(value_, mpfr_get_prec(other.value_));
    mpfr_set(value_, other.value_, MPFR_RNDN);
  }
  Big& operator=(const Big& other) {
    mpfr_set(value_, other.value_, MPFR_RNDN);
    return *this;
  }
  ~Big() { mpfr_clear(value_); }
  mpfr_t& get() { return value_; }
  const mpfr_t& get() const { return value_; }

 private:
  mpfr_t value_;
};

using BigMatrix = std::vector<std::vector<Big>>;

void SetScaled(const ScaledNumber& number, Big& out) {
  mpfr_set_d(out.get(), number.mantissa, MPFR_RNDN);
  mpfr_mul_2si(out.get(), out.get(), static_cast<long>(number.exponent),
               MPFR_RNDN);
}

ScaledNumber ToScaled(const Big& value) {
  if (mpfr_zero_p(value.get())) return {};
  long exponent = 0;
  const double mantissa = mpfr_get_d_2exp(&exponent, value.get(), MPFR_RNDN);
  return MakeScaled(mantissa, exponent);
}

// The exponent of one entry, before rows are normalised.
void SetLogit(const KernelSystem& system, Index i, Index j, int bits,
              Big& out) {
  Big term(bits);
  Big other(bits);
  mpfr_set_zero(out.get(), 1);
  const bool unit = system.normalization == KernelNormalization::kUnitDiagonal;
  for (Index c = 0; c < system.a.cols(); ++c) {
    mpfr_set_d(term.get(), system.a(i, c), MPFR_RNDN);
    mpfr_set_d(other.get(), system.a(j, c), MPFR_RNDN);
    if (unit) {
      mpfr_sub(term.get(), term.get(), other.get(), MPFR_RNDN);
      mpfr_sqr(term.get(), term.get(), MPFR_RNDN);
      mpfr_div_si(term.get(), term.get(), -2, MPFR_RNDN);
    } else {
      mpfr_mul(term.get(), term.get(), other.get(), MPFR_RNDN);
    }
    mpfr_add(out.get(), out.get(), term.get(), MPFR_RNDN);
  }
  mpfr_mul_d(out.get(), out.get(), system.scale, MPFR_RNDN);
}

// M without its ridge.
BigMatrix BigKernel(const KernelSystem& system, int bits) {
  const Index n = system.a.rows();
  BigMatrix m(At(n), std::vector<Big>(At(n), Big(bits)));
  for (Index i = 0; i < n; ++i) {
    Big sum(bits);
    for (Index j = 0; j < n; ++j) {
      Big& entry = m[At(i)][At(j)];
      SetLogit(system, i, j, bits, entry);
      mpfr_exp(entry.get(), entry.get(), MPFR_RNDN);
      mpfr_add(sum.get(), sum.get(), entry.get(), MPFR_RNDN);
    }
    if (system.normalization != KernelNormalization::kSoftmaxRows) continue;
    for (Big& entry : m[At(i)]) {
      mpfr_div(entry.get(), entry.get(), sum.get(), MPFR_RNDN);
    }
  }
  return m;
}

void AddRidge(const KernelSystem& system, BigMatrix& m) {
  for (std::size_t i = 0; i < m.size(); ++i) {
    mpfr_add_d(m[i][i].get(), m[i][i].get(), system.RidgeOf(i), MPFR_RNDN);
  }
}

OracleResidual Summarise(const ScaledVector& residual,
                         const ScaledVector& magnitude,
                         const std::vector<double>& b) {
  OracleResidual out;
  ScaledVector rhs(b.size());
  for (std::size_t i = 0; i < b.size(); ++i) {
    rhs[i] = MakeScaled(b[i]);
    out.omega = std::max(
        out.omega, RatioOf(residual[i], Add(magnitude[i], Absolute(rhs[i]))));
  }
  out.relative_residual = RatioOf(NormOf(residual), NormOf(rhs));
  return out;
}

OracleResidual KernelResidualLong(const KernelSystem& system,
                                  const ScaledVector& x,
                                  const std::vector<double>& b) {
  const Index n = system.a.rows();
  const auto scaled = [](long double value) {
    int exponent = 0;
    const long double mantissa = std::frexp(value, &exponent);
    return MakeScaled(static_cast<double>(mantissa), exponent);
  };
  ScaledVector residual(At(n));
  ScaledVector magnitude(At(n));
  for (Index i = 0; i < n; ++i) {
    std::vector<long double> entries(At(n));
    long double row_sum = 0.0L;
    for (Index j = 0; j < n; ++j) {
      long double logit = LongDot(system.a, i, j);
      if (system.normalization == KernelNormalization::kUnitDiagonal) {
        logit = 0.0L;
        for (Index c = 0; c < system.a.cols(); ++c) {
          const long double gap =
              static_cast<long double>(system.a(i, c)) - system.a(j, c);
          logit -= 0.5L * gap * gap;
        }
      }
      entries[At(j)] = std::exp(static_cast<long double>(system.scale) * logit);
      row_sum += entries[At(j)];
    }
    if (system.normalization != KernelNormalization::kSoftmaxRows) {
      row_sum = 1.0L;
    }
    long double sum = 0.0L;
    long double sum_of_sizes = 0.0L;
    for (Index j = 0; j < n; ++j) {
      const long double value =
          std::ldexp(static_cast<long double>(x[At(j)].mantissa),
                     static_cast<int>(x[At(j)].exponent));
      const long double entry =
          entries[At(j)] / row_sum + (i == j ? system.RidgeOf(At(i)) : 0.0);
      sum += entry * value;
      sum_of_sizes += entry * std::abs(value);
    }
    residual[At(i)] = scaled(b[At(i)] - sum);
    magnitude[At(i)] = scaled(sum_of_sizes);
  }
  return Summarise(residual, magnitude, b);
}

}  // namespace

double LargestLogit(const KernelSystem& system) {
  double most = 1.0;
  for (Index i = 0; i < system.a.rows(); ++i) {
    most = std::max(
        most, static_cast<double>(system.scale * LongDot(system.a, i, i)));
  }
  return most;
}

OracleResidual KernelResidual(const KernelSystem& system, const ScaledVector& x,
                              const std::vector<double>& b) {
  return LargestLogit(system) <= kLongDoubleLogitMax
             ? KernelResidualLong(system, x, b)
             : KernelResidualMpfr(system, x, b);
}

OracleResidual KernelResidualMpfr(const KernelSystem& system,
                                  const ScaledVector& x,
                                  const std::vector<double>& b) {
  // Logits below 2^60 lose 60 of these bits.
  constexpr int kBits = 256;
  const Index n = system.a.rows();
  BigMatrix m = BigKernel(system, kBits);
  AddRidge(system, m);
  ScaledVector residual(At(n));
  ScaledVector magnitude(At(n));
  Big value(kBits);
  Big term(kBits);
  for (Index i = 0; i < n; ++i) {
    Big sum(kBits);
    Big sum_of_sizes(kBits);
    mpfr_set_d(sum.get(), b[At(i)], MPFR_RNDN);
    for (Index j = 0; j < n; ++j) {
      SetScaled(x[At(j)], value);
      mpfr_mul(term.get(), m[At(i)][At(j)].get(), value.get(), MPFR_RNDN);
      mpfr_sub(sum.get(), sum.get(), term.get(), MPFR_RNDN);
      mpfr_abs(term.get(), term.get(), MPFR_RNDN);
      mpfr_add(sum_of_sizes.get(), sum_of_sizes.get(), term.get(), MPFR_RNDN);
    }
    residual[At(i)] = ToScaled(sum);
    magnitude[At(i)] = ToScaled(sum_of_sizes);
  }
  return Summarise(residual, magnitude, b);
}

ScaledVector SolveKernelMpfr(const KernelSystem& system,
                             const std::vector<double>& b, int bits) {
  const std::size_t n = b.size();
  BigMatrix m = BigKernel(system, bits);
  AddRidge(system, m);
  std::vector<Big> x(n, Big(bits));
  for (std::size_t i = 0; i < n; ++i) mpfr_set_d(x[i].get(), b[i], MPFR_RNDN);
  Big factor(bits);
  Big term(bits);
  // The matrix is positive definite, or similar to one that is: no pivoting.
  for (std::size_t k = 0; k < n; ++k) {
    for (std::size_t i = k + 1; i < n; ++i) {
      mpfr_div(factor.get(), m[i][k].get(), m[k][k].get(), MPFR_RNDN);
      for (std::size_t j = k; j < n; ++j) {
        mpfr_mul(term.get(), factor.get(), m[k][j].get(), MPFR_RNDN);
        mpfr_sub(m[i][j].get(), m[i][j].get(), term.get(), MPFR_RNDN);
      }
      mpfr_mul(term.get(), factor.get(), x[k].get(), MPFR_RNDN);
      mpfr_sub(x[i].get(), x[i].get(), term.get(), MPFR_RNDN);
    }
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t j = i + 1; j < n; ++j) {
      mpfr_mul(term.get(), m[i][j].get(), x[j].get(), MPFR_RNDN);
      mpfr_sub(x[i].get(), x[i].get(), term.get(), MPFR_RNDN);
    }
    mpfr_div(x[i].get(), x[i].get(), m[i][i].get(), MPFR_RNDN);
  }
  ScaledVector out(n);
  std::transform(x.begin(), x.end(), out.begin(), ToScaled);
  return out;
}

double ComponentwiseDifference(const ScaledVector& x, const ScaledVector& y) {
  double most = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    most = std::max(most, RatioOf(Subtract(x[i], y[i]), y[i]));
  }
  return most;
}

Matrix<double> UnitKernelProduct(const KernelSystem& system,
                                 const Matrix<double>& v) {
  const Index n = system.a.rows();
  Matrix<double> out(v.rows(), n);
  std::vector<long double> entries(At(n));
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < n; ++j) {
      long double square = 0.0L;
      for (Index c = 0; c < system.a.cols(); ++c) {
        const long double gap =
            static_cast<long double>(system.a(i, c)) - system.a(j, c);
        square += gap * gap;
      }
      entries[At(j)] = std::exp(-0.5L * system.scale * square);
    }
    for (Index c = 0; c < v.rows(); ++c) {
      long double sum = 0.0L;
      for (Index j = 0; j < n; ++j) sum += entries[At(j)] * v(c, j);
      out(c, i) = static_cast<double>(sum);
    }
  }
  return out;
}

}  // namespace steelyard::test
