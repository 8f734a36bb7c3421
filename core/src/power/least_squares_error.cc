#include "power/least_squares_error.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <utility>

#include "linalg/cholesky.h"
#include "linalg/column_products.h"
#include "linalg/tall_skinny_qr.h"
#include "linalg/triangular.h"
#include "power/scaled_block.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// nu is rounded down to a power of 2^(1/8).
constexpr double kStepsOfOctave = 8.0;
// Beyond these, log2 of nu over |R|_F, nu or R is all there is of T.
constexpr double kLeastLog2 = -100.0;
constexpr double kMostLog2 = 60.0;
// 2^(-1/8), or a little less: nu |z| >= this |r| unless nu was cut.
constexpr double kRoundedDown = 0.917;
// From this nu over |R|_F on Cholesky will do: d u |R|_F^2 / nu^2 is below
// 2^-4 for every d that is served, and some 1e-4 in practice.
constexpr double kCholeskyLeast = 0x1p-18;
// Right-hand sides of one kind have nu's of some steps.
constexpr std::size_t kKeptMax = 4;
// Columns for one T that a cost is told for.
constexpr Index kColumnsOfTriangle = 16;

// The columns of each nu.
std::map<int, std::vector<Index>> ColumnsByStep(
    const LeastSquaresResidual& residual, double norm) {
  std::map<int, std::vector<Index>> columns;
  for (std::size_t c = 0; c < residual.r_norms.size(); ++c) {
    // z = 0: infinite.
    const double nu = residual.r_norms[c] / residual.z_norms[c];
    const double log2 = std::log2(nu / norm);
    // r = 0 and z = 0: nothing to solve.
    if (std::isnan(log2)) continue;
    const double step =
        std::floor(kStepsOfOctave * std::clamp(log2, kLeastLog2, kMostLog2));
    columns[static_cast<int>(step)].push_back(static_cast<Index>(c));
  }
  return columns;
}

}  // namespace

double LeastSquaresErrors::ShiftOf(int step) const {
  return std::exp2(static_cast<double>(step) / kStepsOfOctave) *
         factor_.frobenius_norm;
}

absl::StatusOr<const Matrix<double>*> LeastSquaresErrors::TriangleOf(
    int step, const ComputeContext& context) {
  const auto found =
      std::find_if(kept_.begin(), kept_.end(),
                   [&](const Kept& kept) { return kept.step == step; });
  if (found != kept_.end()) {
    std::rotate(found, found + 1, kept_.end());
    return &kept_.back().t;
  }
  absl::StatusOr<Matrix<double>> t = MakeTriangle(ShiftOf(step), context);
  if (!t.ok()) return t.status();
  if (kept_.size() == kKeptMax) kept_.erase(kept_.begin());
  kept_.push_back({step, *std::move(t)});
  return &kept_.back().t;
}

absl::StatusOr<Matrix<double>> LeastSquaresErrors::MakeTriangle(
    double nu, const ComputeContext& context) {
  const Matrix<double>& r = factor_.r;
  if (nu >= kCholeskyLeast * factor_.frobenius_norm) {
    Matrix<double> t(r.rows(), r.cols());
    absl::Status done =
        MultiplyUpper(Transposed(BlockOf(r)), BlockOf(r), BlockOf(t), context);
    if (!done.ok()) return done;
    for (Index i = 0; i < r.cols(); ++i) t(i, i) += nu * nu;
    const absl::StatusOr<CholeskyOutcome> outcome =
        CholeskyInPlace(t.data(), r.cols(), r.cols(), context);
    if (!outcome.ok()) return outcome.status();
    if (outcome->positive_definite) return t;
  }
  const RowSource rows{r.rows(), r.cols(), [&](Index first, Block<double> out) {
                         for (Index i = 0; i < out.rows; ++i) {
                           std::copy_n(r.row(first + i), out.cols, out.row(i));
                         }
                       }};
  return TallSkinnyQr(
      rows, std::vector<double>(static_cast<std::size_t>(r.cols()), nu),
      context);
}

double LeastSquaresErrors::ErrorOfFactor(double nu) const {
  if (distortion_ > 0.0) return 1.0 + distortion_;
  if (factor_.method != FactorMethod::kGram) return 1.0;
  // The Gram's error (triangle.h), beside the least that it can disturb.
  const double least = 1.0 / (factor_.condition * factor_.condition);
  const double shift = nu / factor_.frobenius_norm;
  const auto d = static_cast<double>(factor_.r.cols());
  return std::sqrt(1.0 + 2.0 * std::sqrt(d) * kUnitRoundoff /
                             (least + shift * shift));
}

absl::StatusOr<std::vector<double>> LeastSquaresErrors::Bounds(
    const LeastSquaresResidual& residual, const ComputeContext& context) {
  std::vector<double> bounds(residual.r_norms.size(), 0.0);
  const double norm = factor_.frobenius_norm;
  // A = 0: every z is a solution.
  if (norm == 0.0) return bounds;
  for (const auto& [step, columns] : ColumnsByStep(residual, norm)) {
    const auto t = TriangleOf(step, context);
    if (!t.ok()) return t.status();
    const auto count = static_cast<Index>(columns.size());
    Matrix<double> y(factor_.r.cols(), PaddedColumns(count));
    for (Index i = 0; i < y.rows(); ++i) {
      for (Index c = 0; c < count; ++c) {
        y(i, c) = residual.gradient(i, columns[static_cast<std::size_t>(c)]);
      }
    }
    // T^-T A'r
    absl::Status done =
        SolveColumns(Transposed(BlockOf(**t)), BlockOf(y), context);
    if (!done.ok()) return done;
    const std::vector<double> lengths = NormsOfColumns(y);
    const double nu = ShiftOf(step);
    const double times = std::numbers::sqrt2 * ErrorOfFactor(nu);
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const auto at = static_cast<std::size_t>(columns[c]);
      const double r = residual.r_norms[at];
      // Where nu was cut (z = 0), nu |z| stands for |r|.
      const double z = std::max(residual.z_norms[at], kRoundedDown * r / nu);
      // No longer than r: it is as long as a projection of [r; 0].
      bounds[at] = std::min(1.0, times * std::min(lengths[c], r) / (z * norm));
    }
  }
  return bounds;
}

Cost CostOfLeastSquaresErrors(Index d, Index k) {
  // One slot at a time: no more memory for more workers.
  const Cost qr = CostOfTallSkinnyQr(d, d, 1);
  const auto columns = static_cast<double>(d);
  const auto count = static_cast<double>(k);
  const auto triangles = static_cast<double>(k / kColumnsOfTriangle + 1);
  return {.flops = triangles * qr.flops + 2.0 * count * columns * columns,
          .bytes = qr.bytes + 128.0 * count +
                   8.0 * columns * (kKeptMax * columns + count + 16.0)};
}

}  // namespace steelyard
