#include "power/gram_solver.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "linalg/column_products.h"
#include "linalg/svd.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// Below this nothing is left of a singular value but rounding, and the square
// of its inverse still is a number.
constexpr double kLeastValue = 0x1p-300;

// The first `cols` columns; those that are not there are zero.
Matrix<double> Widened(const Matrix<double>& from, Index cols) {
  Matrix<double> to(from.rows(), cols);
  for (Index i = 0; i < from.rows(); ++i) {
    std::copy_n(from.row(i), std::min(cols, from.cols()), to.row(i));
  }
  return to;
}

// Row i of the result: row i of `matrix` times 2^(exponents[i] - top).
Matrix<double> RowScaled(const Matrix<double>& matrix,
                         const std::vector<int>& exponents, int top) {
  Matrix<double> scaled(matrix.rows(), matrix.cols());
  for (Index i = 0; i < matrix.rows(); ++i) {
    const int shift = exponents[static_cast<std::size_t>(i)] - top;
    for (Index j = 0; j < matrix.cols(); ++j) {
      scaled(i, j) = std::ldexp(matrix(i, j), shift);
    }
  }
  return scaled;
}

// The first `count` right singular vectors of `square` as columns.
absl::StatusOr<RightSvd> LeadingVectors(Matrix<double> square, Index count,
                                        Matrix<double>& columns) {
  const Index d = square.cols();
  absl::StatusOr<RightSvd> svd = ComputeRightSvd(std::move(square));
  if (!svd.ok()) return svd.status();
  columns = Matrix<double>(d, count);
  for (Index i = 0; i < d; ++i) {
    for (Index j = 0; j < count; ++j) columns(i, j) = svd->v_transposed(j, i);
  }
  return svd;
}

}  // namespace

absl::Status Product(Operand<double> a, const Matrix<double>& b,
                     Matrix<double>& c, const ComputeContext& context) {
  const Index width = PaddedColumns(b.cols());
  c = Matrix<double>(a.rows(), width);
  absl::Status done;
  if (width == b.cols()) {
    done = MultiplyColumns(a, BlockOf(b), BlockOf(c), context);
  } else {
    const Matrix<double> wide = Widened(b, width);
    done = MultiplyColumns(a, BlockOf(wide), BlockOf(c), context);
    c = Widened(c, b.cols());
  }
  return done;
}

absl::StatusOr<GramSolver> GramSolver::Make(const Factor& factor,
                                            const ComputeContext& context) {
  GramSolver solver(factor);
  solver.rank_ = factor.rank;
  solver.truncated_ = factor.rank < factor.r.cols();
  if (solver.truncated_ && solver.rank_ > 0) {
    if (absl::Status done = solver.Truncate(context); !done.ok()) return done;
  }
  return solver;
}

absl::Status GramSolver::Truncate(const ComputeContext& context) {
  const std::vector<int>& exponents = factor_->scales.exponents;
  const Index d = factor_->r.cols();
  top_exponent_ = *std::max_element(exponents.begin(), exponents.end());
  // [(S V_r)'; 0]: its right singular vectors span the columns of S V_r.
  Matrix<double> rows(d, d);
  for (Index i = 0; i < rank_; ++i) {
    for (Index j = 0; j < d; ++j) {
      rows(i, j) =
          std::ldexp(factor_->v_transposed(i, j),
                     exponents[static_cast<std::size_t>(j)] - top_exponent_);
    }
  }
  Matrix<double> b;
  auto svd = LeadingVectors(std::move(rows), rank_, b);
  if (!svd.ok()) return svd.status();
  // V_r is turned by about u kappa (Wedin), which S V_r shows magnified by
  // ||S|| / sigma_r(S V_r) at most: ||S|| is 1 here.
  const double least =
      svd->singular_values[static_cast<std::size_t>(rank_ - 1)];
  row_space_error_ = 4.0 * std::sqrt(static_cast<double>(d)) * kUnitRoundoff *
                     factor_->condition / least;
  // [R S B, 0] = U diag(s) W'.
  Matrix<double> root;
  absl::Status done =
      Product(BlockOf(factor_->r), RowScaled(b, exponents, top_exponent_), root,
              context);
  if (!done.ok()) return done;
  Matrix<double> square(d, d);
  for (Index i = 0; i < d; ++i) {
    std::copy_n(root.row(i), rank_, square.row(i));
  }
  Matrix<double> w;
  svd = LeadingVectors(std::move(square), rank_, w);
  if (!svd.ok()) return svd.status();
  values_.assign(svd->singular_values.begin(),
                 svd->singular_values.begin() + rank_);
  for (double& value : values_) value = std::max(value, kLeastValue);
  Matrix<double> w_square(rank_, rank_);
  std::copy_n(w.data(), rank_ * rank_, w_square.data());
  done = Product(BlockOf(std::as_const(b)), w_square, basis_, context);
  if (!done.ok()) return done;
  scaled_basis_ = RowScaled(basis_, exponents, top_exponent_);
  return absl::OkStatus();
}

absl::Status GramSolver::Solve(Matrix<double>& block,
                               const ComputeContext& context) const {
  if (rank_ == 0) {
    block = Matrix<double>(block.rows(), block.cols());
    return absl::OkStatus();
  }
  if (!truncated_) {
    const Block<const double> r = BlockOf(factor_->r);
    const Index cols = block.cols();
    const Index width = PaddedColumns(cols);
    if (width != cols) block = Widened(block, width);
    absl::Status done = SolveColumns(Transposed(r), BlockOf(block), context);
    if (done.ok()) done = SolveColumns(r, BlockOf(block), context);
    if (width != cols) block = Widened(block, cols);
    return done;
  }
  Matrix<double> t;
  absl::Status done = Product(Transposed(BlockOf(std::as_const(scaled_basis_))),
                              block, t, context);
  if (!done.ok()) return done;
  for (Index i = 0; i < rank_; ++i) {
    const double s = values_[static_cast<std::size_t>(i)];
    for (Index c = 0; c < t.cols(); ++c) t(i, c) = t(i, c) / s / s;
  }
  return Product(BlockOf(scaled_basis_), t, block, context);
}

absl::Status GramSolver::Correct(const std::vector<double>& /*sizes*/,
                                 Matrix<double>& block,
                                 const ComputeContext& context) const {
  return Solve(block, context);
}

absl::Status GramSolver::Estimate(Matrix<double>& block,
                                  const ComputeContext& context) const {
  return Solve(block, context);
}

double GramSolver::rounding() const {
  return kUnitRoundoff * std::max(1.0, factor_->condition);
}

std::vector<double> GramSolver::Lengths(const Matrix<double>& block) const {
  return NormsOfColumns(block);
}

absl::Status GramSolver::MultiplyRoot(Matrix<double>& block,
                                      const ComputeContext& context) const {
  Matrix<double> product;
  absl::Status done = Product(BlockOf(factor_->r), block, product, context);
  block = std::move(product);
  return done;
}

absl::Status GramSolver::MultiplyGram(Matrix<double>& block,
                                      const ComputeContext& context) const {
  absl::Status done = MultiplyRoot(block, context);
  if (!done.ok()) return done;
  Matrix<double> product;
  done = Product(Transposed(BlockOf(factor_->r)), block, product, context);
  block = std::move(product);
  return done;
}

absl::Status GramSolver::Project(ScaledBlock& block,
                                 const ComputeContext& context) const {
  if (!truncated_) return absl::OkStatus();
  if (rank_ == 0) {
    block = ScaledBlock(block.rows(), block.cols());
    return absl::OkStatus();
  }
  Matrix<double> t;
  absl::Status done =
      Product(Transposed(BlockOf(scaled_basis_)), block.hi, t, context);
  if (!done.ok()) return done;
  done = Product(BlockOf(basis_), t, block.hi, context);
  if (!done.ok()) return done;
  block.lo = {};
  for (std::int64_t& exponent : block.exponents) exponent += top_exponent_;
  ScaleRows(factor_->scales.exponents, -1, block);
  return absl::OkStatus();
}

}  // namespace steelyard
