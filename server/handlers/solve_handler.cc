#include "server/handlers/solve_handler.h"

#include "absl/status/statusor.h"
#include "server/convert/regression.h"
#include "server/convert/solve_answer.h"
#include "server/handlers/solve_work.h"

namespace steelyard::server {

absl::Status SolveHandler::Handle(
    RequestContext& context, std::shared_ptr<const v1::SolveRequest> request,
    v1::SolveResponse* response) const {
  const auto problem = SolveProblemFromProto(*request, parts_.limits, parts_.matrices);
  if (!problem.ok()) return problem.status();
  context.set_shape(DescriptionOf(*problem));
  context.set_time_limit(problem->time_limit());

  const absl::Status fits = CheckResponseSize(*problem);
  if (!fits.ok()) return fits;

  const auto answer = AdmitAndSolve(parts_, context, request, *problem);
  if (!answer.ok()) return AtProtoPath(answer.status(), *problem);

  context.set_termination(NameOf(answer->solution.report.termination));
  return ToProto(answer->solution, *problem,
                 {.seed = problem->seed(),
                  .timing = context.timing(),
                  .factor_cache_hit = answer->factor_cache_hit},
                 response);
}

}  // namespace steelyard::server
