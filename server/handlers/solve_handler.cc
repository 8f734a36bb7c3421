#include "server/handlers/solve_handler.h"

#include "absl/status/statusor.h"
#include "server/convert/regression.h"
#include "server/convert/solve_answer.h"
#include "server/handlers/least_work.h"
#include "server/handlers/solve_work.h"

namespace steelyard::server {

absl::Status SolveHandler::Handle(
    RequestContext& context, std::shared_ptr<const v1::SolveRequest> request,
    v1::SolveResponse* response) const {
  const auto problem = SolveProblemFromProto(*request, limits_, matrices_);
  if (!problem.ok()) return problem.status();
  context.set_shape(DescriptionOf(*problem));
  context.set_time_limit(problem->time_limit());

  const absl::Status fits = CheckResponseSize(*problem);
  if (!fits.ok()) return fits;

  auto ticket = gate_.Enter(
      {.cost = CostOf(*problem, workers_), .least_flops = LeastFlops(*problem)},
      context);
  if (!ticket.ok()) return ticket.status();

  const auto solution = ticket->Compute(
      context, [request, problem = *problem](const ComputeContext& compute) {
        return SolveRegression(problem, compute);
      });
  if (!solution.ok()) return AtProtoPath(solution.status(), *problem);

  context.set_termination(NameOf(solution->report.termination));
  return ToProto(*solution, *problem,
                 {.seed = problem->seed(), .timing = context.timing()},
                 response);
}

}  // namespace steelyard::server
