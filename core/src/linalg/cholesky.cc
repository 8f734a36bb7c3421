#include "linalg/cholesky.h"

#include <algorithm>
#include <utility>

#include "linalg/blas.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr Index kTile = 256;

// The tiles of an n x n matrix.
struct Tiles {
  Block<double> a;

  Index count() const { return (a.rows + kTile - 1) / kTile; }
  Index size(Index i) const { return std::min(kTile, a.rows - i * kTile); }
  Block<double> operator()(Index i, Index j) const {
    return a.Part(i * kTile, j * kTile, size(i), size(j));
  }
};

// Task t of the upper triangle (i <= j) of a square of `side` tiles, row by
// row.
std::pair<Index, Index> UpperTask(Index t, Index side) {
  Index i = 0;
  while (t >= side - i) {
    t -= side - i;
    ++i;
  }
  return {i, i + t};
}

}  // namespace

absl::StatusOr<CholeskyOutcome> CholeskyInPlace(double* a, Index n,
                                                Index stride,
                                                const ComputeContext& context) {
  const Tiles tiles{{a, n, n, stride}};
  const Index count = tiles.count();
  for (Index k = 0; k < count; ++k) {
    if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
    // R_kk' R_kk = A_kk
    const Index failed = PotrfUpper(tiles(k, k));
    if (failed >= 0) {
      return CholeskyOutcome{.positive_definite = false,
                             .failed_pivot = k * kTile + failed};
    }
    const Index rest = count - k - 1;
    if (rest == 0) break;
    // R_kj = R_kk^-T A_kj
    context.workers.ParallelFor(rest, context.stop, [&](Index t) {
      TrsmUpper(Side::kLeft, Transposed(tiles(k, k)), tiles(k, k + 1 + t));
    });
    // A_ij -= R_ki' R_kj
    context.workers.ParallelFor(
        rest * (rest + 1) / 2, context.stop, [&](Index t) {
          auto [i, j] = UpperTask(t, rest);
          i += k + 1;
          j += k + 1;
          if (i == j) {
            SyrkUpper(-1.0, Transposed(tiles(k, i)), 1.0, tiles(i, i));
          } else {
            Gemm(-1.0, Transposed(tiles(k, i)), tiles(k, j), 1.0, tiles(i, j));
          }
        });
  }
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  return CholeskyOutcome{};
}

}  // namespace steelyard
