#include "power/residual_pass.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "factor/row_loader.h"
#include "linalg/double_double.h"
#include "linalg/stopped.h"
#include "power/csr_pass.h"
#include "power/pass_kernels.h"

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

// Columns of these sizes are multiplied as they are, and z and the sums carry
// the powers of two: the same bits, and the rows are not copied.
constexpr int kExponentMost = 300;

// k vectors of length d, one after the other, as sums hi + lo.
struct Sums {
  AlignedVector<double> hi;
  AlignedVector<double> lo;
  std::vector<double> squares;
};

// What a slot works with.
struct Scratch {
  AlignedVector<double> panel;  // rows of A, unless they are read in place
  AlignedVector<double> b;      // rows of b
  AlignedVector<double> r_hi;   // columns of r
  AlignedVector<double> r_lo;
  AlignedVector<double> part;  // A'r of a block
};

// A as it lies in memory, if it may be multiplied so.
const MatrixView<double>* InPlace(const ScaledMatrix& a) {
  const auto* view =
      std::get_if<MatrixView<double>>(&std::get<AnyMatrixView>(a.view));
  const bool moderate =
      std::all_of(a.exponents.begin(), a.exponents.end(),
                  [](int e) { return std::abs(e) <= kExponentMost; });
  return moderate ? view : nullptr;
}

class Pass {
 public:
  Pass(const PassInput& input, Precision precision)
      : in_(input),
        precision_(precision),
        n_(Rows(input.a.view)),
        d_(Cols(input.a.view)),
        k_(input.k),
        cut_(CutOf(n_, d_)),
        in_place_(InPlace(input.a)),
        a_rows_(std::get<AnyMatrixView>(input.a.view), input.a.exponents),
        slots_(static_cast<std::size_t>(cut_.slots)) {
    if (in_.b) {
      for (const ColumnSlice::Piece& piece : in_.b->pieces) {
        b_rows_.emplace_back(piece.matrix->view, piece.matrix->exponents);
      }
    }
    if (in_.z_hi == nullptr) return;
    Transpose(*in_.z_hi, z_hi_);
    if (precision == Precision::kDouble) return;
    if (in_.z_lo != nullptr) Transpose(*in_.z_lo, z_lo_);
    z_lo_.resize(z_hi_.size());
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
  std::size_t Entries() const { return static_cast<std::size_t>(d_ * k_); }

  // What column j of A in place lacks.
  double Factor(Index j) const {
    if (in_place_ == nullptr || in_.a.exponents.empty()) return 1.0;
    return std::ldexp(1.0, -in_.a.exponents[static_cast<std::size_t>(j)]);
  }

  void Transpose(const Matrix<double>& from, AlignedVector<double>& to) const {
    to.resize(Entries());
    for (Index i = 0; i < d_; ++i) {
      const double factor = Factor(i);
      for (Index c = 0; c < k_; ++c) {
        to[static_cast<std::size_t>(c * d_ + i)] = from(i, c) * factor;
      }
    }
  }

  Scratch MakeScratch() const {
    const auto rows = static_cast<std::size_t>(cut_.block_rows);
    const auto columns = static_cast<std::size_t>(k_);
    Scratch work;
    if (in_place_ == nullptr) {
      work.panel.resize(rows * static_cast<std::size_t>(d_));
    }
    if (in_.b && k_ > 1) work.b.resize(rows * columns);
    work.r_hi.resize(rows * columns);
    if (precision_ == Precision::kDouble) {
      work.part.resize(Entries());
    } else {
      work.r_lo.resize(rows * columns);
    }
    return work;
  }

  void RunSlot(Index slot, const StopToken& stop) {
    Sums& sums = slots_[static_cast<std::size_t>(slot)];
    sums.hi.resize(Entries());
    sums.lo.resize(Entries());
    sums.squares.resize(static_cast<std::size_t>(k_));
    Scratch work = MakeScratch();
    const Index first = slot * cut_.blocks / cut_.slots;
    const Index last = (slot + 1) * cut_.blocks / cut_.slots;
    for (Index block = first; block < last; ++block) {
      if (stop.stop_requested()) return;
      const Index row = block * cut_.block_rows;
      const RowPanel rows =
          LoadRows(row, std::min(cut_.block_rows, n_ - row), work);
      LoadRightSides(row, rows.count, work);
      AddBlock(rows, work, sums);
    }
  }

  RowPanel LoadRows(Index row, Index count, Scratch& work) const {
    if (in_place_ != nullptr) return {in_place_->row(row), count, d_};
    a_rows_.Load(row, 0, {work.panel.data(), count, d_, d_});
    return {work.panel.data(), count, d_};
  }

  // b by columns, zero past the pieces.
  void LoadRightSides(Index row, Index count, Scratch& work) const {
    std::fill(work.r_hi.begin(), work.r_hi.end(), 0.0);
    std::fill(work.r_lo.begin(), work.r_lo.end(), 0.0);
    Index column = 0;
    for (std::size_t p = 0; p < b_rows_.size(); ++p) {
      const ColumnSlice::Piece& piece = in_.b->pieces[p];
      const Index columns = piece.count;
      if (k_ == 1) {
        b_rows_[p].Load(row, piece.first, {work.r_hi.data(), count, 1, 1});
        return;
      }
      b_rows_[p].Load(row, piece.first,
                      {work.b.data(), count, columns, columns});
      for (Index c = 0; c < columns; ++c) {
        double* to = work.r_hi.data() + (column + c) * cut_.block_rows;
        for (Index i = 0; i < count; ++i)
          to[i] = work.b.data()[i * columns + c];
      }
      column += columns;
    }
  }

  // r := r - A z of the block, sums += A'r.
  void AddBlock(const RowPanel& rows, Scratch& work, Sums& sums) const {
    const double* z = in_.z_hi == nullptr ? nullptr : z_hi_.data();
    if (precision_ == Precision::kDouble) {
      std::fill(work.part.begin(), work.part.end(), 0.0);
      AddResidualBlock(rows, z, k_, work.r_hi.data(), cut_.block_rows,
                       work.part.data());
      for (std::size_t e = 0; e < Entries(); ++e) {
        const DoubleDouble sum = TwoSum(sums.hi[e], work.part[e]);
        sums.hi[e] = sum.hi;
        sums.lo[e] += sum.lo;
      }
    } else {
      AddResidualBlockTwice(rows, z, z_lo_.data(), k_,
                            {work.r_hi.data(), work.r_lo.data()},
                            cut_.block_rows, {sums.hi.data(), sums.lo.data()});
    }
    for (Index c = 0; c < k_; ++c) {
      const double* r = work.r_hi.data() + c * cut_.block_rows;
      double squares = 0.0;
      for (Index i = 0; i < rows.count; ++i) squares += r[i] * r[i];
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
    for (Index i = 0; i < d_; ++i) {
      const double factor = Factor(i);
      for (Index c = 0; c < k_; ++c) {
        const auto e = static_cast<std::size_t>(c * d_ + i);
        const DoubleDouble sum = TwoSum(sums.hi[e], sums.lo[e]);
        result.hi(i, c) = sum.hi * factor;
        result.lo(i, c) = sum.lo * factor;
      }
    }
    return result;
  }

  const PassInput& in_;
  Precision precision_;
  Index n_, d_, k_;
  Cut cut_;
  const MatrixView<double>* in_place_;  // null: rows are copied
  RowLoader a_rows_;
  std::vector<RowLoader> b_rows_;  // one a piece
  std::vector<Sums> slots_;
  AlignedVector<double> z_hi_, z_lo_;  // columns one after the other
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
  const auto entries = static_cast<double>(d * k);
  const auto panel = static_cast<double>(cut.block_rows * (d + 3 * k + 2));
  return 8.0 * (2.0 * static_cast<double>(cut.slots) * entries + 6.0 * entries +
                workers * (panel + entries));
}

}  // namespace steelyard
