#include "sparse/csr_scan.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "linalg/stopped.h"
#include "sparse/sparse_rows.h"
#include "steelyard/status.h"

namespace steelyard {
namespace {

constexpr Index kMostSlots = 16;
constexpr Index kBlockRows = Index{1} << 16;
constexpr Index kBlockEntries = Index{1} << 16;
// Between these a sum of squares has lost nothing that counts: entries whose
// square underflows are below 2^-60 of the norm.
constexpr double kSmallestSum = 0x1p-900;
constexpr double kSmallestRoot = 0x1p-450;

// So that sums of slots are no more numbers than the matrix has.
Index SlotsFor(Index n, Index d, Index nonzeros) {
  return std::clamp<Index>((n + nonzeros) / (4 * d), 1, kMostSlots);
}

int ExponentOf(double sum_of_squares) {
  return sum_of_squares > 0.0 ? std::ilogb(std::sqrt(sum_of_squares)) : 0;
}

class Scan {
 public:
  Scan(const AnyCsrView& a, const ComputeContext& context)
      : rows_(a, {}),
        cut_(rows_, SlotsFor(rows_.rows(), rows_.cols(), rows_.nonzeros()),
             kBlockRows, kBlockEntries),
        context_(context),
        slots_(cut_.slots(), rows_.cols()),
        bad_(static_cast<std::size_t>(cut_.slots()), -1) {}

  absl::StatusOr<ColumnScales> Run(std::string_view field) {
    const Index d = rows_.cols();
    std::atomic<bool> tiny = false;
    absl::Status status = ForEntries([&](double x, Index, double& sum) {
      if (std::abs(x) < kSmallestRoot && x != 0.0) {
        tiny.store(true, std::memory_order_relaxed);
      }
      sum += x * x;
    });
    if (!status.ok()) return status;
    for (const Index at : bad_) {
      if (at >= 0) return NotFinite(field, at);
    }
    const std::vector<double> sums = Total();
    ColumnScales scales;
    bool extreme = false;
    for (Index c = 0; c < d; ++c) {
      const double sum = sums[static_cast<std::size_t>(c)];
      extreme = extreme || (sum < kSmallestSum && tiny) || !std::isfinite(sum);
      scales.exponents.push_back(extreme ? 0 : ExponentOf(sum));
    }
    if (!extreme) return scales;
    return ByLargest();
  }

 private:
  // add(x, column, slot's number of the column) for every entry.
  template <class Add>
  absl::Status ForEntries(const Add& add) {
    context_.workers.ParallelFor(cut_.slots(), context_.stop,
                                 [&](Index slot) { RunSlot(slot, add); });
    return CheckStop(context_.stop);
  }

  template <class Add>
  void RunSlot(Index slot, const Add& add) {
    double* const sums = slots_.row(slot);
    AlignedVector<double> values;
    const Index end = cut_.SlotBegin(slot + 1);
    for (Index row = cut_.SlotBegin(slot); row < end;) {
      if (context_.stop.stop_requested()) return;
      const Index next = cut_.BlockEnd(row, end);
      const SparseBlock block = rows_.Load(row, next - row, values);
      for (Index e = 0; e < block.entries(); ++e) {
        const double x = block.values[e];
        if (!std::isfinite(x)) {
          bad_[static_cast<std::size_t>(slot)] = block.offsets[0] + e;
          return;
        }
        add(x, block.columns[e], sums[block.columns[e]]);
      }
      row = next;
    }
  }

  // Of the slots, which are 0 again.
  std::vector<double> Total(bool largest = false) {
    std::vector<double> total(static_cast<std::size_t>(rows_.cols()), 0.0);
    for (Index slot = 0; slot < cut_.slots(); ++slot) {
      for (Index c = 0; c < rows_.cols(); ++c) {
        double& sum = total[static_cast<std::size_t>(c)];
        double& part = slots_(slot, c);
        sum = largest ? std::max(sum, part) : sum + part;
        part = 0.0;
      }
    }
    return total;
  }

  // Twice more over the entries, which are divided by the largest of their
  // column before they are squared.
  absl::StatusOr<ColumnScales> ByLargest() {
    absl::Status status = ForEntries([](double x, Index, double& largest) {
      largest = std::max(largest, std::abs(x));
    });
    if (!status.ok()) return status;
    std::vector<int> tops;
    for (const double largest : Total(true)) {
      tops.push_back(largest > 0.0 ? std::ilogb(largest) : 0);
    }
    status = ForEntries([&](double x, Index column, double& sum) {
      const double part =
          std::ldexp(x, -tops[static_cast<std::size_t>(column)]);
      sum += part * part;
    });
    if (!status.ok()) return status;
    ColumnScales scales;
    for (const double sum : Total()) {
      const int top = tops[scales.exponents.size()];
      scales.exponents.push_back(sum > 0.0 ? top + ExponentOf(sum) : 0);
    }
    return scales;
  }

  absl::Status NotFinite(std::string_view field, Index at) const {
    const std::int64_t* const offsets = rows_.offsets();
    const Index row =
        std::upper_bound(offsets, offsets + rows_.rows() + 1, at) - offsets - 1;
    AlignedVector<double> values;
    const SparseBlock block = rows_.Load(row, 1, values);
    const Index e = at - offsets[row];
    const std::string path = std::string(field) + ".values";
    return ErrorWithDetail(
        absl::StatusCode::kInvalidArgument,
        absl::StrCat(path, "[", at, "] (row ", row, ", column ",
                     block.columns[e], ") is ", block.values[e],
                     "; every number must be finite"),
        {.reason = "NOT_FINITE",
         .field = path,
         .metadata = {{"index", std::to_string(at)}}});
  }

  SparseRows rows_;
  SparseCut cut_;
  const ComputeContext& context_;
  Matrix<double> slots_;
  std::vector<Index> bad_;  // a slot; -1: none
};

}  // namespace

absl::StatusOr<ColumnScales> ScanColumns(const AnyCsrView& a,
                                         std::string_view field,
                                         const ComputeContext& context) {
  return Scan(a, context).Run(field);
}

double BytesOfCsrScan(Index n, Index d, Index nonzeros, int workers) {
  const auto slots = static_cast<double>(SlotsFor(n, d, nonzeros));
  const auto block = static_cast<double>(std::max(kBlockEntries, d));
  return 8.0 * ((slots + 4.0) * static_cast<double>(d) +
                std::min<double>(workers, slots) * block);
}

}  // namespace steelyard
