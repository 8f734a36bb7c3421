// ScanColumns of factor.h and CheckFinite of finite.h: the first pass of admitted
// work.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <variant>

#include "factor/factor.h"
#include "factor/row_kernels.h"
#include "linalg/stopped.h"
#include "steelyard/status.h"

namespace steelyard {
namespace {

// Entries between two looks at the stop token: less than a millisecond.
constexpr Index kPanelEntries = Index{1} << 18;
constexpr Index kMostSlots = 64;
// Between these a sum of squares has lost nothing that counts: entries whose
// square underflows are below 2^-60 of the norm.
constexpr double kSmallestSum = 0x1p-900;

// Rows cut into slots, slots into panels, by the shape alone.
struct RowCut {
  Index rows;
  Index panel_rows;
  Index slots;

  RowCut(Index n, Index d)
      : rows(n),
        panel_rows(std::clamp<Index>(kPanelEntries / d, 1, n)),
        slots(std::min(kMostSlots, (n + panel_rows - 1) / panel_rows)) {}

  Index SlotBegin(Index slot) const {
    const Index panels = (rows + panel_rows - 1) / panel_rows;
    return std::min(rows, panels * slot / slots * panel_rows);
  }
};

// body(slot, first, count) for the panels of every slot, slots side by side,
// panels of a slot in order until one returns false.
template <class Body>
absl::Status ForPanels(const RowCut& cut, const ComputeContext& context,
                       const Body& body) {
  context.workers.ParallelFor(cut.slots, context.stop, [&](Index slot) {
    const Index end = cut.SlotBegin(slot + 1);
    for (Index first = cut.SlotBegin(slot); first < end;
         first += cut.panel_rows) {
      // ParallelFor has looked before the first panel of a slot.
      if (first != cut.SlotBegin(slot) && context.stop.stop_requested()) return;
      if (!body(slot, first, std::min(cut.panel_rows, end - first))) return;
    }
  });
  return CheckStop(context.stop);
}

double ValueOf(double x) { return x; }
double ValueOf(float x) { return static_cast<double>(x); }
template <typename T>
double ValueOf(T x) {
  constexpr double kOne[] = {1.0};
  double value = 0.0;
  WidenRows(&x, 1, kOne, Block<double>{&value, 1, 1, 1});
  return value;
}

// Flat position of the first entry that is not finite, in a part known to hold
// one.
template <typename T>
Index FirstNotFinite(const T* in, Index count) {
  constexpr Index kPiece = 64;
  Index at = 0;
  while (AllFinite(in + at, std::min(kPiece, count - at))) at += kPiece;
  while (AllFinite(in + at, 1)) ++at;
  return at;
}

// Where the first bad entry of each slot is; -1: nowhere.
class BadEntries {
 public:
  explicit BadEntries(Index slots)
      : position_(static_cast<std::size_t>(slots), -1) {}
  void Record(Index slot, Index flat) {
    position_[static_cast<std::size_t>(slot)] = flat;
  }
  // The first in row order; slots are in row order.
  std::optional<Index> First() const {
    for (const Index flat : position_) {
      if (flat >= 0) return flat;
    }
    return std::nullopt;
  }

 private:
  std::vector<Index> position_;
};

template <typename T>
absl::Status NotFinite(const MatrixView<T>& view, std::string_view field,
                       Index flat, Index row_offset) {
  return NotFiniteError(field, row_offset + flat / view.cols(),
                        flat % view.cols(), view.cols(),
                        ValueOf(view.data()[flat]));
}

// The norm of a column as mantissa in [1, 2) times 2^exponent: its exponent.
int ExponentOf(double sum_of_squares) {
  return sum_of_squares > 0.0 ? std::ilogb(std::sqrt(sum_of_squares)) : 0;
}

// For the columns whose plain sum of squares left the range of float64: twice
// more over the rows, squares of entries divided by the largest.
class ExtremeColumns {
 public:
  ExtremeColumns(const MatrixView<double>& view, std::vector<Index> columns)
      : view_(view), columns_(std::move(columns)) {}

  absl::Status Correct(std::vector<int>& exponents,
                       const ComputeContext& context) const {
    const RowCut cut(view_.rows(), view_.cols());
    const std::size_t many = columns_.size();
    Matrix<double> slots(cut.slots, static_cast<Index>(many));
    absl::Status status =
        ForPanels(cut, context, [&](Index slot, Index first, Index count) {
          for (Index i = first; i < first + count; ++i) {
            for (std::size_t k = 0; k < many; ++k) {
              double& largest = slots(slot, static_cast<Index>(k));
              largest = std::max(largest, std::abs(view_(i, columns_[k])));
            }
          }
          return true;
        });
    if (!status.ok()) return status;
    std::vector<int> top(many, 0);
    for (std::size_t k = 0; k < many; ++k) {
      double largest = 0.0;
      for (Index slot = 0; slot < cut.slots; ++slot) {
        largest = std::max(largest, slots(slot, static_cast<Index>(k)));
        slots(slot, static_cast<Index>(k)) = 0.0;
      }
      if (largest > 0.0) top[k] = std::ilogb(largest);
    }
    status = ForPanels(cut, context, [&](Index slot, Index first, Index count) {
      for (Index i = first; i < first + count; ++i) {
        for (std::size_t k = 0; k < many; ++k) {
          const double x = std::ldexp(view_(i, columns_[k]), -top[k]);
          slots(slot, static_cast<Index>(k)) += x * x;
        }
      }
      return true;
    });
    if (!status.ok()) return status;
    for (std::size_t k = 0; k < many; ++k) {
      double sum = 0.0;
      for (Index slot = 0; slot < cut.slots; ++slot) {
        sum += slots(slot, static_cast<Index>(k));
      }
      const std::size_t column = static_cast<std::size_t>(columns_[k]);
      exponents[column] = sum > 0.0 ? top[k] + ExponentOf(sum) : 0;
    }
    return absl::OkStatus();
  }

 private:
  MatrixView<double> view_;
  std::vector<Index> columns_;
};

template <typename T>
absl::StatusOr<ColumnScales> Scan(const MatrixView<T>& view,
                                  std::string_view field,
                                  const ComputeContext& context,
                                  Index row_offset) {
  const Index d = view.cols();
  const RowCut cut(view.rows(), d);
  Matrix<double> sums(cut.slots, d);
  BadEntries bad(cut.slots);
  absl::Status status =
      ForPanels(cut, context, [&](Index slot, Index first, Index count) {
        const T* panel = view.row(first);
        double* sum = sums.row(slot);
        AddSquares(panel, count, d, sum);
        // A sum that is not finite: a bad entry, or squares that overflowed.
        if (AllFinite(sum, d) || AllFinite(panel, count * d)) return true;
        bad.Record(slot, first * d + FirstNotFinite(panel, count * d));
        return false;
      });
  if (!status.ok()) return status;
  if (const std::optional<Index> flat = bad.First()) {
    return NotFinite(view, field, *flat, row_offset);
  }
  ColumnScales scales;
  std::vector<Index> extreme;
  for (Index c = 0; c < d; ++c) {
    double sum = 0.0;
    for (Index slot = 0; slot < cut.slots; ++slot) sum += sums(slot, c);
    const bool in_range = sum >= kSmallestSum && std::isfinite(sum);
    if (!in_range) extreme.push_back(c);
    scales.exponents.push_back(in_range ? ExponentOf(sum) : 0);
  }
  if constexpr (std::is_same_v<T, double>) {
    if (!extreme.empty()) {
      const ExtremeColumns columns(view, std::move(extreme));
      status = columns.Correct(scales.exponents, context);
      if (!status.ok()) return status;
    }
  }
  return scales;
}

template <typename T>
absl::Status Check(const MatrixView<T>& view, std::string_view field,
                   const ComputeContext& context, Index row_offset) {
  const Index d = view.cols();
  const RowCut cut(view.rows(), d);
  BadEntries bad(cut.slots);
  absl::Status status =
      ForPanels(cut, context, [&](Index slot, Index first, Index count) {
        const T* panel = view.row(first);
        if (AllFinite(panel, count * d)) return true;
        bad.Record(slot, first * d + FirstNotFinite(panel, count * d));
        return false;
      });
  if (!status.ok()) return status;
  if (const std::optional<Index> flat = bad.First()) {
    return NotFinite(view, field, *flat, row_offset);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ColumnScales> ScanColumns(const AnyMatrixView& a,
                                         std::string_view field,
                                         const ComputeContext& context,
                                         Index row_offset) {
  return std::visit(
      [&](const auto& view) { return Scan(view, field, context, row_offset); },
      a);
}

absl::Status CheckFinite(const AnyMatrixView& a, std::string_view field,
                         const ComputeContext& context, Index row_offset) {
  return std::visit(
      [&](const auto& view) { return Check(view, field, context, row_offset); },
      a);
}

}  // namespace steelyard
