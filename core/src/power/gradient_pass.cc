#include "power/gradient_pass.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <variant>

#include "factor/row_loader.h"
#include "linalg/double_double.h"
#include "linalg/split_products.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

// Columns that the cut allows for, however many there are: the order of sums
// must not depend on k.
constexpr Index kColumnsLeast = 64;
// Of the register tiles.
constexpr Index kColumnStep = 24;

SplitCut CutOf(Index n, Index d) {
  return CutOfSplitPass(n, d, kColumnsLeast, 2);
}

class Pass {
 public:
  Pass(const ScaledMatrix& a, const ColumnSlice& b)
      : b_(b),
        n_(Rows(a.view)),
        d_(Cols(a.view)),
        width_(PaddedColumns(b.count)),
        cut_(CutOf(n_, d_)),
        a_rows_(std::get<AnyMatrixView>(a.view), a.exponents),
        slots_(static_cast<std::size_t>(cut_.slots)) {
    for (const ColumnSlice::Piece& piece : b.pieces) {
      b_rows_.emplace_back(piece.matrix->view, piece.matrix->exponents);
    }
  }

  absl::StatusOr<Gradient> Run(const ComputeContext& context) {
    context.workers.ParallelFor(cut_.slots, context.stop, [&](Index slot) {
      RunSlot(slot, context.stop);
    });
    if (absl::Status stopped = CheckStop(context.stop); !stopped.ok()) {
      return stopped;
    }
    // Rows side by side, slots by a fixed tree.
    context.workers.ParallelFor(d_, context.stop, [&](Index row) {
      for (Index step = 1; step < cut_.slots; step *= 2) {
        for (Index slot = 0; slot + step < cut_.slots; slot += 2 * step) {
          Merge(At(slot + step), row, At(slot));
        }
      }
    });
    for (Index step = 1; step < cut_.slots; step *= 2) {
      for (Index slot = 0; slot + step < cut_.slots; slot += 2 * step) {
        for (std::size_t c = 0; c < At(slot).squares.size(); ++c) {
          At(slot).squares[c] += At(slot + step).squares[c];
          At(slot).errors[c] += At(slot + step).errors[c];
        }
      }
    }
    if (absl::Status stopped = CheckStop(context.stop); !stopped.ok()) {
      return stopped;
    }
    return Result(At(0));
  }

 private:
  struct Sums {
    Matrix<double> hi, lo;
    std::vector<double> squares;
    // Expected squares of the errors.
    std::vector<double> errors;
  };

  Sums& At(Index slot) { return slots_[static_cast<std::size_t>(slot)]; }

  void RunSlot(Index slot, const StopToken& stop) {
    const auto width = static_cast<std::size_t>(width_);
    Sums& sums = At(slot);
    sums.hi = Matrix<double>(SplitHeight(d_), width_);
    sums.lo = Matrix<double>(SplitHeight(d_), width_);
    sums.squares.resize(width);
    sums.errors.resize(width);
    SplitStrips a(d_);
    SplitColumns b(width_);
    Matrix<double> panel = Matrix<double>::Unset(cut_.block_rows, d_);
    std::vector<double> ceilings(width);
    std::vector<double> squares(width);
    const Index first = slot * cut_.blocks / cut_.slots;
    const Index last = (slot + 1) * cut_.blocks / cut_.slots;
    for (Index block = first; block < last; ++block) {
      if (stop.stop_requested()) return;
      const Index row = block * cut_.block_rows;
      const Index count = std::min(cut_.block_rows, n_ - row);
      const Block<double> rows = BlockOf(panel).Part(0, 0, count, d_);
      a_rows_.Load(row, 0, rows);
      a.Set(rows);
      LoadRightSides(row, b.Rows(count));
      b.Split(squares, ceilings);
      for (std::size_t c = 0; c < width; ++c) {
        sums.squares[c] += squares[c];
        sums.errors[c] += a.ExpectedSquare(ceilings[c], squares[c]);
      }
      AddSplitProduct(a, b, 0, BlockOf(sums.hi), BlockOf(sums.lo));
    }
  }

  // Rows of b, zero past the pieces.
  void LoadRightSides(Index row, const Block<double>& out) const {
    Index column = 0;
    for (std::size_t p = 0; p < b_rows_.size(); ++p) {
      const ColumnSlice::Piece& piece = b_.pieces[p];
      b_rows_[p].Load(row, piece.first,
                      out.Part(0, column, out.rows, piece.count));
      column += piece.count;
    }
    for (Index i = 0; i < out.rows; ++i) {
      std::fill(out.row(i) + column, out.row(i) + out.cols, 0.0);
    }
  }

  void Merge(const Sums& from, Index row, Sums& to) const {
    for (Index c = 0; c < width_; ++c) {
      const DoubleDouble sum = Add(TwoSum(to.hi(row, c), to.lo(row, c)),
                                   TwoSum(from.hi(row, c), from.lo(row, c)));
      to.hi(row, c) = sum.hi;
      to.lo(row, c) = sum.lo;
    }
  }

  Gradient Result(const Sums& sums) const {
    const Index k = b_.count;
    Gradient out{.hi = Matrix<double>::Unset(d_, k),
                 .lo = Matrix<double>::Unset(d_, k)};
    for (Index i = 0; i < d_; ++i) {
      for (Index c = 0; c < k; ++c) {
        const DoubleDouble sum = TwoSum(sums.hi(i, c), sums.lo(i, c));
        out.hi(i, c) = sum.hi;
        out.lo(i, c) = sum.lo;
      }
    }
    out.squares.assign(sums.squares.begin(), sums.squares.begin() + k);
    const double growth =
        GrowthOfSplitSums(cut_.blocks / cut_.slots + 1, cut_.block_rows);
    for (Index c = 0; c < k; ++c) {
      out.rounding.push_back(
          std::sqrt(growth * sums.errors[static_cast<std::size_t>(c)]));
    }
    return out;
  }

  const ColumnSlice& b_;
  Index n_, d_, width_;
  SplitCut cut_;
  RowLoader a_rows_;
  std::vector<RowLoader> b_rows_;  // one a piece
  std::vector<Sums> slots_;
};

}  // namespace

absl::StatusOr<Gradient> GradientPass(const ScaledMatrix& a,
                                      const ColumnSlice& b,
                                      const ComputeContext& context) {
  return Pass(a, b).Run(context);
}

Index GradientColumns(Index n, Index d) {
  const Index most = kSplitSumsMost / (CutOf(n, d).slots * d);
  return std::clamp(most / kColumnStep * kColumnStep, 2 * kColumnStep,
                    kGradientColumnsMost);
}

double BytesOfGradientPass(Index n, Index d, Index k, int workers) {
  const SplitCut cut = CutOf(n, d);
  const auto height = static_cast<double>(SplitHeight(d));
  const auto width = static_cast<double>(PaddedColumns(k));
  const auto slots = static_cast<double>(cut.slots);
  // The block, its heads and tails; those of b.
  const double block =
      static_cast<double>(cut.block_rows) * static_cast<double>(d) +
      static_cast<double>(kSplitRows + 1) * (2.0 * height + 3.0 * width);
  return 8.0 * (slots * width * (2.0 * height + 2.0) +
                std::min<double>(workers, slots) * (block + width) +
                2.0 * static_cast<double>(d * k) + 2.0 * width);
}

}  // namespace steelyard
