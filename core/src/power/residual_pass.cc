#include "power/residual_pass.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "factor/row_loader.h"
#include "linalg/column_products.h"
#include "linalg/double_double.h"
#include "linalg/double_double_rows.h"
#include "linalg/stopped.h"
#include "power/csr_pass.h"

namespace steelyard {
namespace {

// 256 KiB of a block stay in the second-level cache beside the vectors.
constexpr Index kBlockEntries = 32768;
constexpr Index kBlockRowsMin = 8;
constexpr Index kBlockRowsMax = 512;
// Slots: enough for every worker; few enough that their sums stay small.
constexpr Index kSlotsMax = 64;
constexpr Index kSlotEntriesMax = Index{1} << 22;  // of all slots together
// Columns that the cut allows for, however many there are: the order of sums
// must not depend on k.
constexpr Index kColumnsMost = 64;

struct Cut {
  Index block_rows;
  Index blocks;
  Index slots;
};

Cut CutOf(Index n, Index d) {
  Cut cut{};
  cut.block_rows = std::clamp(kBlockEntries / std::max(d, kColumnsMost),
                              kBlockRowsMin, kBlockRowsMax);
  cut.blocks = (n + cut.block_rows - 1) / cut.block_rows;
  const Index affordable =
      std::max<Index>(2, kSlotEntriesMax / (d * kColumnsMost));
  cut.slots = std::min({kSlotsMax, cut.blocks, affordable});
  return cut;
}

// k vectors of length d, one after the other, as sums hi + lo.
struct Sums {
  AlignedVector<double> hi;
  AlignedVector<double> lo;
  std::vector<double> squares;
};

class Pass {
 public:
  Pass(const PassInput& input, Precision precision)
      : in_(input),
        precision_(precision),
        n_(Rows(input.a.view)),
        d_(Cols(input.a.view)),
        k_(input.k),
        width_(PaddedColumns(input.k)),
        cut_(CutOf(n_, d_)),
        a_rows_(std::get<AnyMatrixView>(input.a.view), input.a.exponents),
        slots_(static_cast<std::size_t>(cut_.slots)) {
    if (in_.b) {
      for (const ColumnSlice::Piece& piece : in_.b->pieces) {
        b_rows_.emplace_back(piece.matrix->view, piece.matrix->exponents);
      }
    }
    if (in_.z_hi == nullptr) return;
    if (precision == Precision::kDouble) {
      z_hi_.resize(Entries());
      for (Index i = 0; i < d_; ++i) {
        std::copy_n(in_.z_hi->row(i), k_, z_hi_.data() + i * width_);
      }
    } else {
      Transpose(*in_.z_hi, z_hi_);
      if (in_.z_lo != nullptr) Transpose(*in_.z_lo, z_lo_);
      z_lo_.resize(z_hi_.size());
    }
  }

  absl::StatusOr<PassResult> Run(const ComputeContext& context) {
    context.workers.ParallelFor(cut_.slots, context.stop, [&](Index slot) {
      RunSlot(slot, context.stop);
    });
    if (absl::Status stopped = CheckStop(context.stop); !stopped.ok()) {
      return stopped;
    }
    for (Index step = 1; step < cut_.slots; step *= 2) {
      for (Index slot = 0; slot + step < cut_.slots; slot += 2 * step) {
        Merge(slots_[static_cast<std::size_t>(slot + step)],
              slots_[static_cast<std::size_t>(slot)]);
      }
    }
    return Result(slots_.front());
  }

 private:
  std::size_t Entries() const { return static_cast<std::size_t>(d_ * width_); }

  void Transpose(const Matrix<double>& from, AlignedVector<double>& to) const {
    to.resize(Entries());
    for (Index i = 0; i < d_; ++i) {
      for (Index c = 0; c < k_; ++c) {
        to[static_cast<std::size_t>(c * d_ + i)] = from(i, c);
      }
    }
  }

  void RunSlot(Index slot, const StopToken& stop) {
    Sums& sums = slots_[static_cast<std::size_t>(slot)];
    sums.hi.resize(Entries());
    sums.lo.resize(Entries());
    sums.squares.resize(static_cast<std::size_t>(k_));
    const auto rows = static_cast<std::size_t>(cut_.block_rows);
    AlignedVector<double> panel(rows * static_cast<std::size_t>(d_));
    AlignedVector<double> r(rows * static_cast<std::size_t>(width_));
    AlignedVector<double> scratch(precision_ == Precision::kDouble ? Entries()
                                                                   : 2 * rows);
    const Index first = slot * cut_.blocks / cut_.slots;
    const Index last = (slot + 1) * cut_.blocks / cut_.slots;
    for (Index block = first; block < last; ++block) {
      if (stop.stop_requested()) return;
      const Index row = block * cut_.block_rows;
      const Index count = std::min(cut_.block_rows, n_ - row);
      a_rows_.Load(row, 0, {panel.data(), count, d_, d_});
      std::fill(r.begin(), r.end(), 0.0);
      LoadRightSides(row, {r.data(), count, k_, width_});
      if (precision_ == Precision::kDouble) {
        AddBlock(panel, count, r.data(), scratch, sums);
      } else {
        AddBlockTwice(panel, count, r.data(), scratch, sums);
      }
    }
  }

  void LoadRightSides(Index row, Block<double> out) const {
    Index column = 0;
    for (std::size_t p = 0; p < b_rows_.size(); ++p) {
      const ColumnSlice::Piece& piece = in_.b->pieces[p];
      b_rows_[p].Load(row, piece.first,
                      out.Part(0, column, out.rows, piece.count));
      column += piece.count;
    }
  }

  // r := r - A z of the block in float64, sums += A'r.
  void AddBlock(const AlignedVector<double>& panel, Index count, double* r,
                AlignedVector<double>& part, Sums& sums) const {
    const Block<const double> a{panel.data(), count, d_, d_};
    const Block<double> right{r, count, width_, width_};
    if (in_.z_hi != nullptr) {
      SubtractProduct(
          a, Block<const double>{z_hi_.data(), d_, width_, width_}, right);
    }
    std::fill(part.begin(), part.end(), 0.0);
    AddProduct(Transposed(a), right, {part.data(), d_, width_, width_});
    for (Index i = 0; i < count; ++i) {
      for (Index c = 0; c < k_; ++c) {
        const double x = r[i * width_ + c];
        sums.squares[static_cast<std::size_t>(c)] += x * x;
      }
    }
    for (std::size_t e = 0; e < Entries(); ++e) {
      const DoubleDouble sum = TwoSum(sums.hi[e], part[e]);
      sums.hi[e] = sum.hi;
      sums.lo[e] += sum.lo;
    }
  }

  // The same with r and the sums in double-double, column by column.
  void AddBlockTwice(const AlignedVector<double>& panel, Index count,
                     const double* b, AlignedVector<double>& scratch,
                     Sums& sums) const {
    const RowPanel rows{panel.data(), count, d_};
    double* r_hi = scratch.data();
    double* r_lo = r_hi + count;
    for (Index c = 0; c < k_; ++c) {
      std::fill_n(r_hi, 2 * count, 0.0);
      if (in_.z_hi != nullptr) {
        DotRows(rows, z_hi_.data() + c * d_, z_lo_.data() + c * d_, r_hi, r_lo);
      }
      double squares = 0.0;
      for (Index i = 0; i < count; ++i) {
        const DoubleDouble r =
            Subtract({b[i * width_ + c], 0.0}, {r_hi[i], r_lo[i]});
        r_hi[i] = r.hi;
        r_lo[i] = r.lo;
        squares += r.hi * r.hi;
      }
      AddRows(rows, r_hi, r_lo, sums.hi.data() + c * d_,
              sums.lo.data() + c * d_);
      sums.squares[static_cast<std::size_t>(c)] += squares;
    }
  }

  static void Merge(const Sums& from, Sums& to) {
    for (std::size_t e = 0; e < to.hi.size(); ++e) {
      const DoubleDouble sum =
          Add(TwoSum(to.hi[e], to.lo[e]), TwoSum(from.hi[e], from.lo[e]));
      to.hi[e] = sum.hi;
      to.lo[e] = sum.lo;
    }
    for (std::size_t c = 0; c < to.squares.size(); ++c) {
      to.squares[c] += from.squares[c];
    }
  }

  PassResult Result(const Sums& sums) const {
    PassResult result{Matrix<double>(d_, k_), Matrix<double>(d_, k_),
                      sums.squares};
    const bool by_column = precision_ == Precision::kDoubleDouble;
    for (Index i = 0; i < d_; ++i) {
      for (Index c = 0; c < k_; ++c) {
        const auto e =
            static_cast<std::size_t>(by_column ? c * d_ + i : i * width_ + c);
        const DoubleDouble sum = TwoSum(sums.hi[e], sums.lo[e]);
        result.hi(i, c) = sum.hi;
        result.lo(i, c) = sum.lo;
      }
    }
    return result;
  }

  const PassInput& in_;
  Precision precision_;
  Index n_, d_, k_;
  Index width_;  // k and columns of zeros
  Cut cut_;
  RowLoader a_rows_;
  std::vector<RowLoader> b_rows_;  // one a piece
  std::vector<Sums> slots_;
  // float64: d x width_; double-double: columns one after the other.
  AlignedVector<double> z_hi_, z_lo_;
};

}  // namespace

std::vector<int> ColumnSlice::Exponents() const {
  std::vector<int> exponents;
  for (const Piece& piece : pieces) {
    const auto first = piece.matrix->exponents.begin() + piece.first;
    exponents.insert(exponents.end(), first, first + piece.count);
  }
  exponents.resize(static_cast<std::size_t>(count), 0);
  return exponents;
}

absl::StatusOr<PassResult> ResidualPass(const PassInput& input,
                                        Precision precision,
                                        const ComputeContext& context) {
  if (std::holds_alternative<AnyCsrView>(input.a.view)) {
    return CsrResidualPass(input, precision, context);
  }
  return Pass(input, precision).Run(context);
}

double BytesOfPass(Index n, Index d, Index k, int workers) {
  const Cut cut = CutOf(n, d);
  const Index width = PaddedColumns(k);
  const auto entries = static_cast<double>(d * width);
  const auto panel = static_cast<double>(cut.block_rows * (d + width + 2));
  return 8.0 * (2.0 * static_cast<double>(cut.slots) * entries + 6.0 * entries +
                workers * (panel + entries));
}

}  // namespace steelyard
