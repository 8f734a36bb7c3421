#include "power/sketched_least_squares.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "linalg/column_products.h"
#include "linalg/triangular.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// Half of what a run could gain: rounding has not spoilt the directions yet,
// and two runs are enough for well-conditioned A.
constexpr double kRunReduction = 0x1p-28;
constexpr double kLeastReduction = 0x1p-6;
constexpr double kEstimateReduction = 0.01;
// A sketch that is an embedding takes some 30 for all 53 bits.
constexpr int kStepsMax = 60;

// x'y of every column, in row order.
std::vector<double> ColumnDots(const Matrix<double>& x,
                               const Matrix<double>& y) {
  std::vector<double> dots(static_cast<std::size_t>(x.cols()), 0.0);
  for (Index i = 0; i < x.rows(); ++i) {
    for (Index c = 0; c < x.cols(); ++c) {
      dots[static_cast<std::size_t>(c)] += x(i, c) * y(i, c);
    }
  }
  return dots;
}

// y += factor_c x in the columns whose factor is not 0.
void AddColumns(const std::vector<double>& factors, const Matrix<double>& x,
                Matrix<double>& y) {
  for (Index i = 0; i < y.rows(); ++i) {
    for (Index c = 0; c < y.cols(); ++c) {
      const double factor = factors[static_cast<std::size_t>(c)];
      if (factor != 0.0) y(i, c) += factor * x(i, c);
    }
  }
}

std::vector<double> NoFloors(const Matrix<double>& block) {
  return std::vector<double>(static_cast<std::size_t>(block.cols()), 0.0);
}

bool IsZero(const Matrix<double>& block) {
  return std::all_of(block.data(), block.data() + block.size(),
                     [](double x) { return x == 0.0; });
}

// B := R^-1 B or R^-T B; every column as it would be alone.
absl::Status Solved(Operand<double> r, Matrix<double>& block,
                    const ComputeContext& context) {
  const Index k = block.cols();
  Matrix<double> padded(block.rows(), PaddedColumns(k));
  for (Index i = 0; i < block.rows(); ++i) {
    std::copy_n(block.row(i), k, padded.row(i));
  }
  absl::Status done = SolveColumns(r, BlockOf(padded), context);
  for (Index i = 0; i < block.rows(); ++i) {
    std::copy_n(padded.row(i), k, block.row(i));
  }
  return done;
}

// The columns of one run of conjugate gradients.
struct Steps {
  Matrix<double> y;         // R0 z
  Matrix<double> residual;  // R0^-T (w - G z)
  Matrix<double> direction;
  std::vector<double> squares;  // of the residual
  std::vector<double> goals;
  std::vector<bool> active;

  Steps(Matrix<double> start, double reduction,
        const std::vector<double>& floors)
      : y(start.rows(), start.cols()),
        residual(std::move(start)),
        direction(residual),
        squares(ColumnDots(residual, residual)),
        goals(squares),
        active(squares.size()) {
    for (std::size_t c = 0; c < goals.size(); ++c) {
      goals[c] =
          std::max(goals[c] * reduction * reduction, floors[c] * floors[c]);
    }
  }

  bool Judge() {
    bool any = false;
    for (std::size_t c = 0; c < squares.size(); ++c) {
      active[c] = squares[c] > goals[c];
      any = any || active[c];
    }
    return any;
  }

  // `image`: C times the direction.
  void Advance(const Matrix<double>& image) {
    const std::vector<double> curvatures = ColumnDots(direction, image);
    std::vector<double> forward(squares.size(), 0.0);
    std::vector<double> backward(squares.size(), 0.0);
    for (std::size_t c = 0; c < squares.size(); ++c) {
      if (!active[c] || !(curvatures[c] > 0.0)) continue;
      forward[c] = squares[c] / curvatures[c];
      backward[c] = -forward[c];
    }
    AddColumns(forward, direction, y);
    AddColumns(backward, image, residual);
    const std::vector<double> left = ColumnDots(residual, residual);
    for (Index i = 0; i < y.rows(); ++i) {
      for (Index c = 0; c < y.cols(); ++c) {
        const auto at = static_cast<std::size_t>(c);
        if (forward[at] == 0.0) continue;
        direction(i, c) =
            residual(i, c) + left[at] / squares[at] * direction(i, c);
      }
    }
    for (std::size_t c = 0; c < squares.size(); ++c) {
      // No curvature: nothing that float64 can see is left.
      squares[c] = forward[c] == 0.0 ? std::min(squares[c], goals[c]) : left[c];
    }
  }
};

}  // namespace

SketchedSolver::SketchedSolver(const ScaledMatrix& a,
                               const std::vector<double>& ridge_diagonal,
                               const Factor& sketched, double distortion)
    : GramSolver(sketched),
      a_(a),
      ridge_diagonal_(ridge_diagonal),
      r_(sketched.r),
      distortion_(distortion),
      reduction_(std::clamp(kUnitRoundoff * sketched.condition, kRunReduction,
                            kLeastReduction)) {}

absl::Status SketchedSolver::Run(double reduction,
                                 const std::vector<double>& floors,
                                 Matrix<double>& block,
                                 const ComputeContext& context) const {
  if (IsZero(block)) return absl::OkStatus();
  const Block<const double> r = BlockOf(r_);
  absl::Status done = Solved(Transposed(r), block, context);
  if (!done.ok()) return done;
  Steps steps(std::move(block), reduction, floors);
  for (int step = 0; step < kStepsMax && steps.Judge(); ++step) {
    // R0^-T G R0^-1 times the direction
    Matrix<double> image = steps.direction;
    done = Solved(r, image, context);
    if (done.ok()) done = MultiplyGram(image, context);
    if (done.ok()) done = Solved(Transposed(r), image, context);
    if (!done.ok()) return done;
    steps.Advance(image);
  }
  block = std::move(steps.y);
  return Solved(r, block, context);
}

absl::Status SketchedSolver::Solve(Matrix<double>& block,
                                   const ComputeContext& context) const {
  return Run(reduction_, NoFloors(block), block, context);
}

absl::Status SketchedSolver::Correct(const std::vector<double>& sizes,
                                     Matrix<double>& block,
                                     const ComputeContext& context) const {
  std::vector<double> floors = sizes;
  for (double& floor : floors) floor *= 0.25 * kUnitRoundoff;
  return Run(kRunReduction, floors, block, context);
}

absl::Status SketchedSolver::Estimate(Matrix<double>& block,
                                      const ComputeContext& context) const {
  return Run(kEstimateReduction, NoFloors(block), block, context);
}

double SketchedSolver::rounding() const { return kUnitRoundoff; }

std::vector<double> SketchedSolver::Lengths(const Matrix<double>& block) const {
  std::vector<double> squares(static_cast<std::size_t>(block.cols()), 0.0);
  std::vector<double> row(squares.size());
  for (Index i = 0; i < block.rows(); ++i) {
    std::fill(row.begin(), row.end(), 0.0);
    for (Index j = i; j < block.rows(); ++j) {
      for (std::size_t c = 0; c < row.size(); ++c) {
        row[c] += r_(i, j) * block(j, static_cast<Index>(c));
      }
    }
    for (std::size_t c = 0; c < row.size(); ++c) squares[c] += row[c] * row[c];
  }
  for (double& square : squares) square = std::sqrt(square);
  return squares;
}

absl::Status SketchedSolver::MultiplyRoot(Matrix<double>& block,
                                          const ComputeContext& context) const {
  if (IsZero(block)) return absl::OkStatus();
  const PassInput input{.a = a_, .z_hi = &block, .k = block.cols()};
  const absl::StatusOr<PassResult> pass =
      ResidualPass(input, Precision::kDouble, context);
  if (!pass.ok()) return pass.status();
  // Of R z only the length is asked.
  Matrix<double> lengths(block.rows(), block.cols());
  for (Index c = 0; c < block.cols(); ++c) {
    double square = pass->squares[static_cast<std::size_t>(c)];
    for (std::size_t i = 0; i < ridge_diagonal_.size(); ++i) {
      const double x = block(static_cast<Index>(i), c);
      square += ridge_diagonal_[i] * x * x;
    }
    lengths(0, c) = std::sqrt(square);
  }
  block = std::move(lengths);
  return absl::OkStatus();
}

absl::Status SketchedSolver::MultiplyGram(Matrix<double>& block,
                                          const ComputeContext& context) const {
  if (IsZero(block)) return absl::OkStatus();
  const PassInput input{.a = a_, .z_hi = &block, .k = block.cols()};
  absl::StatusOr<PassResult> pass =
      ResidualPass(input, Precision::kDouble, context);
  if (!pass.ok()) return pass.status();
  for (Index i = 0; i < block.rows(); ++i) {
    const double l = ridge_diagonal_.empty()
                         ? 0.0
                         : ridge_diagonal_[static_cast<std::size_t>(i)];
    for (Index c = 0; c < block.cols(); ++c) {
      block(i, c) = l * block(i, c) - pass->hi(i, c);
    }
  }
  return absl::OkStatus();
}

}  // namespace steelyard
