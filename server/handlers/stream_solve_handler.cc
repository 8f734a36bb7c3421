#include "server/handlers/stream_solve_handler.h"

#include "absl/status/statusor.h"
#include "server/convert/progress.h"
#include "server/convert/regression.h"
#include "server/convert/solve_answer.h"
#include "server/handlers/progress_relay.h"
#include "server/handlers/solve_work.h"

namespace steelyard::server {
namespace {

// False: the stream is broken.
bool SendProgress(ProgressRelay& progress,
                  absl::FunctionRef<bool(const v1::SolveEvent&)> write) {
  const auto due = progress.Due(ProgressRelay::Clock::now());
  if (!due.has_value()) return true;
  v1::SolveEvent event;
  ToProto(due->update, due->elapsed, due->time_left, event.mutable_progress());
  return write(event);
}

}  // namespace

absl::Status StreamSolveHandler::Handle(
    RequestContext& context, std::shared_ptr<const v1::SolveRequest> request,
    absl::FunctionRef<bool(const v1::SolveEvent&)> write) const {
  const auto problem = SolveProblemFromProto(*request, parts_.limits, parts_.matrices);
  if (!problem.ok()) return problem.status();
  context.set_shape(DescriptionOf(*problem));
  context.set_time_limit(problem->time_limit());

  const auto progress = std::make_shared<ProgressRelay>(context.arrival());
  const auto answer = AdmitAndSolve(
      parts_, context, request, *problem,
      {.progress =
           [progress](const ProgressUpdate& update) {
             progress->Update(update, ProgressRelay::Clock::now());
           },
       .look = [&] { return SendProgress(*progress, write); }});
  if (!answer.ok()) return AtProtoPath(answer.status(), *problem);

  context.set_termination(NameOf(answer->solution.report.termination));
  return WriteSolution(answer->solution, *problem,
                       {.seed = problem->seed(),
                        .timing = context.timing(),
                        .factor_cache_hit = answer->factor_cache_hit},
                       parts_.limits, write);
}

}  // namespace steelyard::server
