#include "attend_codec.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "heavy_codec.h"
#include "matrix_codec.h"
#include "score_function_codec.h"
#include "tensor_codec.h"

namespace steelyard::client {
namespace {

void ToProto(const LocalKeys& local, v1::AttendRequest* request) {
  if (const auto* window = std::get_if<Window>(&local)) {
    request->set_window(window->radius);
  } else if (const auto* grid = std::get_if<Grid>(&local)) {
    request->mutable_grid()->set_height(grid->height);
    request->mutable_grid()->set_width(grid->width);
    request->mutable_grid()->set_radius(grid->radius);
    request->mutable_grid()->set_first(grid->first);
  }
}

}  // namespace

absl::Status ToProto(const AttendInputs& inputs, const AttendOptions& options,
                     const ClientOptions& limits, v1::AttendRequest* request) {
  if (!inputs.universal_set.empty()) {
    request->mutable_universal_set()->set_name(SetName(inputs.universal_set));
  }
  if (options.function.has_value()) {
    ToProto(*options.function, request->mutable_function());
  }
  if (options.epsilon.has_value()) request->set_epsilon(*options.epsilon);
  if (options.top_m.has_value()) request->set_top_m(*options.top_m);
  request->set_sinks(options.sinks);
  ToProto(options.local, request);
  request->set_normalization(options.normalization ==
                                     AttentionNormalization::kAll
                                 ? v1::NORMALIZATION_ALL
                                 : v1::NORMALIZATION_ATTENDED);
  request->set_causal(options.causal);
  request->mutable_positions()->Assign(options.positions.begin(),
                                       options.positions.end());
  if (options.output_type.has_value()) {
    request->set_output_dtype(DTypeOf(*options.output_type));
  }
  request->mutable_lengths()->Assign(options.lengths.begin(),
                                     options.lengths.end());
  request->set_max_response_bytes(limits.response_bytes_max);
  if (inputs.keys.has_value()) {
    absl::Status status =
        ToProto(*inputs.keys, "keys", limits.request_bytes_max,
                request->mutable_keys());
    if (!status.ok()) return status;
  }
  return ToProto(inputs.values, "values", limits.request_bytes_max,
                 request->mutable_values());
}

absl::StatusOr<Attention> FromProto(const v1::AttendResponse& response) {
  absl::StatusOr<RowMajorMatrix> output =
      RowsFromProto(response.output(), "output");
  if (!output.ok()) return output.status();
  Attention attention;
  attention.output = *std::move(output);
  attention.captured_mass.assign(response.captured_mass().begin(),
                                 response.captured_mass().end());
  attention.attended.assign(response.attended().begin(),
                            response.attended().end());
  attention.compute_time = SecondsFromProto(response.compute_time());
  const auto rows = static_cast<std::size_t>(attention.output.rows());
  if ((!attention.captured_mass.empty() &&
       attention.captured_mass.size() != rows) ||
      attention.attended.size() != rows) {
    return BrokenAnswer(absl::StrCat("output has ", rows,
                                     " rows, captured_mass ",
                                     attention.captured_mass.size(),
                                     ", attended ", attention.attended.size()));
  }
  return attention;
}

}  // namespace steelyard::client
