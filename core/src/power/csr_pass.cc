#include "power/csr_pass.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "factor/row_loader.h"
#include "linalg/double_double.h"
#include "linalg/stopped.h"
#include "sparse/csr_kernels.h"

namespace steelyard {
namespace {

// 256 KiB of entries stay in the second-level cache.
constexpr Index kBlockEntries = 32768;
// So many rows that adding a block's sums to those of its slot is cheap.
constexpr Index kBlockRowsMin = 2048;
constexpr Index kBlockRowsMax = 16384;
// Slots: enough for every worker; few enough that their sums stay small.
constexpr Index kSlotsMax = 64;
constexpr Index kSlotEntriesMax = Index{1} << 22;  // of all slots together
// Columns that the cut allows for, however many there are: the order of sums
// must not depend on k.
constexpr Index kColumnsMost = 64;

struct Shape {
  Index n;
  Index d;
  Index nonzeros;

  Index BlockRows() const {
    return std::min(n, std::clamp(4 * d, kBlockRowsMin, kBlockRowsMax));
  }
  Index Slots() const {
    const Index work = (n + nonzeros) / kBlockEntries + 1;
    const Index affordable =
        std::max<Index>(2, kSlotEntriesMax / (d * kColumnsMost));
    return std::min({kSlotsMax, work, affordable, n});
  }
};

Shape ShapeOf(const SparseRows& a) {
  return {a.rows(), a.cols(), a.nonzeros()};
}

// d x k, as sums hi + lo.
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
        rows_(std::get<AnyCsrView>(input.a.view), input.a.exponents),
        k_(input.k),
        shape_(ShapeOf(rows_)),
        cut_(rows_, shape_.Slots(), shape_.BlockRows(), kBlockEntries),
        slots_(static_cast<std::size_t>(cut_.slots())) {
    if (in_.b) {
      for (const ColumnSlice::Piece& piece : in_.b->pieces) {
        b_rows_.emplace_back(piece.matrix->view, piece.matrix->exponents);
      }
    }
    if (precision == Precision::kDoubleDouble && in_.z_hi != nullptr &&
        in_.z_lo == nullptr) {
      zero_ = Matrix<double>(shape_.d, k_);
    }
  }

  absl::StatusOr<PassResult> Run(const ComputeContext& context) {
    context.workers.ParallelFor(cut_.slots(), context.stop, [&](Index slot) {
      RunSlot(slot, context.stop);
    });
    if (absl::Status stopped = CheckStop(context.stop); !stopped.ok()) {
      return stopped;
    }
    const Index slots = cut_.slots();
    for (Index step = 1; step < slots; step *= 2) {
      for (Index slot = 0; slot + step < slots; slot += 2 * step) {
        Merge(slots_[static_cast<std::size_t>(slot + step)],
              slots_[static_cast<std::size_t>(slot)]);
      }
    }
    return Result(slots_.front());
  }

 private:
  std::size_t Entries() const {
    return static_cast<std::size_t>(shape_.d * k_);
  }

  void RunSlot(Index slot, const StopToken& stop) {
    Sums& sums = slots_[static_cast<std::size_t>(slot)];
    sums.hi.resize(Entries());
    sums.lo.resize(Entries());
    sums.squares.resize(static_cast<std::size_t>(k_));
    const auto of_rows = static_cast<std::size_t>(shape_.BlockRows() * k_);
    AlignedVector<double> values;
    AlignedVector<double> r(of_rows);
    AlignedVector<double> scratch(precision_ == Precision::kDouble ? Entries()
                                                                   : of_rows);
    const Index end = cut_.SlotBegin(slot + 1);
    for (Index row = cut_.SlotBegin(slot); row < end;) {
      if (stop.stop_requested()) return;
      const Index next = cut_.BlockEnd(row, end);
      const SparseBlock block = rows_.Load(row, next - row, values);
      LoadB(block, r);
      if (precision_ == Precision::kDouble) {
        AddBlock(block, r.data(), scratch, sums);
      } else {
        const bool none = in_.z_hi == nullptr;
        const Matrix<double>* const low = in_.z_lo ? in_.z_lo : &zero_;
        AddResidualTwice(block, {.k = k_,
                                 .z_hi = none ? nullptr : in_.z_hi->data(),
                                 .z_lo = none ? nullptr : low->data(),
                                 .r_hi = r.data(),
                                 .r_lo = scratch.data(),
                                 .s_hi = sums.hi.data(),
                                 .s_lo = sums.lo.data(),
                                 .squares = sums.squares.data()});
      }
      row = next;
    }
  }

  void LoadB(const SparseBlock& block, AlignedVector<double>& r) const {
    std::fill_n(r.begin(), block.count * k_, 0.0);
    const Block<double> out{r.data(), block.count, k_, k_};
    Index column = 0;
    for (std::size_t p = 0; p < b_rows_.size(); ++p) {
      const ColumnSlice::Piece& piece = in_.b->pieces[p];
      b_rows_[p].Load(block.first, piece.first,
                      out.Part(0, column, block.count, piece.count));
      column += piece.count;
    }
  }

  // Plain sums of the block leave `part` by a TwoSum.
  void AddBlock(const SparseBlock& block, double* r,
                AlignedVector<double>& part, Sums& sums) const {
    std::fill(part.begin(), part.end(), 0.0);
    AddResidual(block, k_, in_.z_hi == nullptr ? nullptr : in_.z_hi->data(), r,
                part.data(), sums.squares.data());
    for (std::size_t e = 0; e < Entries(); ++e) {
      const DoubleDouble sum = TwoSum(sums.hi[e], part[e]);
      sums.hi[e] = sum.hi;
      sums.lo[e] += sum.lo;
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
    PassResult result{Matrix<double>(shape_.d, k_),
                      Matrix<double>(shape_.d, k_), sums.squares};
    for (std::size_t e = 0; e < Entries(); ++e) {
      const DoubleDouble sum = TwoSum(sums.hi[e], sums.lo[e]);
      result.hi.data()[e] = sum.hi;
      result.lo.data()[e] = sum.lo;
    }
    return result;
  }

  const PassInput& in_;
  Precision precision_;
  SparseRows rows_;
  Index k_;
  Shape shape_;
  SparseCut cut_;
  std::vector<RowLoader> b_rows_;  // one a piece
  std::vector<Sums> slots_;
  Matrix<double> zero_;  // z_lo where there is none
};

}  // namespace

absl::StatusOr<PassResult> CsrResidualPass(const PassInput& input,
                                           Precision precision,
                                           const ComputeContext& context) {
  return Pass(input, precision).Run(context);
}

double BytesOfCsrPass(Index n, Index d, Index nonzeros, Index k, int workers) {
  const Shape shape{n, d, nonzeros};
  const auto entries = static_cast<double>(d * k);
  const auto slots = static_cast<double>(shape.Slots());
  const double block = static_cast<double>(std::max(kBlockEntries, d)) +
                       2.0 * static_cast<double>(shape.BlockRows() * k) +
                       entries;
  return 8.0 * ((2.0 * slots + 4.0) * entries +
                std::min<double>(workers, slots) * block);
}

}  // namespace steelyard
