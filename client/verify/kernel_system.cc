#include "client/verify/kernel_system.h"

#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace steelyard::verify {
namespace {

constexpr double kUnit = 0x1p-53;
constexpr double kWideLogitMax = 11000.0;  // e^11000 fits 80 bits.
constexpr double kLogitMax = 700.0;        // e^700 fits float64.
constexpr Eigen::Index kRowsMax = 16384;   // Of a recomputed residual.
constexpr Eigen::Index kLapackRowsMax = 4096;
constexpr Eigen::Index kCachedRowsMax = 2048;  // 16 bytes an entry.

using Normalization = client::KernelNormalization;

}  // namespace

KernelSystem::KernelSystem(RowMatrix a, const client::AttentionKernel& problem,
                           double ridge)
    : a_(std::move(a)),
      problem_(problem),
      ridges_(Eigen::VectorXd::Constant(a_.rows(), ridge)) {
  // Of another length: the server refuses it.
  if (std::cmp_equal(problem_.row_ridge.size(), a_.rows())) {
    ridges_ +=
        Eigen::Map<const Eigen::VectorXd>(problem_.row_ridge.data(), a_.rows());
  }
  half_logits_ = 0.5 * problem_.scale * a_.rowwise().squaredNorm();
  largest_logit_ = 2 * half_logits_.maxCoeff();
  logit_size_ = std::max(1.0, largest_logit_);
  const bool in_range = problem_.normalization != Normalization::kNone ||
                        largest_logit_ <= kLogitMax;
  if (in_range && a_.rows() <= kLapackRowsMax) Factor();
}

WideVector KernelSystem::ComputeRow(Eigen::Index i) const {
  const auto scale = static_cast<long double>(problem_.scale);
  WideVector row(a_.rows());
  for (Eigen::Index j = 0; j < a_.rows(); ++j) {
    long double sum = 0.0L;
    for (Eigen::Index c = 0; c < a_.cols(); ++c) {
      const auto left = static_cast<long double>(a_(i, c));
      const auto right = static_cast<long double>(a_(j, c));
      sum += problem_.normalization == Normalization::kUnitDiagonal
                 ? (left - right) * (left - right)
                 : left * right;
    }
    row[j] = scale * sum;
  }
  switch (problem_.normalization) {
    case Normalization::kUnitDiagonal:
      row = (row.array() * -0.5L).exp();
      break;
    case Normalization::kNone:
      row = row.array().exp();
      break;
    case Normalization::kSoftmaxRows:
      row = (row.array() - row.maxCoeff()).exp();
      row /= row.sum();
      break;
  }
  return row;
}

WideVector KernelSystem::KernelRow(Eigen::Index i) const {
  if (a_.rows() > kCachedRowsMax) return ComputeRow(i);
  std::vector<WideVector>& rows = *rows_;
  if (rows.empty()) rows.resize(static_cast<std::size_t>(a_.rows()));
  WideVector& row = rows[static_cast<std::size_t>(i)];
  if (row.size() == 0) row = ComputeRow(i);
  return row;
}

KernelSystem::Products KernelSystem::Apply(const WideVector& x) const {
  const WideVector magnitudes = x.cwiseAbs();
  Products products{.signed_sum = WideVector(x.size()),
                    .absolute_sum = WideVector(x.size())};
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    const WideVector row = KernelRow(i);
    const auto ridge = static_cast<long double>(ridges_[i]);
    products.signed_sum[i] = row.dot(x) + ridge * x[i];
    products.absolute_sum[i] = row.dot(magnitudes) + ridge * magnitudes[i];
  }
  return products;
}

// As anyone would form it in float64, from one matrix product.
Eigen::MatrixXd KernelSystem::Float64Kernel() const {
  Eigen::MatrixXd logits = problem_.scale * (a_ * a_.transpose());
  switch (problem_.normalization) {
    case Normalization::kNone:
      break;
    case Normalization::kUnitDiagonal:
      logits.colwise() -= half_logits_;
      logits.rowwise() -= half_logits_.transpose();
      break;
    case Normalization::kSoftmaxRows:
      logits.colwise() -= Eigen::VectorXd(logits.rowwise().maxCoeff());
      break;
  }
  Eigen::MatrixXd matrix = logits.array().exp();
  if (problem_.normalization == Normalization::kSoftmaxRows) {
    const Eigen::VectorXd sums = matrix.rowwise().sum();
    matrix.array().colwise() /= sums.array();
  }
  return matrix;
}

void KernelSystem::Factor() {
  const auto n = static_cast<lapack_int>(a_.rows());
  Eigen::MatrixXd matrix = Float64Kernel();
  matrix.diagonal() += ridges_;
  if (problem_.normalization == Normalization::kSoftmaxRows) {
    pivots_.resize(static_cast<std::size_t>(n));
    if (LAPACKE_dgetrf(LAPACK_COL_MAJOR, n, n, matrix.data(), n,
                       pivots_.data()) != 0) {
      return;
    }
    lapack_method_ = "dgetrf";
  } else {
    if (LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'L', n, matrix.data(), n) != 0) {
      return;
    }
    lapack_method_ = "dpotrf";
  }
  factor_ = std::move(matrix);
}

WideVector KernelSystem::LapackSolve(const WideVector& b) const {
  const auto n = static_cast<lapack_int>(a_.rows());
  Eigen::VectorXd x = b.cast<double>();
  if (pivots_.empty()) {
    LAPACKE_dpotrs(LAPACK_COL_MAJOR, 'L', n, 1, factor_.data(), n, x.data(), n);
  } else {
    LAPACKE_dgetrs(LAPACK_COL_MAJOR, 'N', n, 1, factor_.data(), n,
                   pivots_.data(), x.data(), n);
  }
  return x.cast<long double>();
}

void KernelSystem::AddLapack(const WideVector& b, const WideVector& x,
                             SolveFigures* figures) const {
  const ScaledVector target = ScaledOf(b);
  const auto residual = [&](const ScaledVector& y) {
    WideVector flat = y.mantissa;
    for (long double& entry : flat) {
      entry = std::ldexp(entry, static_cast<int>(y.exponent));
    }
    return ScaledOf(b - Apply(flat).signed_sum);
  };
  const auto solve = [this](const ScaledVector& c) {
    ScaledVector y = c;
    y.mantissa = LapackSolve(c.mantissa);
    y.Normalize();
    return y;
  };
  const ScaledVector ours = ScaledOf(x);
  const ScaledVector lapack = solve(target);
  figures->lapack_method = lapack_method_;
  figures->lapack_residual = NormRatio(residual(lapack), target);
  figures->difference = RelativeDistance(ours, lapack);
  double last = 0.0;
  const ScaledVector reference = Refined(lapack, residual, solve, &last);
  // Refinement that does not contract has found nothing.
  if (!(last < 0x1p-40)) return;
  figures->forward_error = RelativeDistance(ours, reference);
  figures->lapack_error = RelativeDistance(lapack, reference);
  figures->reference_error = last;
}

SolveFigures KernelSystem::Examine(const WideVector& b,
                                   const ScaledVector& x) const {
  SolveFigures figures;
  if (a_.rows() > kRowsMax) {
    figures.remark = "n is above 16384: not recomputed here";
    return figures;
  }
  WideVector flat = x.mantissa;
  bool in_range = std::abs(x.exponent) < 4000;
  for (long double& entry : flat) {
    entry = std::ldexp(
        entry, static_cast<int>(std::clamp<int64_t>(x.exponent, -4000, 4000)));
  }
  in_range = in_range && (problem_.normalization != Normalization::kNone ||
                          largest_logit_ <= kWideLogitMax);
  if (!in_range) {
    figures.remark = "the logits are beyond 80-bit numbers";
    return figures;
  }
  const long double norm = b.norm();
  if (norm == 0) {
    figures.remark = "b is zero";
    figures.relative_residual = flat.isZero(0) ? 0.0 : 1.0;
    return figures;
  }
  const Products products = Apply(flat);
  const WideVector r = b - products.signed_sum;
  figures.relative_residual = static_cast<double>(r.norm() / norm);
  figures.residual_floor =
      kUnit * static_cast<double>(products.absolute_sum.norm() / norm);
  figures.componentwise_error = 0.0;
  for (Eigen::Index i = 0; i < r.size(); ++i) {
    const long double size = products.absolute_sum[i] + std::abs(b[i]);
    if (size > 0) {
      figures.componentwise_error =
          std::max(figures.componentwise_error,
                   static_cast<double>(std::abs(r[i]) / size));
    }
  }
  if (factor_.size() > 0) {
    AddLapack(b, flat, &figures);
  } else {
    figures.remark = "LAPACK cannot factor the matrix in float64";
  }
  return figures;
}

}  // namespace steelyard::verify
