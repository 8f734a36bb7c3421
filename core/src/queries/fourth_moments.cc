#include "queries/fourth_moments.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "factor/row_loader.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"
#include "linalg/triangular.h"
#include "parallel/scratch_pool.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr Index kPanelRows = 256;
constexpr Index kSlotRows = 4096;
constexpr Index kSlotsMax = 16;

Index SlotCount(Index n) {
  return std::clamp<Index>(n / kSlotRows, 1, kSlotsMax);
}

void Vech(const double* x, Index d, double* out) {
  for (Index i = 0; i < d; ++i) {
    *out++ = x[i] * x[i];
    for (Index j = i + 1; j < d; ++j) {
      *out++ = std::numbers::sqrt2 * x[i] * x[j];
    }
  }
}

// Upper triangle of `sum` += that of the rows [first, last).
void AddSlot(const RowLoader& rows, const Factor& factor, Index first,
             Index last, const StopToken& stop, double* work,
             Matrix<double>* sum) {
  const Index d = rows.cols();
  const Index order = sum->rows();
  double* lifted = work + kPanelRows * d;
  for (Index begin = first; begin < last; begin += kPanelRows) {
    if (stop.stop_requested()) return;
    const Index count = std::min(kPanelRows, last - begin);
    const Block<double> y{work, count, d, d};
    rows.Load(begin, 0, y);
    if (!SolveUpperFromRight(y, BlockOf(factor.r), stop).ok()) return;
    for (Index i = 0; i < count; ++i) Vech(y.row(i), d, lifted + i * order);
    SyrkUpper(1.0, Transposed(Block<double>{lifted, count, order, order}), 1.0,
              BlockOf(*sum));
  }
}

}  // namespace

Index MomentsOrder(Index d) { return d * (d + 1) / 2; }

bool MomentsPay(Index n, Index d) {
  if (d > kMomentsColumnsMax) return false;
  const auto x = static_cast<double>(d);
  const double moments = x * (x + 1.0) * (x + 2.0) * (x + 3.0) / 24.0;
  return moments < static_cast<double>(n) * x;
}

absl::StatusOr<Matrix<double>> FourthMoments(const AnyMatrixView& keys,
                                             const Factor& factor,
                                             const ComputeContext& context) {
  const Index n = Rows(keys);
  const Index d = Cols(keys);
  const Index order = MomentsOrder(d);
  const Index slots = SlotCount(n);
  const Index rows_of_slot = (n + slots - 1) / slots;
  const RowLoader rows(keys, factor.scales.exponents);
  std::vector<Matrix<double>> sums(static_cast<std::size_t>(slots));
  ScratchPool pool(kPanelRows * (d + order));
  context.workers.ParallelFor(slots, context.stop, [&](Index slot) {
    ScratchPool::Lease work = pool.Borrow();
    Matrix<double>& sum = sums[static_cast<std::size_t>(slot)];
    sum = Matrix<double>(order, order);
    AddSlot(rows, factor, slot * rows_of_slot,
            std::min(n, (slot + 1) * rows_of_slot), context.stop, work.data(),
            &sum);
  });
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  Matrix<double> moments = std::move(sums.front());
  for (std::size_t slot = 1; slot < sums.size(); ++slot) {
    AddScaled(1.0, sums[slot].data(), moments.data(), moments.size());
  }
  for (Index i = 0; i < order; ++i) {
    for (Index j = 0; j < i; ++j) moments(i, j) = moments(j, i);
  }
  return moments;
}

void ComputeFourthPowers(const Matrix<double>& moments, Index n,
                         const Factor& factor, Block<const double> queries,
                         double* work, FourthPowers* z) {
  const Index count = queries.rows;
  const Index d = queries.cols;
  const Index order = moments.rows();
  const Block<double> x{work, count, d, d};
  const Block<double> v{work + count * d, count, order, order};
  const Block<double> product{v.data + count * order, count, order, order};
  Gemm(1.0, queries, Transposed(BlockOf(factor.r)), 0.0, x);
  for (Index i = 0; i < count; ++i) Vech(x.row(i), d, v.row(i));
  Gemm(1.0, v, BlockOf(moments), 0.0, product);
  double trace = 0.0;  // sum_k |y|^4
  for (Index a = 0; a < order; ++a) trace += moments(a, a);
  // Sums: c roundings of terms with sum_k (|w|'|v|)^2 <= |x|^4 sum_k |y|^4.
  const double roundings =
      static_cast<double>(n / SlotCount(n) + kSlotsMax + 2 * order + 8) *
      kUnitRoundoff;
  // Whitening: |y~ - y| <= g |y|, |x~ - x| <= g |x|, g of N4, so <y, x> is off
  // by h |y| |x|, h = 3 g, and Z_4 by 4 h |x| (sum |y|^4)^{1/4} Z_4^{3/4}
  // (Hoelder) to first order; 5 covers the rest while h is small.
  const double g = static_cast<double>(d + 2) * kUnitRoundoff *
                   factor.frobenius_norm * factor.inverse_frobenius_norm;
  for (Index i = 0; i < count; ++i) {
    z[i].z = std::max(0.0, Dot(v.row(i), product.row(i), order));
    const double square = Dot(x.row(i), x.row(i), d);
    const double whitening = 15.0 * g * std::sqrt(square) *
                             std::pow(trace, 0.25) * std::pow(z[i].z, 0.75);
    z[i].error = 2.0 * roundings * square * square * trace + whitening;
  }
}

}  // namespace steelyard
