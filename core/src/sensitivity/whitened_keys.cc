#include "sensitivity/whitened_keys.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/blas.h"
#include "linalg/stopped.h"
#include "linalg/triangular.h"
#include "parallel/scratch_pool.h"
#include "sensitivity/tall_products.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// Columns of V_r taken at a time, so that no BLAS call takes long at d = 8192.
constexpr Index kColumnBlock = 512;

double Real(Index i) { return static_cast<double>(i); }

// x := S_r^-1 V_r' k for a block of keys. V_r' is the top of v_transposed.
void Project(const Factor& factor, Block<const double> keys,
             const StopToken& stop, Block<double> x) {
  const Block<const double> v = BlockOf(factor.v_transposed);
  for (Index j = 0; j < factor.rank; j += kColumnBlock) {
    if (stop.stop_requested()) return;
    const Index width = std::min(kColumnBlock, factor.rank - j);
    Gemm(1.0, keys, Transposed(v.Part(j, 0, width, v.cols)), 0.0,
         x.Part(0, j, keys.rows, width));
  }
  for (Index i = 0; i < x.rows; ++i) {
    for (Index c = 0; c < x.cols; ++c) {
      x(i, c) /= factor.singular_values[static_cast<std::size_t>(c)];
    }
  }
}

// Bound on ||x~_j - x_j|| / ||x_j||. Full rank: (R + D)' x~ = k with
// |D| <= d u |R| (Higham, 8.5), so at most d u ||R||_F ||R^-1||_F. Else the
// product V_r'k is off by at most (d + 1) u ||k|| a component, ||k|| <=
// sigma_1 ||x||, and every component is divided by its singular value. Twice
// that covers ||x~|| in place of ||x||.
double RowError(const Factor& factor) {
  const double d = Real(factor.r.cols());
  double inverse = factor.inverse_frobenius_norm;
  if (factor.rank < factor.r.cols()) {
    double square = 0.0;
    for (Index i = 0; i < factor.rank; ++i) {
      const double s = factor.singular_values[static_cast<std::size_t>(i)];
      square += 1.0 / (s * s);
    }
    inverse = std::sqrt(square);
  }
  return 2.0 * (d + 2.0) * kUnitRoundoff * factor.frobenius_norm * inverse;
}

// Singular values of x from f >= ||X'X - I||_F: within [sqrt(1-f), sqrt(1+f)].
absl::Status MeasureSingularValues(const ComputeContext& context,
                                   WhitenedKeys& keys) {
  const std::vector<double> ones(static_cast<std::size_t>(keys.rows()), 1.0);
  const absl::StatusOr<WeightedGram> gram =
      ComputeWeightedGram(keys.x, ones.data(), context);
  if (!gram.ok()) return gram.status();
  double distance = 0.0;
  double trace = 0.0;
  for (Index i = 0; i < keys.rank(); ++i) {
    trace += gram->gram(i, i);
    for (Index j = i; j < keys.rank(); ++j) {
      const double gap = gram->gram(i, j) - (i == j ? 1.0 : 0.0);
      distance += (i == j ? 1.0 : 2.0) * gap * gap;
    }
  }
  const double f = 1.01 * std::sqrt(distance) +
                   2.0 * gram->additions * kUnitRoundoff * trace;
  // Rounding of rows must not reach the smallest singular value: certificates
  // take that of the computed x for that of the exact one, 1 % apart.
  const double moved = keys.row_error * std::sqrt(trace);
  if (!(f < 1.0) || !(moved < 0.005 * std::sqrt(1.0 - f))) {
    return absl::OkStatus();
  }
  keys.smallest_singular_value = std::sqrt(1.0 - f);
  keys.largest_singular_value = std::sqrt(1.0 + f);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<WhitenedKeys> WhitenKeys(const AnyMatrixView& keys,
                                        const FactoredKeys& factored,
                                        const ComputeContext& context) {
  const Factor& factor = factored.factor;
  const Index n = Rows(keys);
  const Index d = Cols(keys);
  const Index r = factor.rank;
  const bool full_rank = r == d;
  WhitenedKeys white;
  white.x = Matrix<double>::Unset(n, r);
  white.norms.resize(static_cast<std::size_t>(n));
  white.row_error = RowError(factor);
  const Index rows = TallBlockRows(d);
  ScratchPool pool(full_rank ? 1 : rows * d);
  const std::vector<Index>& fresh = factored.scores.new_direction;
  context.workers.ParallelFor(
      (n + rows - 1) / rows, context.stop, [&](Index task) {
        const Index first = task * rows;
        const Index count = std::min(rows, n - first);
        const Block<double> x = BlockOf(white.x).Part(first, 0, count, r);
        if (full_rank) {
          LoadScaledRows(keys, first, count, factor.scales.exponents, x.data);
          const absl::Status solved =
              SolveUpperFromRight(x, BlockOf(factor.r), context.stop);
          if (!solved.ok()) return;  // Stopped: looked at below.
        } else {
          ScratchPool::Lease loaded = pool.Borrow();
          LoadScaledRows(keys, first, count, factor.scales.exponents,
                         loaded.data());
          Project(factor, {loaded.data(), count, d, d}, context.stop, x);
        }
        for (Index i = 0; i < count; ++i) {
          if (std::binary_search(fresh.begin(), fresh.end(), first + i)) {
            std::fill_n(x.row(i), r, 0.0);
          }
          white.norms[static_cast<std::size_t>(first + i)] =
              std::sqrt(Dot(x.row(i), x.row(i), r));
        }
      });
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  if (absl::Status s = MeasureSingularValues(context, white); !s.ok()) return s;
  return white;
}

}  // namespace steelyard
