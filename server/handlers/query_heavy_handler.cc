#include "server/handlers/query_heavy_handler.h"

#include "absl/status/statusor.h"
#include "server/convert/heavy_query.h"
#include "server/handlers/least_work.h"
#include "steelyard/heavy_scores.h"

namespace steelyard::server {

absl::Status QueryHeavyHandler::Handle(
    RequestContext& context,
    std::shared_ptr<const v1::QueryHeavyRequest> request,
    v1::QueryHeavyResponse* response) const {
  const auto problem = HeavyProblemFromProto(*request, limits_);
  if (!problem.ok()) return problem.status();
  context.set_shape(DescriptionOf(*problem));

  const absl::Status fits = CheckResponseSize(*problem);
  if (!fits.ok()) return fits;

  auto ticket = gate_.Enter(
      {.cost = CostOf(*problem, workers_), .least_flops = LeastFlops(*problem)},
      context);
  if (!ticket.ok()) return ticket.status();

  const auto rows = ticket->Compute(
      context, [request, problem = *problem](const ComputeContext& compute) {
        const TensorMatrices keys(problem.keys());
        const TensorMatrices queries(problem.queries());
        return FindHeavyScores(keys.heads(), queries.heads(), problem.options(),
                               compute);
      });
  if (!rows.ok()) return AtProtoPath(rows.status(), *problem);

  return ToProto(*rows, *problem, context.timing(), response);
}

}  // namespace steelyard::server
