// One pass: whole panels in a PassState, and the rows that wait for more.
#pragma once

#include <cstddef>

#include "one_pass/pass_state.h"
#include "steelyard/one_pass.h"

namespace steelyard {

// Keys, as sent, that are too few for a panel.
struct PendingKeys {
  RowBytes bytes;
  Index rows = 0;
};

struct OnePassUniversalSet::Pass {
  explicit Pass(const OnePassOptions& pass_options)
      : options(pass_options), state(pass_options) {}

  Index next_index() const { return state.next_index() + pending.rows; }
  AnyMatrixView PendingView() const {
    return ViewOfBytes(options.storage, pending.bytes.data(), pending.rows,
                       options.columns);
  }

  // Of OnePassUniversalSet, for keys of the right shape and type.
  absl::Status Add(const AnyMatrixView& keys, const ComputeContext& context);

  // The state with the rows that wait.
  absl::StatusOr<PassState> Settled(const ComputeContext& context) const;

  OnePassOptions options;
  PassState state;
  PendingKeys pending;
};

}  // namespace steelyard
