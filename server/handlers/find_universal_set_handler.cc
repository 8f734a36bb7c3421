#include "server/handlers/find_universal_set_handler.h"

#include "absl/status/statusor.h"
#include "server/convert/universal_set.h"
#include "server/handlers/least_work.h"
#include "steelyard/universal_set.h"

namespace steelyard::server {

absl::Status FindUniversalSetHandler::Handle(
    RequestContext& context,
    std::shared_ptr<const v1::FindUniversalSetRequest> request,
    v1::FindUniversalSetResponse* response) const {
  const auto problem = UniversalSetProblemFromProto(*request, limits_);
  if (!problem.ok()) return problem.status();
  context.set_shape(DescriptionOf(*problem));

  auto ticket = gate_.Enter(
      {.cost = CostOf(*problem, workers_), .least_flops = LeastFlops(*problem)},
      context);
  if (!ticket.ok()) return ticket.status();

  const auto sets = ticket->Compute(
      context, [request, problem = *problem](const ComputeContext& compute) {
        const TensorMatrices keys(problem.keys());
        return FindUniversalSets(keys.heads(), problem.options(), compute);
      });
  if (!sets.ok()) return AtProtoPath(sets.status(), *problem);

  return ToProto(*sets, *problem, context.timing(), response);
}

}  // namespace steelyard::server
