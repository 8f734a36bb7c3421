// Predict and StreamPredict of Client.
#include <chrono>
#include <optional>
#include <utility>

#include "connection.h"
#include "error_codec.h"
#include "matrix_codec.h"
#include "predict_stream.h"
#include "regression_codec.h"
#include "steelyard/client/client.h"
#include "tensor_codec.h"
#include "weight_bands.h"

namespace steelyard::client {
namespace {

// The weights, and what they were cut into where float64 cannot hold them.
absl::StatusOr<std::optional<WeightBands>> WeightsToProto(
    const PredictInputs& inputs, std::int64_t bytes_max,
    v1::PredictRequest* request) {
  std::optional<WeightBands> bands;
  if (const StoredMatrix* stored = inputs.x.stored()) {
    if (!inputs.x_exponents.empty()) {
      return LocalError(
          absl::StatusCode::kInvalidArgument,
          "x_exponents go with an x that is sent, not with a "
          "stored one",
          {.reason = "CONFLICTING_FIELDS", .field = "x_exponents"});
    }
    request->set_x_matrix(MatrixName(stored->name));
    return bands;
  }
  absl::Status status;
  if (inputs.x_exponents.empty()) {
    status = ToProto(*inputs.x.dense(), "x", bytes_max, request->mutable_x());
  } else {
    absl::StatusOr<WeightBands> cut =
        WeightBands::Cut(*inputs.x.dense(), inputs.x_exponents, bytes_max);
    if (!cut.ok()) return cut.status();
    bands = *std::move(cut);
    status = ToProto(bands->columns(), "x", bytes_max, request->mutable_x());
  }
  if (!status.ok()) return status;
  return bands;
}

// The request of all attempts: what was answered is not asked again, where the
// queries are here to be cut.
class Question {
 public:
  Question(const PredictInputs& inputs, std::int64_t bytes_max)
      : queries_(inputs.queries.dense()), bytes_max_(bytes_max) {}

  v1::PredictRequest& request() { return request_; }

  // From row `next` on; returns the first row that it asks.
  absl::StatusOr<std::int64_t> AskFrom(std::int64_t next) {
    if (next == 0 || queries_ == nullptr) return 0;
    absl::Status status = ToProto(
        queries_->Rows(next, queries_->extent(0) - next), "queries.dense",
        bytes_max_, request_.mutable_queries()->mutable_dense());
    if (!status.ok()) return status;
    return next;
  }

 private:
  const TensorView* const queries_;
  const std::int64_t bytes_max_;
  v1::PredictRequest request_;
};

absl::Status RequestToProto(const PredictInputs& inputs,
                            const PredictOptions& options,
                            std::int64_t bytes_max,
                            v1::PredictRequest* request) {
  request->set_scale(options.scale);
  request->set_normalization(ToProto(options.normalization));
  absl::Status status = ToProto(inputs.a, "a", bytes_max, request->mutable_a());
  if (!status.ok()) return status;
  return ToProto(inputs.queries, "queries", bytes_max,
                 request->mutable_queries());
}

// rows: m.
absl::Status Ask(const Connection& connection, const PredictInputs& inputs,
                 const PredictOptions& options, std::int64_t rows,
                 const PredictionCallback& on_rows, const CallOptions& call) {
  const std::int64_t bytes_max = connection.options().request_bytes_max;
  Question question(inputs, bytes_max);
  absl::Status status =
      RequestToProto(inputs, options, bytes_max, &question.request());
  if (!status.ok()) return status;
  const auto bands = WeightsToProto(inputs, bytes_max, &question.request());
  if (!bands.ok()) return bands.status();
  const PredictionCallback joined = [&](std::int64_t first_row,
                                        const Prediction& part) {
    on_rows(first_row, (*bands)->Joined(part));
  };
  PredictStream stream(rows, bands->has_value() ? joined : on_rows);
  status = connection.Predict(
      question.request().ByteSizeLong(), call,
      [&](int attempt) -> absl::StatusOr<const v1::PredictRequest*> {
        // All rows came, and only the end of the call was lost.
        if (attempt > 1 && stream.Finish().ok()) return nullptr;
        const auto first_row = question.AskFrom(stream.next_row());
        if (!first_row.ok()) return first_row.status();
        stream.Begin(*first_row);
        return &question.request();
      },
      [&](v1::PredictResponse* response) { return stream.Add(response); });
  return status.ok() ? stream.Finish() : status;
}

}  // namespace

absl::Status Client::StreamPredict(const PredictInputs& inputs,
                                   const PredictOptions& options,
                                   const PredictionCallback& on_rows,
                                   const CallOptions& call) const {
  const auto rows = RowsOf(inputs.queries, call);
  if (!rows.ok()) return rows.status();
  return Ask(*connection_, inputs, options, *rows, on_rows, call);
}

absl::StatusOr<Prediction> Client::Predict(const PredictInputs& inputs,
                                           const PredictOptions& options,
                                           const ProgressCallback& on_progress,
                                           const CallOptions& call) const {
  const auto rows = RowsOf(inputs.queries, call);
  if (!rows.ok()) return rows.status();
  const auto start = std::chrono::steady_clock::now();
  GatheredPrediction whole(*rows);
  const absl::Status status = Ask(
      *connection_, inputs, options, *rows,
      [&](std::int64_t first_row, Prediction part) {
        const std::int64_t done = first_row + part.y.rows();
        whole.Add(first_row, std::move(part));
        if (!on_progress) return;
        Progress progress;
        progress.phase = "predict";
        progress.fraction =
            static_cast<double>(done) / static_cast<double>(*rows);
        progress.elapsed = std::chrono::steady_clock::now() - start;
        progress.time_left = progress.elapsed * (1.0 / *progress.fraction - 1);
        on_progress(progress);
      },
      call);
  if (!status.ok()) return status;
  return std::move(whole).Take();
}

}  // namespace steelyard::client
