// Stored universal sets as resources: get, list, delete, read.
#pragma once

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "google/protobuf/empty.pb.h"
#include "server/handlers/universal_set_work.h"
#include "server/request/request_context.h"
#include "server/sets/set_registry.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

// The first three answer on the transport thread, also while every worker is
// busy.
class GetUniversalSetHandler {
 public:
  explicit GetUniversalSetHandler(SetRegistry& registry)
      : registry_(registry) {}

  absl::Status Handle(RequestContext& context,
                      std::shared_ptr<const v1::GetUniversalSetRequest> request,
                      v1::UniversalSetInfo* response) const;

 private:
  SetRegistry& registry_;
};

class ListUniversalSetsHandler {
 public:
  explicit ListUniversalSetsHandler(SetRegistry& registry)
      : registry_(registry) {}

  absl::Status Handle(
      RequestContext& context,
      std::shared_ptr<const v1::ListUniversalSetsRequest> request,
      v1::ListUniversalSetsResponse* response) const;

 private:
  SetRegistry& registry_;
};

class DeleteUniversalSetHandler {
 public:
  explicit DeleteUniversalSetHandler(SetRegistry& registry)
      : registry_(registry) {}

  absl::Status Handle(
      RequestContext& context,
      std::shared_ptr<const v1::DeleteUniversalSetRequest> request,
      google::protobuf::Empty* response) const;

 private:
  SetRegistry& registry_;
};

class ReadUniversalSetHandler {
 public:
  explicit ReadUniversalSetHandler(const UniversalSetParts& parts)
      : parts_(parts) {}

  // `write` sends a set or a part of one; false: the stream is broken.
  absl::Status Handle(
      RequestContext& context,
      std::shared_ptr<const v1::ReadUniversalSetRequest> request,
      absl::FunctionRef<bool(const v1::UniversalSet&)> write) const;

 private:
  const UniversalSetParts parts_;
};

}  // namespace steelyard::server
