#include "server/handlers/find_universal_set_handler.h"

#include <utility>

#include "absl/status/statusor.h"
#include "server/convert/progress.h"
#include "server/convert/universal_set.h"
#include "server/handlers/progress_relay.h"

namespace steelyard::server {
namespace {

// False: the stream is broken.
bool SendProgress(
    ProgressRelay& progress,
    absl::FunctionRef<bool(const v1::FindUniversalSetEvent&)> write) {
  const auto due = progress.Due(ProgressRelay::Clock::now());
  if (!due.has_value()) return true;
  v1::FindUniversalSetEvent event;
  ToProto(due->update, due->elapsed, due->time_left, event.mutable_progress());
  return write(event);
}

}  // namespace

absl::Status FindUniversalSetHandler::Handle(
    RequestContext& context,
    std::shared_ptr<const v1::FindUniversalSetRequest> request,
    v1::FindUniversalSetResponse* response) const {
  const auto problem =
      UniversalSetProblemFromProto(*request, parts_.limits, parts_.matrices);
  if (!problem.ok()) return problem.status();
  context.set_shape(DescriptionOf(*problem));

  auto found = FindSets(parts_, context, request, *problem);
  if (!found.ok()) return found.status();

  absl::Status answered =
      ToProto(found->sets(), *problem, context.timing(), response);
  if (answered.ok()) answered = (*std::move(found)).Keep(*problem);
  return answered;
}

absl::Status StreamFindUniversalSetHandler::Handle(
    RequestContext& context,
    std::shared_ptr<const v1::FindUniversalSetRequest> request,
    absl::FunctionRef<bool(const v1::FindUniversalSetEvent&)> write) const {
  const auto problem =
      UniversalSetProblemFromProto(*request, parts_.limits, parts_.matrices);
  if (!problem.ok()) return problem.status();
  context.set_shape(DescriptionOf(*problem));

  const auto progress = std::make_shared<ProgressRelay>(context.arrival());
  SendProgress(*progress, write);
  auto found =
      FindSets(parts_, context, request, *problem,
               {.progress =
                    [progress](const ProgressUpdate& update) {
                      progress->Update(update, ProgressRelay::Clock::now());
                    },
                .look = [&] { return SendProgress(*progress, write); }});
  if (!found.ok()) return found.status();

  const absl::Status written =
      WriteSets(found->sets(), *problem, parts_.limits, write);
  if (!written.ok()) return written;
  return (*std::move(found)).Keep(*problem);
}

}  // namespace steelyard::server
