#include "server/handlers/stored_matrix_handlers.h"

#include <string>

#include "absl/status/statusor.h"
#include "server/convert/matrix_resource.h"
#include "server/convert/page.h"
#include "server/convert/stored_input.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

// The id that a request names; NotFound where nothing is kept.
absl::StatusOr<std::string> IdFor(MatrixStore* store, const std::string& name,
                                  RequestContext& context) {
  absl::StatusOr<std::string> id = MatrixIdOf(name, "name");
  if (!id.ok()) return id;
  context.set_shape(name);
  if (store == nullptr) return MatrixNotFoundError(name);
  return id;
}

}  // namespace

absl::Status GetUploadStatusHandler::Handle(
    RequestContext& context,
    std::shared_ptr<const v1::GetUploadStatusRequest> request,
    v1::UploadStatus* response) const {
  const auto id = IdFor(store_, request->name(), context);
  if (!id.ok()) return id.status();
  const absl::StatusOr<UploadState> state = store_->StateOf(*id);
  if (!state.ok()) return state.status();
  ToProto(*state, response);
  return absl::OkStatus();
}

absl::Status GetMatrixHandler::Handle(
    RequestContext& context,
    std::shared_ptr<const v1::GetMatrixRequest> request,
    v1::Matrix* response) const {
  const auto id = IdFor(store_, request->name(), context);
  if (!id.ok()) return id.status();
  const absl::StatusOr<MatrixInfo> info = store_->Get(*id);
  if (!info.ok()) return info.status();
  ToProto(*info, response);
  return absl::OkStatus();
}

absl::Status ListMatricesHandler::Handle(
    RequestContext&, std::shared_ptr<const v1::ListMatricesRequest> request,
    v1::ListMatricesResponse* response) const {
  const absl::StatusOr<PageRequest> page =
      PageRequestOf(request->page_size(), request->page_token());
  if (!page.ok()) return page.status();
  if (store_ == nullptr) return absl::OkStatus();
  const auto infos =
      store_->List(page->after, static_cast<int>(page->size) + 1);
  if (!infos.ok()) return infos.status();
  ToProto(*infos, *page, response);
  return absl::OkStatus();
}

absl::Status DeleteMatrixHandler::Handle(
    RequestContext& context,
    std::shared_ptr<const v1::DeleteMatrixRequest> request,
    google::protobuf::Empty*) const {
  const auto id = IdFor(store_, request->name(), context);
  if (!id.ok()) return id.status();
  absl::Status deleted = store_->Delete(*id);
  if (deleted.ok()) factors_.Drop(*id);
  return deleted;
}

}  // namespace steelyard::server
