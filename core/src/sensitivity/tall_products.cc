#include "sensitivity/tall_products.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "linalg/blas.h"
#include "linalg/cholesky.h"
#include "linalg/stopped.h"
#include "linalg/triangular.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr Index kChunk = 1024;
constexpr Index kMostSlots = 64;
constexpr Index kTile = 256;
// Of all slots together.
constexpr Index kSlotEntries = Index{1} << 22;
constexpr double kRidge = 1e-14;

// Rows of one rank-k update: some milliseconds at any r.
Index PanelRows(Index r) {
  return std::clamp<Index>((Index{1} << 18) / r, 16, 512);
}

struct Rows2 {
  Index first;
  Index count;
};

// Tile (i, j), i <= j, of H += X' diag(s) X over some rows. `panel`: the rows
// of the left tile, scaled.
void AddTile(const Matrix<double>& x, const double* s, Rows2 rows, Index i,
             Index j, double* panel, Block<double> h) {
  const Index r = x.cols();
  const Index left = i * kTile;
  const Index left_size = std::min(kTile, r - left);
  const Index right = j * kTile;
  const Index right_size = std::min(kTile, r - right);
  const bool diagonal = i == j;
  for (Index k = 0; k < rows.count; ++k) {
    const double weight = s[rows.first + k];
    const double factor = diagonal ? std::sqrt(weight) : weight;
    const double* in = x.row(rows.first + k) + left;
    double* out = panel + k * left_size;
    for (Index c = 0; c < left_size; ++c) out[c] = factor * in[c];
  }
  const Block<const double> scaled{panel, rows.count, left_size, left_size};
  const Block<double> tile = h.Part(left, right, left_size, right_size);
  if (diagonal) {
    SyrkUpper(1.0, Transposed(scaled), 1.0, tile);
    return;
  }
  const Block<const double> plain{x.row(rows.first) + right, rows.count,
                                  right_size, r};
  Gemm(1.0, Transposed(scaled), plain, 1.0, tile);
}

// All tiles of a row of tiles of H over rows [begin, end).
void AddRows(const Matrix<double>& x, const double* s, Index begin, Index end,
             const StopToken& stop, double* panel, Block<double> h) {
  const Index tiles = (x.cols() + kTile - 1) / kTile;
  const Index step = PanelRows(std::min(x.cols(), kTile));
  for (Index first = begin; first < end; first += step) {
    const Rows2 rows{first, std::min(step, end - first)};
    for (Index i = 0; i < tiles; ++i) {
      if (stop.stop_requested()) return;
      for (Index j = i; j < tiles; ++j) AddTile(x, s, rows, i, j, panel, h);
    }
  }
}

Index PanelEntries(Index r) {
  const Index width = std::min(r, kTile);
  return PanelRows(width) * width;
}

}  // namespace

void MultiplyTall(const Matrix<double>& x, const double* y,
                  const StopToken& stop, double* t) {
  for (Index first = 0; first < x.rows(); first += kChunk) {
    if (stop.stop_requested()) return;
    const Index end = std::min(x.rows(), first + kChunk);
    for (Index i = first; i < end; ++i) t[i] = Dot(x.row(i), y, x.cols());
  }
}

void MultiplyTallTransposed(const Matrix<double>& x, const double* z,
                            const StopToken& stop, double* v) {
  const Index r = x.cols();
  std::vector<double> partial(static_cast<std::size_t>(r));
  std::fill_n(v, r, 0.0);
  for (Index first = 0; first < x.rows(); first += kChunk) {
    if (stop.stop_requested()) return;
    const Index end = std::min(x.rows(), first + kChunk);
    std::fill(partial.begin(), partial.end(), 0.0);
    for (Index i = first; i < end; ++i) {
      const double* row = x.row(i);
      for (Index c = 0; c < r; ++c) {
        partial[static_cast<std::size_t>(c)] += z[i] * row[c];
      }
    }
    for (Index c = 0; c < r; ++c) v[c] += partial[static_cast<std::size_t>(c)];
  }
}

double TallSumError(Index n) {
  return static_cast<double>(std::min(n, kChunk) + n / kChunk + 2) *
         kUnitRoundoff;
}

WeightedSystem::WeightedSystem(const Matrix<double>& x)
    : x_(x),
      h_(x.cols(), x.cols()),
      r_(x.cols(), x.cols()),
      panel_(1, PanelEntries(x.cols())) {}

bool WeightedSystem::Factor(const double* s, const ComputeContext& context) {
  const Index r = x_.cols();
  std::fill_n(h_.data(), h_.size(), 0.0);
  AddRows(x_, s, 0, x_.rows(), context.stop, panel_.data(), BlockOf(h_));
  if (context.stop.stop_requested()) return false;
  double largest = 0.0;
  for (Index i = 0; i < r; ++i) largest = std::max(largest, h_(i, i));
  if (!std::isfinite(largest) || largest == 0.0) return false;
  for (const double ridge : {0.0, kRidge}) {
    r_ = h_;
    for (Index i = 0; i < r; ++i) r_(i, i) += ridge * largest;
    const absl::StatusOr<CholeskyOutcome> outcome =
        CholeskyInPlace(r_.data(), r, r, context);
    if (!outcome.ok()) return false;
    if (outcome->positive_definite) return true;
  }
  return false;
}

void WeightedSystem::Solve(double* v) const {
  const Block<double> column{v, x_.cols(), 1, 1};
  TrsmUpper(Side::kLeft, Transposed(BlockOf(r_)), column);
  TrsmUpper(Side::kLeft, BlockOf(r_), column);
}

absl::StatusOr<WeightedGram> ComputeWeightedGram(
    const Matrix<double>& x, const double* s, const ComputeContext& context) {
  const Index n = x.rows();
  const Index r = x.cols();
  const Index slots = std::clamp<Index>(
      std::min(kSlotEntries / (r * r), n / (4 * PanelRows(r))), 1, kMostSlots);
  Matrix<double> sums(slots * r, r);
  context.workers.ParallelFor(slots, context.stop, [&](Index slot) {
    AlignedVector<double> panel(static_cast<std::size_t>(PanelEntries(r)));
    AddRows(x, s, n * slot / slots, n * (slot + 1) / slots, context.stop,
            panel.data(), BlockOf(sums).Part(slot * r, 0, r, r));
  });
  if (absl::Status status = CheckStop(context.stop); !status.ok()) {
    return status;
  }
  WeightedGram result{Matrix<double>(r, r), 0.0};
  for (Index slot = 0; slot < slots; ++slot) {
    for (Index i = 0; i < r; ++i) {
      for (Index j = i; j < r; ++j) {
        result.gram(i, j) += sums(slot * r + i, j);
      }
    }
  }
  // Rounding of the scaled rows: 3 more.
  result.additions = static_cast<double>((n + slots - 1) / slots + slots + 3);
  return result;
}

}  // namespace steelyard
