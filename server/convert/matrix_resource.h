// What is told of stored matrices and uploads.
#pragma once

#include <vector>

#include "server/convert/page.h"
#include "server/storage/matrix_store.h"
#include "steelyard/v1/matrix_service.pb.h"

namespace steelyard::server {

void ToProto(const MatrixInfo& info, v1::Matrix* proto);

void ToProto(const UploadState& state, v1::UploadStatus* proto);

// A page of `page.size` matrices. `infos`: these and, where there are more, the
// next one.
void ToProto(const std::vector<MatrixInfo>& infos, const PageRequest& page,
             v1::ListMatricesResponse* response);

}  // namespace steelyard::server
