#include "client/verify/leverage.h"

#include <algorithm>
#include <cmath>

#include <lapacke.h>
#include <Eigen/Cholesky>

namespace steelyard::verify {
namespace {

constexpr double kUnit = 0x1p-53;
constexpr double kDefectAccepted = 1e-10;
constexpr int kRepairsMax = 3;
constexpr int64_t kBlockRows = 2048;

int64_t BlockRows(const Rows& matrix) {
  return std::min(matrix.rows(), std::max(kBlockRows, 2 * matrix.columns()));
}

// Multiplies by 2^-exponent, which is exact. 2^1074 is no float64, hence ldexp.
void ScaleColumns(const Eigen::VectorXi& exponents, RowMatrix* block) {
  for (Eigen::Index c = 0; c < block->cols(); ++c) {
    const int exponent = exponents[c];
    if (std::abs(exponent) < 1000) {
      block->col(c) *= std::ldexp(1.0, -exponent);
      continue;
    }
    for (Eigen::Index r = 0; r < block->rows(); ++r) {
      (*block)(r, c) = std::ldexp((*block)(r, c), -exponent);
    }
  }
}

RowMatrix ScaledBlock(const Rows& matrix, int64_t first, int64_t count,
                      const Eigen::VectorXi& exponents) {
  RowMatrix block = matrix.Block(first, count);
  ScaleColumns(exponents, &block);
  return block;
}

Eigen::VectorXi ColumnExponents(const Rows& matrix) {
  Eigen::VectorXd largest = Eigen::VectorXd::Zero(matrix.columns());
  const int64_t step = BlockRows(matrix);
  for (int64_t first = 0; first < matrix.rows(); first += step) {
    const RowMatrix block =
        matrix.Block(first, std::min(step, matrix.rows() - first));
    largest =
        largest.cwiseMax(block.cwiseAbs().colwise().maxCoeff().transpose());
  }
  Eigen::VectorXi exponents(matrix.columns());
  for (Eigen::Index c = 0; c < exponents.size(); ++c) {
    exponents[c] = largest[c] > 0 ? std::ilogb(largest[c]) + 1 : 0;
  }
  return exponents;
}

// R of [R; block], block after block.
Eigen::MatrixXd TriangularFactor(const Rows& matrix,
                                 const Eigen::VectorXi& exponents) {
  const int64_t d = matrix.columns();
  const int64_t step = BlockRows(matrix);
  Eigen::MatrixXd r = Eigen::MatrixXd::Zero(d, d);
  Eigen::VectorXd reflectors(d);
  for (int64_t first = 0; first < matrix.rows(); first += step) {
    const int64_t count = std::min(step, matrix.rows() - first);
    Eigen::MatrixXd stack(d + count, d);
    stack.topRows(d) = r;
    stack.bottomRows(count) = ScaledBlock(matrix, first, count, exponents);
    LAPACKE_dgeqrf(LAPACK_COL_MAJOR, static_cast<lapack_int>(d + count),
                   static_cast<lapack_int>(d), stack.data(),
                   static_cast<lapack_int>(d + count), reflectors.data());
    r = stack.topRows(d).triangularView<Eigen::Upper>();
  }
  return r;
}

}  // namespace

double RankThreshold(int64_t columns) {
  return std::max(30.0, 2.0 * std::sqrt(static_cast<double>(columns))) * kUnit;
}

RightSingular RightSingularOf(const Rows& matrix) {
  RightSingular result;
  const auto d = static_cast<lapack_int>(matrix.columns());
  result.exponents = ColumnExponents(matrix);
  result.factor = TriangularFactor(matrix, result.exponents);
  Eigen::MatrixXd work = result.factor;
  Eigen::MatrixXd transposed(d, d);
  result.values.resize(d);
  Eigen::VectorXd superdiagonal(d);
  LAPACKE_dgesvd(LAPACK_COL_MAJOR, 'N', 'A', d, d, work.data(), d,
                 result.values.data(), nullptr, 1, transposed.data(), d,
                 superdiagonal.data());
  result.vectors = transposed.transpose();
  return result;
}

LeverageReference::LeverageReference(const Rows& keys) {
  Factor(keys);
  scores_ = Eigen::VectorXd::Zero(keys.rows());
  if (rank_ == 0) return;
  Eigen::MatrixXd gram;
  double defect = ScorePass(keys, &gram);
  for (int i = 0; i < kRepairsMax && defect > kDefectAccepted; ++i) {
    // W <- W L^-T, L L' = X'X.
    const Eigen::LLT<Eigen::MatrixXd> cholesky(gram);
    if (cholesky.info() != Eigen::Success) break;
    whitening_ =
        cholesky.matrixL().solve(whitening_.transpose()).transpose().eval();
    defect = ScorePass(keys, &gram);
  }
  const double g =
      static_cast<double>(keys.columns() + 2) * kUnit * frobenius_condition_;
  score_error_ = (defect < 1 ? defect / (1 - defect) : 1.0) + 2 * g;
}

void LeverageReference::Factor(const Rows& keys) {
  const RightSingular svd = RightSingularOf(keys);
  exponents_ = svd.exponents;
  const double largest = svd.values[0];
  const double threshold = RankThreshold(keys.columns()) * largest;
  for (const double value : svd.values) {
    if (value > threshold) ++rank_;
    if (value > threshold / 10 && value < threshold * 10) {
      rank_is_borderline_ = true;
    }
  }
  if (rank_ == 0) return;
  condition_ = largest / svd.values[rank_ - 1];
  // W = V_r S_r^-1
  whitening_ = svd.vectors.leftCols(rank_) *
               svd.values.head(rank_).cwiseInverse().asDiagonal();
}

// Fills scores_, returns ||X'X - I||_F, X = K W.
double LeverageReference::ScorePass(const Rows& keys, Eigen::MatrixXd* gram) {
  *gram = Eigen::MatrixXd::Zero(rank_, rank_);
  double keys_squared = 0.0;
  const int64_t step = BlockRows(keys);
  for (int64_t first = 0; first < keys.rows(); first += step) {
    const int64_t count = std::min(step, keys.rows() - first);
    const RowMatrix block = ScaledBlock(keys, first, count, exponents_);
    keys_squared += block.squaredNorm();
    const Eigen::MatrixXd x = block * whitening_;
    scores_.segment(first, count) = x.rowwise().squaredNorm();
    gram->selfadjointView<Eigen::Lower>().rankUpdate(x.transpose());
  }
  *gram = gram->selfadjointView<Eigen::Lower>();
  frobenius_condition_ = std::sqrt(keys_squared) * whitening_.norm();
  return (*gram - Eigen::MatrixXd::Identity(rank_, rank_)).norm();
}

RowMatrix LeverageReference::AttainingQueries(const RowMatrix& keys) const {
  // y = S^-1 W W' S^-1 k, S = diag(2^exponent).
  RowMatrix scaled = keys;
  ScaleColumns(exponents_, &scaled);
  RowMatrix queries = (scaled * whitening_) * whitening_.transpose();
  ScaleColumns(exponents_, &queries);
  return queries;
}

}  // namespace steelyard::verify
