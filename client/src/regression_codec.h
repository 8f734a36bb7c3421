// Solve and StreamSolve: requests to the wire, answers from it.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/client/matrix_source.h"
#include "steelyard/client/options.h"
#include "steelyard/client/regression.h"
#include "steelyard/v1/progress.pb.h"
#include "steelyard/v1/regression_service.pb.h"

namespace steelyard::client {

v1::KernelNormalization ToProto(KernelNormalization normalization);

// `max_response_bytes` is left unset.
// ERRORS  those of a source (matrix_codec.h). InvalidArgument: time_limit <= 0.
//   Those of a tensor, of attention_kernel.row_ridge.
absl::Status ToProto(const MatrixSource& a, const DenseSource& b,
                     const Problem& problem, const SolveOptions& options,
                     const ClientOptions& limits, v1::SolveRequest* request);

// ERRORS  Internal: x or x_low is no matrix, or their shapes or the number of
//   exponents differ.
absl::StatusOr<Solution> FromProto(const v1::SolveResponse& response);

// Of attempt number `attempt`, from 1.
Progress FromProto(const v1::Progress& progress, int attempt);

}  // namespace steelyard::client
