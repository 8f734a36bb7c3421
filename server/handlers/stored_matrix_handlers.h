// Stored matrices as resources: upload status, get, list, delete.
//
// They answer on the transport thread, also while every worker is busy.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "google/protobuf/empty.pb.h"
#include "server/factors/factor_cache.h"
#include "server/request/request_context.h"
#include "server/storage/matrix_store.h"
#include "steelyard/v1/matrix_service.pb.h"

namespace steelyard::server {

// Of all: `store` is null where the server keeps none; it must outlive them.
class GetUploadStatusHandler {
 public:
  explicit GetUploadStatusHandler(MatrixStore* store) : store_(store) {}

  absl::Status Handle(RequestContext& context,
                      std::shared_ptr<const v1::GetUploadStatusRequest> request,
                      v1::UploadStatus* response) const;

 private:
  MatrixStore* const store_;
};

class GetMatrixHandler {
 public:
  explicit GetMatrixHandler(MatrixStore* store) : store_(store) {}

  absl::Status Handle(RequestContext& context,
                      std::shared_ptr<const v1::GetMatrixRequest> request,
                      v1::Matrix* response) const;

 private:
  MatrixStore* const store_;
};

class ListMatricesHandler {
 public:
  explicit ListMatricesHandler(MatrixStore* store) : store_(store) {}

  absl::Status Handle(RequestContext& context,
                      std::shared_ptr<const v1::ListMatricesRequest> request,
                      v1::ListMatricesResponse* response) const;

 private:
  MatrixStore* const store_;
};

class DeleteMatrixHandler {
 public:
  // `factors` of the matrix are dropped; must outlive it, too.
  DeleteMatrixHandler(MatrixStore* store, FactorCache& factors)
      : store_(store), factors_(factors) {}

  absl::Status Handle(RequestContext& context,
                      std::shared_ptr<const v1::DeleteMatrixRequest> request,
                      google::protobuf::Empty* response) const;

 private:
  MatrixStore* const store_;
  FactorCache& factors_;
};

}  // namespace steelyard::server
