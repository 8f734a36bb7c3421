#include "server/handlers/export_state_handler.h"

#include <string>

#include "server/convert/state_chunks.h"
#include "server/handlers/session_work.h"
#include "server/sets/set_name.h"

namespace steelyard::server {

absl::Status ExportStateHandler::Handle(
    RequestContext& context,
    std::shared_ptr<const v1::ExportStateRequest> request,
    absl::FunctionRef<bool(const v1::StateChunk&)> write) const {
  const absl::StatusOr<std::string> id = SetIdOf(request->name(), "name");
  if (!id.ok()) return id.status();
  context.set_shape(request->name());
  const auto session = FindSession(parts_.registry, *id);
  if (!session.ok()) return session.status();

  Cost cost = (*session)->cost();
  cost.bytes += BytesOfExport(**session);
  auto ticket = parts_.gate.Enter({.cost = cost}, context);
  if (!ticket.ok()) return ticket.status();
  const auto state = ticket->Compute(
      context, [session = *session](const ComputeContext& compute) {
        return ExportedState(*session, compute);
      });
  if (!state.ok()) return state.status();
  return WriteStateChunks(*state, parts_.limits,
                          [&](v1::StateChunk&& chunk) { return write(chunk); });
}

}  // namespace steelyard::server
