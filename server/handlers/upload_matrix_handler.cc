#include "server/handlers/upload_matrix_handler.h"

#include "server/errors/errors.h"

namespace steelyard::server {

absl::Status UploadMatrixHandler::Handle(RequestContext& context,
                                         UploadStream::Requests& inbox,
                                         v1::Matrix* response) const {
  if (parts_.store == nullptr) return NoMatrixDirectoryError();
  const absl::StatusOr<StreamSlots::Slot> slot = parts_.slots.Take();
  if (!slot.ok()) return slot.status();
  UploadStream stream(parts_, context, inbox);
  return stream.Run(response);
}

}  // namespace steelyard::server
