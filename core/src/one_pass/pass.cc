#include "one_pass/pass.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "factor/factor.h"
#include "factor/row_kernels.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

// After `pending`, checked before.
void AppendRows(const AnyMatrixView& keys, std::size_t row_bytes,
                PendingKeys& pending) {
  const std::size_t count = static_cast<std::size_t>(Rows(keys)) * row_bytes;
  AppendBytes(BytesOf(keys), count, pending.bytes);
  pending.rows += Rows(keys);
}

// A key at a time must not cost a parallel loop.
absl::Status CheckRows(const AnyMatrixView& keys, Index row_offset,
                       const ComputeContext& context) {
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  const bool finite = std::visit(
      [](const auto& view) {
        return AllFinite(view.data(), view.rows() * view.cols());
      },
      keys);
  if (finite) return absl::OkStatus();
  return CheckFinite(keys, "keys", context, row_offset);
}

}  // namespace

absl::Status OnePassUniversalSet::Pass::Add(const AnyMatrixView& keys,
                                            const ComputeContext& context) {
  const Index n = Rows(keys);
  const Index enough = PendingRows(options.columns);
  const std::size_t row_bytes = state.candidates().row_bytes();
  if (pending.rows + n < enough) {
    if (absl::Status s = CheckRows(keys, 0, context); !s.ok()) return s;
    // Few keys may be all that ever come; then as many as there can be.
    const std::size_t room = pending.bytes.capacity() / row_bytes;
    if (room < static_cast<std::size_t>(pending.rows + n)) {
      const Index wanted = std::min(enough, 4 * (pending.rows + n));
      pending.bytes.reserve(static_cast<std::size_t>(wanted) * row_bytes);
    }
    AppendRows(keys, row_bytes, pending);
    return absl::OkStatus();
  }

  PassState next = state;
  PendingKeys waiting;
  Index done = 0;
  if (pending.rows > 0) {
    done = enough - pending.rows;
    const AnyMatrixView head = SubView(keys, 0, done);
    if (absl::Status s = CheckRows(head, 0, context); !s.ok()) return s;
    PendingKeys full;
    full.bytes.reserve(static_cast<std::size_t>(enough) * row_bytes);
    AppendRows(PendingView(), row_bytes, full);
    AppendRows(head, row_bytes, full);
    const AnyMatrixView panel = ViewOfBytes(options.storage, full.bytes.data(),
                                            full.rows, options.columns);
    if (absl::Status s = next.AddPanel(panel, 0, context); !s.ok()) return s;
  }
  while (n - done >= enough) {
    const Index rows = std::min(n - done, next.PanelRows());
    const absl::Status added =
        next.AddPanel(SubView(keys, done, rows), done, context);
    if (!added.ok()) return added;
    done += rows;
  }
  if (done < n) {
    const AnyMatrixView tail = SubView(keys, done, n - done);
    if (absl::Status s = CheckRows(tail, done, context); !s.ok()) return s;
    waiting.bytes.reserve(static_cast<std::size_t>(enough) * row_bytes);
    AppendRows(tail, row_bytes, waiting);
  }
  state = std::move(next);
  pending = std::move(waiting);
  return absl::OkStatus();
}

absl::StatusOr<PassState> OnePassUniversalSet::Pass::Settled(
    const ComputeContext& context) const {
  PassState settled = state;
  if (pending.rows == 0) return settled;
  if (absl::Status s = settled.AddPanel(PendingView(), 0, context); !s.ok()) {
    return s;
  }
  return settled;
}

}  // namespace steelyard
