#include "sparse/sparse_rows.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "factor/row_kernels.h"

namespace steelyard {
namespace {

// 2^-e is a normal double for |e| up to this.
constexpr int kOneFactor = 1022;

constexpr Index kPiece = 256;

// As `kPiece` columns, and a rest.
template <typename T>
void Widen(const T* in, Index count, double* out) {
  static const std::vector<double> ones(kPiece, 1.0);
  const Index whole = count / kPiece;
  if (whole > 0)
    WidenRows(in, kPiece, ones.data(), {out, whole, kPiece, kPiece});
  const Index rest = count - whole * kPiece;
  if (rest == 0) return;
  WidenRows(in + whole * kPiece, rest, ones.data(),
            {out + whole * kPiece, 1, rest, rest});
}

}  // namespace

SparseRows::SparseRows(const AnyCsrView& a, const std::vector<int>& exponents)
    : a_(a), rows_(Rows(a)), cols_(Cols(a)), nonzeros_(Nonzeros(a)) {
  std::visit(
      [&](const auto& view) {
        offsets_ = view.row_offsets();
        columns_ = view.column_indices();
      },
      a_);
  if (std::all_of(exponents.begin(), exponents.end(),
                  [](int e) { return e == 0; })) {
    return;
  }
  const bool one = std::all_of(exponents.begin(), exponents.end(),
                               [](int e) { return std::abs(e) <= kOneFactor; });
  for (const int exponent : exponents) {
    const int half = one ? 0 : exponent / 2;
    first_.push_back(std::ldexp(1.0, half - exponent));
    if (!one) second_.push_back(std::ldexp(1.0, -half));
  }
}

SparseBlock SparseRows::Load(Index first, Index count,
                             AlignedVector<double>& values) const {
  const Index begin = offsets_[first];
  const Index entries = offsets_[first + count] - begin;
  if (values.size() < static_cast<std::size_t>(entries)) {
    values.resize(static_cast<std::size_t>(entries));
  }
  const std::int32_t* const columns = columns_ + begin;
  std::visit(
      [&](const auto& view) {
        Widen(view.values() + begin, entries, values.data());
      },
      a_);
  for (const auto* const factors : {&first_, &second_}) {
    if (factors->empty()) continue;
    const double* const factor = factors->data();
    for (Index e = 0; e < entries; ++e) {
      values[static_cast<std::size_t>(e)] *= factor[columns[e]];
    }
  }
  return {first, count, offsets_ + first, columns, values.data()};
}

SparseCut::SparseCut(const SparseRows& a, Index slots, Index block_rows,
                     Index block_entries)
    : offsets_(a.offsets()),
      rows_(a.rows()),
      cols_(a.cols()),
      slots_(std::clamp<Index>(slots, 1, a.rows())),
      block_rows_(block_rows),
      block_entries_(block_entries) {}

Index SparseCut::SlotBegin(Index slot) const {
  const double share = static_cast<double>(slot) / static_cast<double>(slots_);
  const auto goal =
      static_cast<Index>(share * static_cast<double>(offsets_[rows_] + rows_));
  if (slot == slots_) return rows_;
  Index low = 0;
  Index high = rows_;
  while (low < high) {
    const Index middle = low + (high - low) / 2;
    if (offsets_[middle] + middle < goal) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

Index SparseCut::BlockEnd(Index first, Index end) const {
  const Index most = std::min(end, first + block_rows_);
  const std::int64_t* const stop =
      std::upper_bound(offsets_ + first + 1, offsets_ + most + 1,
                       offsets_[first] + block_entries_);
  return std::max(first + 1, static_cast<Index>(stop - offsets_) - 1);
}

Index SparseCut::MostEntries() const { return std::max(block_entries_, cols_); }

}  // namespace steelyard
