#include "queries/score_terms.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;

double WholePower(double x, int p) {
  double result = 1.0;
  for (double square = x; p > 0; p >>= 1, square *= square) {
    if ((p & 1) != 0) result *= square;
  }
  return result;
}

// Four sums side by side, so that additions need not wait for each other.
template <typename Term>
double SumOf(const double* x, Index count, double scale, const Term& term) {
  double sum[4] = {};
  Index u = 0;
  for (; u + 4 <= count; u += 4) {
    for (Index lane = 0; lane < 4; ++lane) {
      sum[lane] += term(scale * std::abs(x[u + lane]));
    }
  }
  for (; u < count; ++u) sum[0] += term(scale * std::abs(x[u]));
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// p of term i; one beyond the terms: 2.
double PowerAt(const std::vector<PowerTerm>& terms, std::size_t i) {
  return i < terms.size() ? terms[i].p : 2.0;
}

// A weight that underflowed times a power that overflowed: as an upper end,
// infinity.
double Weighted(double weight, double power) {
  return weight == 0.0 && std::isinf(power) ? power : weight * power;
}

// Calls body with x -> x^p as a function that the compiler can see through.
template <typename Body>
void WithPower(double p, const Body& body) {
  if (p == 1.0) {
    body([](double x) { return x; });
  } else if (p == 1.5) {
    body([](double x) { return x * std::sqrt(x); });
  } else if (p == 2.0) {
    body([](double x) { return x * x; });
  } else if (p == 3.0) {
    body([](double x) { return x * x * x; });
  } else if (p == 4.0) {
    body([](double x) { return (x * x) * (x * x); });
  } else {
    body([p](double x) { return PositivePower(x, p); });
  }
}

}  // namespace

int ShiftOf(double largest) {
  // 2^-shift must be a double.
  return std::clamp(std::ilogb(largest) + 1, -1000, 1000);
}

std::vector<PowerTerm> TermsOf(const ScoreFunction& function) {
  if (const auto* power = std::get_if<Power>(&function)) {
    return {{.coefficient = 1.0, .p = power->p}};
  }
  return std::get<PowerSum>(function).terms;
}

double PositivePower(double x, double p) {
  const double twice = 2.0 * p;
  if (twice > 2.0 * 64.0 || twice != std::floor(twice)) return std::pow(x, p);
  const int whole = static_cast<int>(std::floor(p));
  const double power = WholePower(x, whole);
  return p == whole ? power : power * std::sqrt(x);
}

double PowerRoundoff(double p) {
  // WholePower multiplies at most 2 log2 p times, each factor carrying what
  // came before: at most p roundings in all; pow and sqrt are right to 1 ulp.
  return (p + 4.0) * kUnitRoundoff;
}

double SumOfPowers(const double* x, Index count, double scale, double p) {
  double sum = 0.0;
  WithPower(p, [&](const auto& power) { sum = SumOf(x, count, scale, power); });
  return sum;
}

void RaiseShift(const std::vector<PowerTerm>& terms, double largest,
                PowerSums* sums) {
  if (largest == 0.0) return;
  const int shift = ShiftOf(largest);
  if (sums->largest == 0.0) {
    sums->shift = shift;  // every sum is 0
  } else if (shift > sums->shift) {
    for (std::size_t i = 0; i <= terms.size(); ++i) {
      sums->sums[i] *= std::exp2(PowerAt(terms, i) *
                                 static_cast<double>(sums->shift - shift));
    }
    sums->shift = shift;
  }
}

void AddPowers(const std::vector<PowerTerm>& terms, const double* products,
               const double* key_norms, Index count, PowerSums* sums) {
  double largest = 0.0;
  for (Index u = 0; u < count; ++u) {
    largest = std::max(largest, std::abs(products[u]));
    sums->key_square += key_norms[u] * key_norms[u];
  }
  sums->count += count;
  if (largest == 0.0) return;
  RaiseShift(terms, largest, sums);
  sums->largest = std::max(sums->largest, largest);
  const double scale = std::ldexp(1.0, -sums->shift);
  for (std::size_t i = 0; i <= terms.size(); ++i) {
    sums->sums[i] += SumOfPowers(products, count, scale, PowerAt(terms, i));
  }
}

void MergePowers(const std::vector<PowerTerm>& terms, const PowerSums& other,
                 PowerSums* sums) {
  sums->key_square += other.key_square;
  sums->count += other.count;
  if (other.largest == 0.0) return;
  RaiseShift(terms, other.largest, sums);
  sums->largest = std::max(sums->largest, other.largest);
  for (std::size_t i = 0; i <= terms.size(); ++i) {
    sums->sums[i] += other.sums[i] *
                     std::exp2(PowerAt(terms, i) *
                               static_cast<double>(other.shift - sums->shift));
  }
}

ScaledFunction::ScaledFunction(const std::vector<PowerTerm>& terms,
                               int query_exponent, int shift)
    : terms_(&terms), scale_(std::ldexp(1.0, -shift)) {
  std::array<double, kSumsMax> logs = {};
  double most = -std::numeric_limits<double>::infinity();
  const double unit = static_cast<double>(query_exponent + shift);
  for (std::size_t i = 0; i < terms.size(); ++i) {
    logs[i] = std::log2(terms[i].coefficient) + terms[i].p * unit;
    most = std::max(most, logs[i]);
  }
  exponent_ = static_cast<int>(std::ceil(most));
  for (std::size_t i = 0; i < terms.size(); ++i) {
    weights_[i] = std::exp2(logs[i] - exponent_);
    // Absolute errors of the logarithm are relative ones of the weight.
    const double size = std::abs(std::log2(terms[i].coefficient)) +
                        terms[i].p * std::abs(unit) + std::abs(logs[i]) +
                        std::abs(exponent_);
    roundoff_ = std::max(
        roundoff_, (size + 4.0) * kUnitRoundoff + PowerRoundoff(terms[i].p));
  }
}

double ScaledFunction::operator()(double t) const {
  const double x = scale_ * std::abs(t);
  double sum = 0.0;
  for (std::size_t i = 0; i < terms_->size(); ++i) {
    sum += Weighted(weights_[i], PositivePower(x, (*terms_)[i].p));
  }
  return sum;
}

void ScaledFunction::Evaluate(const double* t, Index count,
                              double* values) const {
  for (std::size_t i = 0; i < terms_->size(); ++i) {
    WithPower((*terms_)[i].p, [&](const auto& power) {
      for (Index u = 0; u < count; ++u) {
        const double value = weights_[i] * power(scale_ * std::abs(t[u]));
        values[u] = i == 0 ? value : values[u] + value;
      }
    });
  }
}

SumOfScores ScoresOf(const PowerSums& sums, const ScaledFunction& function,
                     double rounding) {
  const std::vector<PowerTerm>& terms = function.terms();
  SumOfScores result;
  const double shift = std::ldexp(1.0, -sums.shift);
  const auto count = static_cast<double>(sums.count);
  // Additions, rescalings by merges and shifts, weights.
  const double relative = function.roundoff() + (count + 256.0) * kUnitRoundoff;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const double p = terms[i].p;
    const double value = function.weight(i) * sums.sums[i];
    result.value += value;
    double error = shift * rounding * std::sqrt(sums.key_square);
    if (p < 2.0) error *= std::pow(std::max(1.0, count), 1.0 / p - 0.5);
    const double norm = std::pow(sums.sums[i], 1.0 / p);
    const double low = std::max(0.0, norm - error * (1.0 + relative));
    const double high = norm + error * (1.0 + relative);
    // pow loses (|log2 norm| p) u and more.
    const double powers =
        relative + 4.0 * (p + 1.0) * kUnitRoundoff *
                       (1.0 + std::abs(std::log2(std::max(norm, 1e-300))));
    result.interval.lower +=
        function.weight(i) * std::pow(low, p) * (1.0 - powers);
    result.interval.upper +=
        Weighted(function.weight(i), std::pow(high, p)) * (1.0 + powers);
  }
  return result;
}

}  // namespace steelyard
