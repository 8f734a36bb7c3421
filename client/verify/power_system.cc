#include "client/verify/power_system.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include <lapacke.h>

#include "absl/strings/str_cat.h"
#include "client/verify/leverage.h"

namespace steelyard::verify {
namespace {

constexpr double kUnit = 0x1p-53;
constexpr double kWideUnit = 0x1p-64;

struct Svd {
  Eigen::VectorXd values;
  Eigen::MatrixXd vectors;  // V
};

Svd SvdOf(Eigen::MatrixXd r) {
  const auto d = static_cast<lapack_int>(r.cols());
  Svd svd;
  svd.values.resize(d);
  Eigen::MatrixXd transposed(d, d);
  Eigen::VectorXd superdiagonal(d);
  LAPACKE_dgesvd(LAPACK_COL_MAJOR, 'N', 'A', d, d, r.data(), d,
                 svd.values.data(), nullptr, 1, transposed.data(), d,
                 superdiagonal.data());
  svd.vectors = transposed.transpose();
  return svd;
}

// [A; sqrt(l) I]
tensor_files::StoredTensor Augmented(const RowMatrix& a, double ridge) {
  const Eigen::Index extra = ridge > 0 ? a.cols() : 0;
  RowMatrix stacked = RowMatrix::Zero(a.rows() + extra, a.cols());
  stacked.topRows(a.rows()) = a;
  for (Eigen::Index c = 0; c < extra; ++c) {
    stacked(a.rows() + c, c) = std::sqrt(ridge);
  }
  return tensor_files::StoredTensor::Of(
      absl::MakeConstSpan(stacked.data(),
                          static_cast<std::size_t>(stacked.size())),
      {stacked.rows(), stacked.cols()});
}

Eigen::VectorXd Narrow(const WideVector& v) { return v.cast<double>(); }
WideVector Widen(const Eigen::VectorXd& v) { return v.cast<long double>(); }

// R in the columns of A: R_ij 2^(e_j - e), e the largest exponent.
Eigen::MatrixXd Unscaled(const RightSingular& svd, int common) {
  Eigen::MatrixXd r = svd.factor;
  for (Eigen::Index c = 0; c < r.cols(); ++c) {
    for (Eigen::Index i = 0; i < r.rows(); ++i) {
      r(i, c) = std::ldexp(r(i, c), svd.exponents[c] - common);
    }
  }
  return r;
}

double LogLargest(const RightSingular& svd) {
  const int common = svd.exponents.maxCoeff();
  return std::log(SvdOf(Unscaled(svd, common)).values[0]) +
         common * std::log(2.0);
}

}  // namespace

PowerSystem::PowerSystem(RowMatrix a, const PowerProblem& problem)
    : a_(std::move(a)), problem_(problem) {
  const auto augmented = Augmented(a_, problem_.ridge);
  const RightSingular svd = RightSingularOf(HeadsOf(augmented)[0]);
  exponents_ = svd.exponents;
  factor_ = svd.factor;
  const double threshold = RankThreshold(a_.cols()) * svd.values[0];
  for (const double value : svd.values) rank_ += value > threshold ? 1 : 0;
  if (rank_ == 0) return;
  condition_ = svd.values[0] / svd.values[rank_ - 1];
  common_exponent_ = exponents_.maxCoeff();
  log_largest_ = LogLargest(svd);
  log_largest_a_ = log_largest_;
  if (problem_.ridge > 0) {
    const auto plain = Augmented(a_, 0.0);
    log_largest_a_ = LogLargest(RightSingularOf(HeadsOf(plain)[0]));
  }
  if (rank_ == a_.cols()) return;
  const Svd unscaled = SvdOf(Unscaled(svd, common_exponent_));
  vectors_ = unscaled.vectors.leftCols(rank_);
  values_ = unscaled.values.head(rank_);
}

ScaledVector PowerSystem::ApplyGram(ScaledVector v, int times) const {
  for (int i = 0; i < times; ++i) {
    v.mantissa = MultiplyTransposed(a_, Multiply(a_, v.mantissa)) +
                 static_cast<long double>(problem_.ridge) * v.mantissa;
    v.Normalize();
  }
  return v;
}

ScaledVector PowerSystem::SolveGram(const ScaledVector& c) const {
  ScaledVector y = c;
  y.Normalize();
  if (rank_ < a_.cols()) {
    // V S^-2 V'
    Eigen::VectorXd t = vectors_.transpose() * Narrow(y.mantissa);
    t.array() /= values_.array().square();
    y.mantissa = Widen(vectors_ * t);
    y.exponent -= 2 * common_exponent_;
    y.Normalize();
    return y;
  }
  // S^-1 R^-1 R^-T S^-1, S = diag(2^exponent)
  for (Eigen::Index i = 0; i < y.mantissa.size(); ++i) {
    y.mantissa[i] = std::ldexp(y.mantissa[i], -exponents_[i]);
  }
  y.Normalize();
  Eigen::VectorXd t = Narrow(y.mantissa);
  factor_.triangularView<Eigen::Upper>().transpose().solveInPlace(t);
  factor_.triangularView<Eigen::Upper>().solveInPlace(t);
  y.mantissa = Widen(t);
  for (Eigen::Index i = 0; i < y.mantissa.size(); ++i) {
    y.mantissa[i] = std::ldexp(y.mantissa[i], -exponents_[i]);
  }
  y.Normalize();
  return y;
}

// R^-T c, or S^-1 V'c below full rank: as long as the projection of c's origin.
ScaledVector PowerSystem::SolveFactorTransposed(const ScaledVector& c) const {
  ScaledVector y = c;
  y.Normalize();
  if (rank_ < a_.cols()) {
    Eigen::VectorXd t = vectors_.transpose() * Narrow(y.mantissa);
    t.array() /= values_.array();
    y.mantissa = Widen(t);
    y.exponent -= common_exponent_;
    y.Normalize();
    return y;
  }
  for (Eigen::Index i = 0; i < y.mantissa.size(); ++i) {
    y.mantissa[i] = std::ldexp(y.mantissa[i], -exponents_[i]);
  }
  y.Normalize();
  Eigen::VectorXd t = Narrow(y.mantissa);
  factor_.triangularView<Eigen::Upper>().transpose().solveInPlace(t);
  y.mantissa = Widen(t);
  y.Normalize();
  return y;
}

ScaledVector PowerSystem::ProjectOnRows(const ScaledVector& v) const {
  if (rank_ == a_.cols()) return v;
  ScaledVector projected = v;
  if (rank_ == 0) {
    projected.mantissa.setZero();
    return projected;
  }
  const Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic> wide =
      vectors_.cast<long double>();
  projected.mantissa = wide * (wide.transpose() * v.mantissa);
  projected.Normalize();
  return projected;
}

void PowerSystem::Residuals(const WideVector& b, const ScaledVector& x,
                            SolveFigures* figures) const {
  const ScaledVector target = ScaledOf(b);
  const ScaledVector power = ApplyGram(x, problem_.exponent);
  if (!problem_.left) {
    figures->relative_residual =
        NormRatio(Difference(ProjectOnRows(target), power), target);
    return;
  }
  // r = b - A w, w = (A'A + l I)^j x; the excess is R^-T (A'r - l w).
  ScaledVector product = power;
  product.mantissa = Multiply(a_, power.mantissa);
  product.Normalize();
  const ScaledVector residual = Difference(target, product);
  figures->relative_residual = NormRatio(residual, target);
  ScaledVector gradient = residual;
  gradient.mantissa = MultiplyTransposed(a_, residual.mantissa);
  ScaledVector ridge_part = power;
  ridge_part.mantissa *= static_cast<long double>(problem_.ridge);
  if (problem_.ridge > 0) gradient = Difference(gradient, ridge_part);
  figures->excess_residual =
      rank_ == 0 ? 0.0 : NormRatio(SolveFactorTransposed(gradient), target);
}

double PowerSystem::LogOperatorNorm() const {
  return 2 * problem_.exponent * log_largest_ +
         (problem_.left ? log_largest_a_ : 0.0);
}

ScaledVector PowerSystem::LapackLeastSquares(const WideVector& b) const {
  const auto n = static_cast<lapack_int>(a_.rows());
  const auto d = static_cast<lapack_int>(a_.cols());
  const lapack_int extra = problem_.ridge > 0 ? d : 0;
  Eigen::MatrixXd matrix = Eigen::MatrixXd::Zero(n + extra, d);
  matrix.topRows(n) = a_;
  for (Eigen::Index c = 0; c < extra; ++c) {
    matrix(n + c, c) = std::sqrt(problem_.ridge);
  }
  ScaledVector target = ScaledOf(b);
  Eigen::VectorXd y =
      Eigen::VectorXd::Zero(std::max<Eigen::Index>(n + extra, d));
  y.head(n) = Narrow(target.mantissa);
  if (rank_ == d) {
    LAPACKE_dgels(LAPACK_COL_MAJOR, 'N', n + extra, d, 1, matrix.data(),
                  n + extra, y.data(), static_cast<lapack_int>(y.size()));
  } else {
    Eigen::VectorXd values(std::min<Eigen::Index>(n + extra, d));
    lapack_int rank = 0;
    LAPACKE_dgelsd(LAPACK_COL_MAJOR, n + extra, d, 1, matrix.data(), n + extra,
                   y.data(), static_cast<lapack_int>(y.size()), values.data(),
                   RankThreshold(d), &rank);
  }
  target.mantissa = Widen(y.head(d));
  target.Normalize();
  return target;
}

ScaledVector PowerSystem::Lapack(const WideVector& b,
                                 std::string* method) const {
  const bool full = rank_ == a_.cols();
  ScaledVector y = ScaledOf(b);
  *method = "";
  if (problem_.left) {
    y = LapackLeastSquares(b);
    *method = full ? "dgels" : "dgelsd";
  }
  if (problem_.exponent > 0) {
    absl::StrAppend(method, problem_.left ? " + " : "", problem_.exponent,
                    full ? " x (dgeqrf R^-1 R^-T)" : " x (dgesvd V S^-2 V')");
  }
  for (int i = 0; i < problem_.exponent; ++i) {
    y = SolveGram(y);
    // What float64 would keep of it.
    y.mantissa = Widen(Narrow(y.mantissa));
  }
  return y;
}

// Rounding noise of an 80-bit residual A'(A y), entry by entry, random signs.
ScaledVector PowerSystem::Noise(const ScaledVector& y) const {
  std::minstd_rand signs(12345);
  ScaledVector noise = y;
  const RowMatrix magnitudes = a_.cwiseAbs();
  noise.mantissa = MultiplyTransposed(
      magnitudes, Multiply(magnitudes, y.mantissa.cwiseAbs()));
  for (long double& entry : noise.mantissa) {
    entry *= static_cast<long double>(kWideUnit) * (signs() % 2 == 0 ? 1 : -1);
  }
  noise.Normalize();
  return noise;
}

ScaledVector PowerSystem::Reference(const WideVector& b, double* error) const {
  double last = 0.0;
  double worst = 0.0;
  ScaledVector y = ProjectOnRows(ScaledOf(b));
  // The error of y so far, carried from level to level: e <- G^-1 (e + noise).
  ScaledVector carried{.mantissa = WideVector::Zero(a_.cols()), .exponent = 0};
  const auto solve = [this](const ScaledVector& c) { return SolveGram(c); };
  const auto carry = [&] {
    ScaledVector noise = Noise(y);
    noise.mantissa = -noise.mantissa;
    carried = SolveGram(Difference(carried, noise));
  };
  if (problem_.left) {
    const ScaledVector target = ScaledOf(b);
    const auto gradient = [&](const ScaledVector& z) {
      ScaledVector product = z;
      product.mantissa = Multiply(a_, z.mantissa);
      ScaledVector r = Difference(target, product);
      r.mantissa = MultiplyTransposed(a_, r.mantissa);
      ScaledVector ridge_part = z;
      ridge_part.mantissa *= static_cast<long double>(problem_.ridge);
      return Difference(r, ridge_part);
    };
    ScaledVector zero = target;
    zero.mantissa = WideVector::Zero(a_.cols());
    y = Refined(SolveGram(gradient(zero)), gradient, solve, &last);
    worst = std::max(worst, last);
    carry();
  }
  for (int i = 0; i < problem_.exponent; ++i) {
    const ScaledVector c = y;
    const auto residual = [&](const ScaledVector& z) {
      return Difference(c, ApplyGram(z, 1));
    };
    y = Refined(SolveGram(c), residual, solve, &last);
    worst = std::max(worst, last);
    carry();
  }
  *error = NormRatio(carried, y) + worst;
  // Below full rank the basis itself is right to float64 only.
  if (rank_ < a_.cols()) {
    *error += static_cast<double>(a_.cols() * (problem_.exponent + 1)) * kUnit *
              condition_;
  }
  return y;
}

SolveFigures PowerSystem::Examine(const WideVector& b,
                                  const ScaledVector& x) const {
  SolveFigures figures;
  const ScaledVector target = ScaledOf(b);
  if (target.mantissa.isZero(0)) {
    figures.remark = "b is zero";
    figures.relative_residual = x.mantissa.isZero(0) ? 0.0 : 1.0;
    return figures;
  }
  Residuals(b, x, &figures);
  const double log_product = LogOperatorNorm() + x.LogNorm();
  figures.residual_floor = kUnit * std::exp(log_product - target.LogNorm());
  figures.backward_error = figures.relative_residual /
                           (std::exp(log_product - target.LogNorm()) + 1);
  if (rank_ == 0) return figures;

  const ScaledVector lapack = Lapack(b, &figures.lapack_method);
  SolveFigures of_lapack;
  Residuals(b, lapack, &of_lapack);
  figures.lapack_residual = of_lapack.judged_residual();
  figures.difference = RelativeDistance(x, lapack);
  const ScaledVector reference = Reference(b, &figures.reference_error);
  figures.forward_error = RelativeDistance(x, reference);
  figures.lapack_error = RelativeDistance(lapack, reference);
  return figures;
}

}  // namespace steelyard::verify
