// PredictRequest -> a prediction of core, and its rows -> PredictResponse.
//
// A problem has passed every check of the contract that needs no number of a
// tensor; nobody checks again. The request message must outlive its problem.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/convert/stored_input.h"
#include "server/convert/tensor_input.h"
#include "server/limits/limits.h"
#include "steelyard/attention_kernel_prediction.h"
#include "steelyard/cost.h"
#include "steelyard/v1/regression_service.pb.h"

namespace steelyard::server {

class PredictProblem {
 public:
  // n x d, n x k, m x d.
  const TensorInput& a() const { return a_; }
  const TensorInput& x() const { return x_; }
  const TensorInput& queries() const { return queries_; }
  // block_rows: as many as surely fit into one message.
  const KernelPredictionOptions& options() const { return options_; }

 private:
  friend absl::StatusOr<PredictProblem> PredictProblemFromProto(
      const v1::PredictRequest& request, const Limits& limits,
      const MatrixLookup& matrices);
  PredictProblem(TensorInput a, TensorInput x, TensorInput queries)
      : a_(std::move(a)), x_(std::move(x)), queries_(std::move(queries)) {}

  TensorInput a_;
  TensorInput x_;
  TensorInput queries_;
  KernelPredictionOptions options_;
};

// `matrices`: empty where the server keeps none.
absl::StatusOr<PredictProblem> PredictProblemFromProto(
    const v1::PredictRequest& request, const Limits& limits,
    const MatrixLookup& matrices = {});

// Of rows that were computed and are not sent, on their way out, at most.
double BytesOfAnswer(const PredictProblem& problem, const Limits& limits);
// Flops, and bytes beyond the request message: the work of core, aligned copies
// and BytesOfAnswer.
Cost CostOf(const PredictProblem& problem, const Limits& limits, int workers);

// "NONE: a 1000x32 FLOAT32, x 1000 FLOAT64, queries 50x32 FLOAT32", for logs.
std::string DescriptionOf(const PredictProblem& problem);

// An error of core with core's argument ("a") replaced by the proto path.
absl::Status AtProtoPath(const absl::Status& status,
                         const PredictProblem& problem);

void ToProto(const PredictedRows& rows, v1::PredictResponse* response);
std::int64_t BytesOf(const PredictedRows& rows);

}  // namespace steelyard::server
