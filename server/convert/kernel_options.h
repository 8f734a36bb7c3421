// AttentionKernel of a request, and the fields of SolveRequest that bear on it
// -> options of core. Predictions have scale and normalization, too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/convert/tensor_input.h"
#include "server/limits/limits.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/v1/regression_service.pb.h"

namespace steelyard::server {

// `field`: the proto path.
absl::StatusOr<double> KernelScaleOf(std::optional<double> scale,
                                     const std::string& field);
absl::StatusOr<KernelNormalization> KernelNormalizationOf(
    v1::KernelNormalization normalization, const std::string& field);

// Scale, normalization, method, preconditioner and its rank; `rows`: of A.
absl::StatusOr<AttentionKernelOptions> KernelOptionsFromProto(
    const v1::SolveRequest& request, Index rows);

// The header of row_ridge. Unset: none. The message must outlive it.
absl::StatusOr<std::optional<TensorInput>> RowRidgeFromProto(
    const v1::AttentionKernel& kernel, Index rows, const Limits& limits);

// Its numbers; their memory has been reserved.
// ERRORS  NOT_FINITE, FIELD_OUT_OF_RANGE: below 0, both with the index.
absl::StatusOr<std::vector<double>> RowRidgeNumbers(const TensorInput& tensor);

// How the contract calls it.
v1::Preconditioner PreconditionerOf(KernelPreconditioner preconditioner);

// Of an error of core about argument "preconditioner": at its proto path.
absl::Status AtKernelPath(const absl::Status& status);

}  // namespace steelyard::server
