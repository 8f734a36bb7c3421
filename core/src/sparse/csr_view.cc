#include "steelyard/csr_view.h"

#include <algorithm>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "linalg/stopped.h"
#include "steelyard/status.h"

namespace steelyard {
namespace {

// Rows, or entries, between two looks at the stop token: about a millisecond.
constexpr Index kPiece = Index{1} << 18;
constexpr Index kMostSlots = 64;

// What a view says, whatever stores its numbers.
struct Layout {
  const std::int64_t* offsets;
  const std::int32_t* columns;
  Index rows;
  Index cols;
  Index nonzeros;
};

Layout LayoutOf(const AnyCsrView& matrix) {
  return std::visit(
      [](const auto& view) {
        return Layout{view.row_offsets(), view.column_indices(), view.rows(),
                      view.cols(), view.nonzeros()};
      },
      matrix);
}

absl::Status WrongShape(const std::string& field, Index at,
                        const std::string& what) {
  const std::string path = absl::StrCat(field, "[", at, "]");
  return ErrorWithDetail(
      absl::StatusCode::kInvalidArgument, absl::StrCat(path, " ", what),
      {.reason = "WRONG_SHAPE", .field = path, .metadata = {}});
}

// The first of `count` things that `bad` finds; pieces side by side.
// bad(first, last): the first bad one in between, or `last`.
template <class Bad>
absl::StatusOr<std::optional<Index>> FirstBad(Index count,
                                              const ComputeContext& context,
                                              const Bad& bad) {
  const Index pieces = (count + kPiece - 1) / kPiece;
  const Index slots = std::min(kMostSlots, pieces);
  std::vector<Index> found(static_cast<std::size_t>(slots), -1);
  context.workers.ParallelFor(slots, context.stop, [&](Index slot) {
    for (Index piece = pieces * slot / slots;
         piece < pieces * (slot + 1) / slots; ++piece) {
      if (context.stop.stop_requested()) return;
      const Index last = std::min(count, (piece + 1) * kPiece);
      const Index at = bad(piece * kPiece, last);
      if (at == last) continue;
      found[static_cast<std::size_t>(slot)] = at;
      return;
    }
  });
  if (absl::Status stopped = CheckStop(context.stop); !stopped.ok()) {
    return stopped;
  }
  for (const Index at : found) {
    if (at >= 0) return at;
  }
  return std::nullopt;
}

absl::Status CheckOffsets(const Layout& csr, const std::string& field,
                          const ComputeContext& context) {
  const auto previous = [&](Index i) {
    return i == 0 ? 0 : csr.offsets[i - 1];
  };
  const auto bad =
      FirstBad(csr.rows + 1, context, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i) {
          if (csr.offsets[i] < previous(i) || csr.offsets[i] > csr.nonzeros ||
              (i == 0 && csr.offsets[i] != 0)) {
            return i;
          }
        }
        return last;
      });
  if (!bad.ok()) return bad.status();
  if (bad->has_value()) {
    const Index i = **bad;
    return WrongShape(
        field, i,
        absl::StrCat("is ", csr.offsets[i], "; it must be ",
                     i == 0 ? std::string("0")
                            : absl::StrCat("in [", previous(i), ", ",
                                           csr.nonzeros, "]")));
  }
  if (csr.offsets[csr.rows] != csr.nonzeros) {
    return WrongShape(field, csr.rows,
                      absl::StrCat("is ", csr.offsets[csr.rows],
                                   "; the last offset must be the number of "
                                   "entries, ",
                                   csr.nonzeros));
  }
  return absl::OkStatus();
}

// The row that holds entry e of good offsets.
Index RowOf(const Layout& csr, Index e) {
  return std::upper_bound(csr.offsets, csr.offsets + csr.rows + 1, e) -
         csr.offsets - 1;
}

absl::Status CheckColumns(const Layout& csr, const std::string& field,
                          const ComputeContext& context) {
  const auto bad =
      FirstBad(csr.nonzeros, context, [&](Index first, Index last) {
        Index row = RowOf(csr, first);
        for (Index e = first; e < last; ++e) {
          while (csr.offsets[row + 1] <= e) ++row;
          const Index column = csr.columns[e];
          const bool leads = e == csr.offsets[row];
          if (column < 0 || column >= csr.cols ||
              (!leads && column <= csr.columns[e - 1])) {
            return e;
          }
        }
        return last;
      });
  if (!bad.ok()) return bad.status();
  if (!bad->has_value()) return absl::OkStatus();
  const Index e = **bad;
  const Index row = RowOf(csr, e);
  const Index least = e == csr.offsets[row] ? 0 : csr.columns[e - 1] + Index{1};
  return WrongShape(field, e,
                    absl::StrCat("is ", csr.columns[e], "; in row ", row,
                                 " it must be in [", least, ", ", csr.cols,
                                 "): columns of a row ascend strictly"));
}

}  // namespace

absl::Status CheckCsr(const AnyCsrView& matrix, std::string_view field,
                      const ComputeContext& context) {
  const Layout csr = LayoutOf(matrix);
  const std::string name(field);
  absl::Status status = CheckOffsets(csr, name + ".row_offsets", context);
  if (!status.ok()) return status;
  return CheckColumns(csr, name + ".column_indices", context);
}

}  // namespace steelyard
