#include "server/handlers/universal_set_work.h"

#include <utility>

#include "server/convert/tensor_input.h"
#include "server/handlers/least_work.h"
#include "steelyard/finite.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

// Core counts rows through the heads that it was given; of ragged heads it does
// not know how long the others are. The first bad entry with the row of the
// padded tensor, and any other error as it is.
absl::Status AtPaddedRow(const absl::Status& status,
                         const UniversalSetProblem& problem,
                         const std::vector<AnyMatrixView>& keys,
                         const ComputeContext& compute) {
  const std::optional<ErrorDetail> detail = DetailOf(status);
  if (problem.lengths().empty() || !detail.has_value() ||
      detail->reason != "NOT_FINITE") {
    return status;
  }
  Index row = 0;
  for (const AnyMatrixView& head : keys) {
    absl::Status finite = CheckFinite(head, "keys", compute, row);
    if (!finite.ok()) return finite;
    row += problem.keys().rows();
  }
  return status;
}

struct Found {
  std::vector<UniversalSet> sets;
  std::vector<QueryableSet> heads;
};

absl::StatusOr<Found> Find(const UniversalSetProblem& problem,
                           const ComputeContext& compute) {
  absl::Status loaded = problem.keys().Load(compute.stop);
  if (!loaded.ok()) return loaded;
  const TensorMatrices matrices(problem.keys());
  const std::vector<AnyMatrixView> keys =
      ValidRows(matrices, problem.lengths());
  Found found;
  if (!problem.kept().has_value()) {
    auto sets = FindUniversalSets(keys, problem.options(), compute);
    if (!sets.ok()) {
      return AtPaddedRow(sets.status(), problem, keys, compute);
    }
    found.sets = *std::move(sets);
    return found;
  }
  auto heads = FindQueryableSets(keys, problem.options(), compute);
  if (!heads.ok()) {
    return AtPaddedRow(heads.status(), problem, keys, compute);
  }
  found.heads = *std::move(heads);
  for (const QueryableSet& head : found.heads) {
    found.sets.push_back(head.set());
  }
  return found;
}

}  // namespace

absl::StatusOr<FoundSets> FindSets(
    const UniversalSetParts& parts, RequestContext& context,
    std::shared_ptr<const v1::FindUniversalSetRequest> request,
    const UniversalSetProblem& problem, Listener listener) {
  FoundSets result;
  if (problem.kept().has_value()) {
    absl::StatusOr<SetClaim> claim = parts.registry.Claim(*problem.kept());
    if (!claim.ok()) return claim.status();
    result.claim_ = *std::move(claim);
  }
  auto ticket = parts.gate.Enter({.cost = CostOf(problem, parts.workers),
                                  .least_flops = LeastFlops(problem)},
                                 context);
  if (!ticket.ok()) return ticket.status();
  auto found = ticket->Compute(
      context,
      [request, problem](const ComputeContext& compute) {
        return Find(problem, compute);
      },
      std::move(listener));
  if (!found.ok()) return AtProtoPath(found.status(), problem);
  result.sets_ = std::move(found->sets);
  result.heads_ = std::move(found->heads);
  return result;
}

absl::Status FoundSets::Keep(const UniversalSetProblem& problem) && {
  if (!claim_.has_value()) return absl::OkStatus();
  double bytes = 0.0;
  for (const QueryableSet& head : heads_) bytes += head.bytes();
  if (absl::Status fits = claim_->Resize(bytes); !fits.ok()) return fits;
  (*std::move(claim_))
      .Keep(std::make_unique<FoundSet>(SetDescriptionOf(problem),
                                       std::move(heads_), KeyCounts(problem)));
  return absl::OkStatus();
}

}  // namespace steelyard::server
