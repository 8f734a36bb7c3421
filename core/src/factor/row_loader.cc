#include "factor/row_loader.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "factor/row_kernels.h"

namespace steelyard {
namespace {

// 2^-e is a normal double for |e| up to this.
constexpr int kOneFactor = 1022;

}  // namespace

RowLengths LengthsToMeasure(const AnyMatrixView& a) {
  constexpr Index kMost = 31;
  constexpr int kExtreme = 75;
  const RowLoader rows(a, {});
  const Index sample = std::min(kMost, Rows(a));
  std::vector<double> row(static_cast<std::size_t>(Cols(a)));
  Matrix<double> columns(Cols(a), sample);
  for (Index i = 0; i < sample; ++i) {
    rows.Load(Rows(a) * i / sample, 0, {row.data(), 1, Cols(a), Cols(a)});
    for (Index c = 0; c < Cols(a); ++c) {
      const double x = row[static_cast<std::size_t>(c)];
      columns(c, i) = std::isfinite(x) ? std::abs(x) : 0.0;
    }
  }
  // Medians: a few long rows do not count.
  const auto median = [](double* first, Index count) {
    std::nth_element(first, first + count / 2, first + count);
    return first[count / 2];
  };
  for (Index c = 0; c < Cols(a); ++c) {
    row[static_cast<std::size_t>(c)] = median(columns.row(c), sample);
  }
  RowLengths lengths;
  lengths.factors.assign(row.size(), 1.0);
  std::vector<double> sorted = row;
  const double typical = median(sorted.data(), Cols(a));
  for (std::size_t c = 0; c < row.size(); ++c) {
    // Columns of one size get one factor, whatever the sample says of each.
    const double steps = std::round(0.25 * std::log2(row[c] / typical));
    if (!(std::abs(steps) <= kExtreme)) continue;
    lengths.factors[c] = std::ldexp(1.0, -4 * static_cast<int>(steps));
  }
  return lengths;
}

RowLoader::RowLoader(const AnyMatrixView& a, const std::vector<int>& exponents)
    : a_(a), first_(static_cast<std::size_t>(Cols(a)), 1.0) {
  const bool one = std::all_of(exponents.begin(), exponents.end(),
                               [](int e) { return std::abs(e) <= kOneFactor; });
  if (!one) second_.assign(first_.size(), 1.0);
  for (std::size_t c = 0; c < exponents.size(); ++c) {
    const int half = one ? 0 : exponents[c] / 2;
    first_[c] = std::ldexp(1.0, half - exponents[c]);
    if (!one) second_[c] = std::ldexp(1.0, -half);
  }
}

void RowLoader::Load(Index row, Index col, Block<double> out) const {
  std::visit(
      [&](const auto& view) {
        WidenRows(view.row(row) + col, view.cols(), first_.data() + col, out);
      },
      a_);
  if (second_.empty()) return;
  WidenRows(static_cast<const double*>(out.data), out.stride,
            second_.data() + col, out);
}

template <typename T>
void RowLoader::Pack(Index row, Index col, Index rows, Index cols,
                     StripBlock<T> out) const {
  if (second_.empty()) {
    std::visit(
        [&](const auto& view) {
          PackStrips(view.row(row) + col, view.cols(), first_.data() + col,
                     rows, cols, out);
        },
        a_);
    return;
  }
  // Columns of sizes that one factor cannot scale: rare, so by way of rows.
  AlignedVector<double> once(static_cast<std::size_t>(rows * cols));
  const std::vector<double> ones(static_cast<std::size_t>(cols), 1.0);
  Load(row, col, {once.data(), rows, cols, cols});
  PackStrips(once.data(), cols, ones.data(), rows, cols, out);
}

void RowLoader::LoadStrips(Index row, Index col, Index rows, Index cols,
                           StripBlock<double> out) const {
  Pack(row, col, rows, cols, out);
}

void RowLoader::LoadStrips(Index row, Index col, Index rows, Index cols,
                           StripBlock<float> out) const {
  Pack(row, col, rows, cols, out);
}

void RowLoader::LoadStrips(Index row, Index rows, StripBlock<double> out,
                           RowLengths& lengths) const {
  std::visit(
      [&](const auto& view) {
        PackStrips(view.row(row), view.cols(), first_.data(),
                   lengths.factors.data(), rows, cols(), out,
                   lengths.squares.data() + row);
      },
      a_);
}

ReadNext RowLoader::RowsToRead(Index row, Index count) const {
  return std::visit(
      [&](const auto& view) {
        const Index rows = std::clamp<Index>(view.rows() - row, 0, count);
        if (rows == 0) return ReadNext{};
        return ReadNext{
            view.row(row),
            rows * view.cols() * static_cast<Index>(sizeof(*view.data()))};
      },
      a_);
}

}  // namespace steelyard
