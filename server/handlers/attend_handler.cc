#include "server/handlers/attend_handler.h"

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "server/convert/attend.h"
#include "server/convert/attend_answer.h"
#include "server/handlers/least_work.h"
#include "server/handlers/used_set.h"

namespace steelyard::server {
namespace {

absl::StatusOr<std::vector<AttendedHead>> AttendTo(
    const AttendProblem& problem, const std::optional<UsedSet>& used,
    const ComputeContext& context) {
  const AttendTerms& terms = problem.terms();
  std::vector<QueryableSet> sets;
  if (used.has_value()) {
    auto heads = used->set->Queryable(context);
    if (!heads.ok()) return heads.status();
    sets = *std::move(heads);
  }
  absl::Status loaded = terms.Load(context.stop);
  if (!loaded.ok()) return loaded;
  const TensorMatrices queries(problem.rows().queries);
  const TensorMatrices values(terms.values());
  std::optional<TensorMatrices> keys;
  std::vector<AnyMatrixView> key_heads;
  if (terms.keys().has_value()) {
    keys.emplace(*terms.keys());
    key_heads = ValidRows(*keys, terms.lengths());
  }
  return Attend(key_heads, sets, ValidRows(values, terms.lengths()),
                queries.heads(), problem.options(), context);
}

}  // namespace

absl::Status AttendHandler::Handle(
    RequestContext& context, std::shared_ptr<const v1::AttendRequest> request,
    v1::AttendResponse* response) const {
  const auto id = SetIdFromProto(*request);
  if (!id.ok()) return id.status();
  const auto used = UseSet(parts_.registry, *id);
  if (!used.ok()) return used.status();
  const auto problem = AttendProblemFromProto(*request, FactsOf(*used),
                                              parts_.limits, parts_.matrices);
  if (!problem.ok()) return problem.status();
  context.set_shape(DescriptionOf(*problem));

  const absl::Status fits = CheckResponseSize(*problem);
  if (!fits.ok()) return fits;

  Cost cost = CostOf(*problem, parts_.workers);
  cost += CostOfReading(*used);
  auto ticket = parts_.gate.Enter(
      {.cost = cost, .least_flops = LeastFlops(*problem)}, context);
  if (!ticket.ok()) return ticket.status();
  const auto heads =
      ticket->Compute(context, [request, problem = *problem,
                                used = *used](const ComputeContext& compute) {
        return AttendTo(problem, used, compute);
      });
  if (!heads.ok()) return AtProtoPath(heads.status(), *problem);

  return ToProto(*heads, *problem, context.timing(), response);
}

}  // namespace steelyard::server
