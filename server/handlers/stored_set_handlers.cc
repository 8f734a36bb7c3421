#include "server/handlers/stored_set_handlers.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/convert/set_message.h"
#include "server/convert/set_resource.h"
#include "server/sets/set_name.h"

namespace steelyard::server {

absl::Status GetUniversalSetHandler::Handle(
    RequestContext& context,
    std::shared_ptr<const v1::GetUniversalSetRequest> request,
    v1::UniversalSetInfo* response) const {
  const absl::StatusOr<std::string> id = SetIdOf(request->name(), "name");
  if (!id.ok()) return id.status();
  context.set_shape(request->name());
  const absl::StatusOr<SetInfo> info = registry_.Get(*id);
  if (!info.ok()) return info.status();
  ToProto(*info, response);
  return absl::OkStatus();
}

absl::Status ListUniversalSetsHandler::Handle(
    RequestContext&,
    std::shared_ptr<const v1::ListUniversalSetsRequest> request,
    v1::ListUniversalSetsResponse* response) const {
  const absl::StatusOr<PageRequest> page =
      PageRequestOf(request->page_size(), request->page_token());
  if (!page.ok()) return page.status();
  ToProto(registry_.List(page->after, page->size), response);
  return absl::OkStatus();
}

absl::Status DeleteUniversalSetHandler::Handle(
    RequestContext& context,
    std::shared_ptr<const v1::DeleteUniversalSetRequest> request,
    google::protobuf::Empty*) const {
  const absl::StatusOr<std::string> id = SetIdOf(request->name(), "name");
  if (!id.ok()) return id.status();
  context.set_shape(request->name());
  return registry_.Delete(*id);
}

absl::Status ReadUniversalSetHandler::Handle(
    RequestContext& context,
    std::shared_ptr<const v1::ReadUniversalSetRequest> request,
    absl::FunctionRef<bool(const v1::UniversalSet&)> write) const {
  const absl::StatusOr<std::string> id = SetIdOf(request->name(), "name");
  if (!id.ok()) return id.status();
  context.set_shape(request->name());
  auto set = parts_.registry.Find(*id);
  if (!set.ok()) return set.status();
  const SetDescription& description = (*set)->description();
  const absl::StatusOr<std::vector<Index>> heads =
      HeadsFromProto(*request, description.heads);
  if (!heads.ok()) return heads.status();

  auto ticket = parts_.gate.Enter({.cost = (*set)->cost()}, context);
  if (!ticket.ok()) return ticket.status();
  const auto sets =
      ticket->Compute(context, [set = *set](const ComputeContext& compute) {
        return set->Sets(compute);
      });
  if (!sets.ok()) return sets.status();
  for (const Index head : *heads) {
    const absl::Status written =
        WriteInParts((*sets)[static_cast<std::size_t>(head)],
                     {.head = head, .epsilon = description.epsilon},
                     parts_.limits.chunk_bytes_max, write);
    if (!written.ok()) return written;
  }
  return absl::OkStatus();
}

}  // namespace steelyard::server
