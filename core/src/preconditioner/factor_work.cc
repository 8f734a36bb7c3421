#include "preconditioner/factor_work.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "preconditioner/low_rank_preconditioner.h"
#include "preconditioner/polynomial_sketch.h"

namespace steelyard {
namespace {

// Flops of a product in the time that a number of F takes to be read twice,
// from memory (float32, 32 MiB of it do not fit into a cache) or from there.
constexpr double kReadFlops = 128.0;
constexpr double kCachedFlops = 8.0;
constexpr double kCachedNumbers = 4.0 * 1024.0 * 1024.0;
// Of the diagonal: none is left to the last digit.
constexpr double kLeftLeast = 1e-12;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

// The largest rank in [0, n] that needs at most `bytes`.
template <class BytesOf>
Index LargestOf(double bytes, Index n, const BytesOf& bytes_of) {
  Index fits = 0;
  Index too_large = n + 1;
  while (fits + 1 < too_large) {
    const Index middle = fits + (too_large - fits) / 2;
    (bytes_of(middle) <= bytes ? fits : too_large) = middle;
  }
  return fits;
}

}  // namespace

TilePrecision StepPrecision(const PreconditionerSource& source) {
  return Float32Allowed(source.rows, source.form) ? TilePrecision::kFloat32
                                                  : TilePrecision::kFloat64;
}

double WeightOfFactorFlops(KernelPreconditioner kind, Index rank,
                           const PreconditionerSource& source) {
  const bool slower =
      StepPrecision(source) == TilePrecision::kFloat32 &&
      PrecisionOfFactor(kind, rank, source) == FactorPrecision::kFloat64;
  return slower ? 2.0 : 1.0;
}

FactorWork::FactorWork(const PreconditionerSource& source)
    : source_(source),
      product_flops_(Rows() * Rows() *
                     static_cast<double>(source.rows.cols() + 2)) {
  for (Index i = 0; i < source.rows.rows(); ++i) {
    const double w = source.form.weight[At(i)];
    diagonal_ += w * w * source.product.Diagonal(i);
  }
}

double FactorWork::ProductsToGrow(Index from, Index to) const {
  const auto more = static_cast<double>(to - from);
  const auto sum = static_cast<double>(to + from);
  const auto d = static_cast<double>(source_.rows.cols());
  return WeightOfFactorFlops(KernelPreconditioner::kRpCholesky, to, source_) *
         Rows() * more * (sum + 2.0 * d) / product_flops_;
}

double FactorWork::ProductsToInvert(KernelPreconditioner kind,
                                    Index rank) const {
  const auto r = static_cast<double>(rank);
  return WeightOfFactorFlops(kind, rank, source_) * r * r * (Rows() + r / 3.0) /
         product_flops_;
}

double FactorWork::ProductsOfSketch(Index rank) const {
  return PlanTaylorFeatures(source_.rows, rank, source_.seed).flops /
             product_flops_ +
         ProductsToInvert(KernelPreconditioner::kPolynomialSketch, rank);
}

// 2 n r^2 flops.
Index FactorWork::PivotsFor(double products) const {
  const double weight =
      WeightOfFactorFlops(KernelPreconditioner::kRpCholesky, 1, source_);
  return std::max<Index>(1, std::lround(std::sqrt(products * product_flops_ /
                                                  (2.0 * weight * Rows()))));
}

double FactorWork::ProductsOfSteps(double steps, KernelPreconditioner kind,
                                   Index rank) const {
  if (rank == 0) return steps;
  const double numbers = Rows() * static_cast<double>(rank);
  const double flops = numbers > kCachedNumbers ? kReadFlops : kCachedFlops;
  return steps * (1.0 + WeightOfFactorFlops(kind, rank, source_) * flops *
                            numbers / product_flops_);
}

double FactorWork::LeftByMonomials(Index columns) const {
  const TaylorPlan plan = PlanTaylorFeatures(source_.rows, columns, 0);
  std::vector<double> rest(At(source_.rows.rows()));
  for (Index i = 0; i < source_.rows.rows(); ++i) {
    const double q = source_.rows.centred_square[At(i)];
    double part = 0.0;
    double term = std::exp(-q);
    for (int l = 0; l < plan.exact_levels; ++l) {
      part += term;
      term *= q / (l + 1);
    }
    const double w = source_.form.weight[At(i)];
    rest[At(i)] =
        w * w * source_.product.Diagonal(i) * std::max(0.0, 1.0 - part);
  }
  return LeftOf(rest);
}

double FactorWork::LeftOf(const std::vector<double>& rest) const {
  const double left = std::accumulate(rest.begin(), rest.end(), 0.0);
  return std::clamp(left / diagonal_, kLeftLeast, 1.0);
}

std::vector<Index> ExactColumns(const KernelRows& rows, Index most) {
  const int degree = PlanTaylorFeatures(rows, 1, 0).degree;
  const auto d = static_cast<double>(rows.cols());
  std::vector<Index> columns;
  double sum = 1.0;
  double level = 1.0;
  for (int l = 1; l <= degree + 1 && sum <= static_cast<double>(most); ++l) {
    columns.push_back(static_cast<Index>(sum));
    level = std::round(level * (d + l - 1) / l);
    sum += level;
  }
  return columns;
}

Index LargestRank(double bytes, Index n, Index d, int workers) {
  return LargestOf(bytes, n, [&](Index rank) {
    return CostOfPreconditioner(KernelPreconditioner::kRpCholesky, rank, n, d,
                                workers)
        .bytes;
  });
}

Index LargestSketch(double bytes, const PreconditionerSource& source) {
  const Index n = source.rows.rows();
  return LargestOf(bytes, n, [&](Index rank) {
    const bool single =
        PrecisionOfFactor(KernelPreconditioner::kPolynomialSketch, rank,
                          source) == FactorPrecision::kFloat32;
    return CostOfLowRank(rank, n, 1).bytes +
           (single ? 4.0 : 8.0) * static_cast<double>(n) *
               static_cast<double>(rank) +
           16.0 * static_cast<double>(n);
  });
}

}  // namespace steelyard
