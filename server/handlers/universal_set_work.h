// What FindUniversalSet and StreamFindUniversalSet have in common: admission,
// the work itself, and keeping the set.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/admission/gate.h"
#include "server/admission/stream_slots.h"
#include "server/convert/universal_set.h"
#include "server/request/request_context.h"
#include "server/sets/set_registry.h"
#include "steelyard/queryable_set.h"
#include "steelyard/universal_set.h"

namespace steelyard::server {

// What the two handlers share with everything else.
struct UniversalSetParts {
  Limits limits;
  int workers = 1;
  Gate& gate;
  SetRegistry& registry;
  StreamSlots& slots;
  MatrixLookup matrices;  // empty: the server keeps none
  // A stream without messages ends after so long; 0: never.
  absl::Duration stream_idle;
};

// Sets that were found, and the name they will be kept under.
class FoundSets {
 public:
  const std::vector<UniversalSet>& sets() const { return sets_; }

  // Puts them under their name, if they have one. ERRORS  ResourceExhausted:
  // they turned out larger than there is memory for.
  absl::Status Keep(const UniversalSetProblem& problem) &&;

 private:
  friend absl::StatusOr<FoundSets> FindSets(
      const UniversalSetParts& parts, RequestContext& context,
      std::shared_ptr<const v1::FindUniversalSetRequest> request,
      const UniversalSetProblem& problem, Listener listener);

  std::vector<UniversalSet> sets_;
  std::vector<QueryableSet> heads_;  // only where they will be kept
  std::optional<SetClaim> claim_;
};

// Claims the name, enters, computes. ERRORS  those of the registry, the gate
// and core, with proto paths.
absl::StatusOr<FoundSets> FindSets(
    const UniversalSetParts& parts, RequestContext& context,
    std::shared_ptr<const v1::FindUniversalSetRequest> request,
    const UniversalSetProblem& problem, Listener listener = {});

}  // namespace steelyard::server
