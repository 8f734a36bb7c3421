#include "server/handlers/query_heavy_handler.h"

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "server/convert/heavy_answer.h"
#include "server/convert/heavy_query.h"
#include "server/handlers/least_work.h"
#include "server/handlers/used_set.h"
#include "steelyard/heavy_scores.h"

namespace steelyard::server {
namespace {

absl::StatusOr<std::vector<HeavyRow>> FindHeavy(
    const HeavyProblem& problem, const std::optional<UsedSet>& used,
    const ComputeContext& context) {
  const TensorMatrices queries(problem.rows().queries);
  if (used.has_value()) {
    const auto sets = used->set->Queryable(context);
    if (!sets.ok()) return sets.status();
    return FindHeavyScores(absl::MakeConstSpan(*sets), queries.heads(),
                           problem.options(), context);
  }
  absl::Status loaded = problem.terms().Load(context.stop);
  if (!loaded.ok()) return loaded;
  const TensorMatrices keys(*problem.terms().keys());
  const std::vector<AnyMatrixView> heads =
      ValidRows(keys, problem.terms().lengths());
  return FindHeavyScores(absl::MakeConstSpan(heads), queries.heads(),
                         problem.options(), context);
}

}  // namespace

absl::Status QueryHeavyHandler::Handle(
    RequestContext& context,
    std::shared_ptr<const v1::QueryHeavyRequest> request,
    v1::QueryHeavyResponse* response) const {
  const auto id = SetIdFromProto(*request);
  if (!id.ok()) return id.status();
  const auto used = UseSet(parts_.registry, *id);
  if (!used.ok()) return used.status();
  const auto problem = HeavyProblemFromProto(*request, FactsOf(*used),
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

  const auto rows =
      ticket->Compute(context, [request, problem = *problem,
                                used = *used](const ComputeContext& compute) {
        return FindHeavy(problem, used, compute);
      });
  if (!rows.ok()) return AtProtoPath(rows.status(), *problem);

  return ToProto(*rows, *problem, context.timing(), response);
}

}  // namespace steelyard::server
