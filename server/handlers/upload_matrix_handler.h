// A matrix that is stored under a name.
#pragma once

#include "absl/status/status.h"
#include "server/handlers/upload_stream.h"
#include "server/request/request_context.h"

namespace steelyard::server {

class UploadMatrixHandler {
 public:
  explicit UploadMatrixHandler(const UploadParts& parts) : parts_(parts) {}

  // `inbox`: the messages of the client, filled by another thread.
  absl::Status Handle(RequestContext& context, UploadStream::Requests& inbox,
                      v1::Matrix* response) const;

 private:
  const UploadParts parts_;
};

}  // namespace steelyard::server
