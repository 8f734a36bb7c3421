// The calls of Client that ask a universal set: QueryHeavy and Attend.
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "attend_codec.h"
#include "connection.h"
#include "heavy_codec.h"
#include "query_blocks.h"
#include "query_conversation.h"
#include "steelyard/client/client.h"
#include "tensor_codec.h"

namespace steelyard::client {
namespace {

absl::Status HeavyCall(const Connection& connection, const KeySource& source,
                       const TensorView& queries, const HeavyOptions& options,
                       bool packed, const CallOptions& call,
                       v1::QueryHeavyResponse* response) {
  const ClientOptions& limits = connection.options();
  v1::QueryHeavyRequest request;
  absl::Status status = ToProto(source, options, limits, &request);
  if (!status.ok()) return status;
  request.set_packed(packed);
  status = ToProto(queries, "queries", limits.request_bytes_max,
                   request.mutable_queries());
  if (!status.ok()) return status;
  return connection.QueryHeavy(request, call, response);
}

absl::StatusOr<HeavyScores> HeavyRows(const Connection& connection,
                                      const KeySource& source,
                                      const TensorView& queries,
                                      const HeavyOptions& options,
                                      const CallOptions& call) {
  v1::QueryHeavyResponse response;
  absl::Status status = HeavyCall(connection, source, queries, options,
                                  /*packed=*/false, call, &response);
  if (!status.ok()) return status;
  return FromProto(response);
}

absl::StatusOr<PackedHeavyScores> HeavyArrays(const Connection& connection,
                                              const KeySource& source,
                                              const TensorView& queries,
                                              const HeavyOptions& options,
                                              const CallOptions& call) {
  v1::QueryHeavyResponse response;
  absl::Status status = HeavyCall(connection, source, queries, options,
                                  /*packed=*/true, call, &response);
  if (!status.ok()) return status;
  return PackedFromProto(response);
}

// All queries in blocks, and their rows in one answer.
absl::StatusOr<HeavyScores> GatherRows(const Connection& connection,
                                       const KeySource& source,
                                       const TensorView& queries,
                                       const HeavyOptions& options,
                                       const CallOptions& call) {
  const QueryCutter cutter(queries, options.positions);
  HeavyScores whole;
  HeavyOptions opening = options;
  opening.positions.clear();
  absl::Status status = ConverseHeavy(
      connection, source, [&](std::int64_t b) { return cutter.Block(b); },
      opening,
      [&](std::int64_t number, HeavyScores part) {
        whole.rows.resize(
            static_cast<std::size_t>(cutter.heads() * cutter.rows()));
        for (std::size_t r = 0; r < part.rows.size(); ++r) {
          const std::int64_t row =
              cutter.WholeRow(number, static_cast<std::int64_t>(r));
          whole.rows[static_cast<std::size_t>(row)] = std::move(part.rows[r]);
        }
        whole.queue_time = std::max(whole.queue_time, part.queue_time);
        whole.compute_time += part.compute_time;
      },
      call);
  if (!status.ok()) return cutter.Located(status);
  return whole;
}

}  // namespace

absl::StatusOr<HeavyScores> Client::QueryHeavy(const DenseSource& keys,
                                               const TensorView& queries,
                                               const HeavyOptions& options,
                                               const CallOptions& call) const {
  return HeavyRows(*connection_, keys, queries, options, call);
}

absl::StatusOr<HeavyScores> Client::QueryHeavy(const KeptSet& set,
                                               const TensorView& queries,
                                               const HeavyOptions& options,
                                               const CallOptions& call) const {
  return HeavyRows(*connection_, set, queries, options, call);
}

absl::StatusOr<PackedHeavyScores> Client::QueryHeavyPacked(
    const DenseSource& keys, const TensorView& queries,
    const HeavyOptions& options, const CallOptions& call) const {
  return HeavyArrays(*connection_, keys, queries, options, call);
}

absl::StatusOr<PackedHeavyScores> Client::QueryHeavyPacked(
    const KeptSet& set, const TensorView& queries, const HeavyOptions& options,
    const CallOptions& call) const {
  return HeavyArrays(*connection_, set, queries, options, call);
}

absl::StatusOr<HeavyScores> Client::StreamQueryHeavy(
    const DenseSource& keys, const TensorView& queries,
    const HeavyOptions& options, const CallOptions& call) const {
  return GatherRows(*connection_, keys, queries, options, call);
}

absl::StatusOr<HeavyScores> Client::StreamQueryHeavy(
    const KeptSet& set, const TensorView& queries, const HeavyOptions& options,
    const CallOptions& call) const {
  return GatherRows(*connection_, set, queries, options, call);
}

absl::Status Client::StreamQueryHeavy(const DenseSource& keys,
                                      const QueryBlocks& blocks,
                                      const HeavyOptions& options,
                                      const HeavyBlockCallback& on_block,
                                      const CallOptions& call) const {
  return ConverseHeavy(*connection_, keys, blocks, options, on_block, call);
}

absl::Status Client::StreamQueryHeavy(const KeptSet& set,
                                      const QueryBlocks& blocks,
                                      const HeavyOptions& options,
                                      const HeavyBlockCallback& on_block,
                                      const CallOptions& call) const {
  return ConverseHeavy(*connection_, set, blocks, options, on_block, call);
}

absl::StatusOr<Attention> Client::Attend(const AttendInputs& inputs,
                                         const AttendOptions& options,
                                         const CallOptions& call) const {
  const ClientOptions& limits = connection_->options();
  v1::AttendRequest request;
  absl::Status status = ToProto(inputs, options, limits, &request);
  if (!status.ok()) return status;
  status = ToProto(inputs.queries, "queries", limits.request_bytes_max,
                   request.mutable_queries());
  if (!status.ok()) return status;
  v1::AttendResponse response;
  status = connection_->Attend(request, call, &response);
  if (!status.ok()) return status;
  return FromProto(response);
}

absl::StatusOr<std::int64_t> Client::RowsOf(const DenseSource& source,
                                            const CallOptions& call) const {
  std::vector<std::int64_t> shape;
  if (const TensorView* dense = source.dense()) {
    for (int axis = 0; axis < dense->rank() && axis < 3; ++axis) {
      shape.push_back(dense->extent(axis));
    }
  } else {
    const auto info = GetMatrix(source.stored()->name, call);
    if (!info.ok()) return info.status();
    const auto* layout = std::get_if<DenseLayout>(&info->layout);
    if (layout != nullptr) shape = layout->shape;
  }
  // Other shapes are refused before or where the call arrives.
  return shape.size() < 2 ? 0 : shape[shape.size() - 2];
}

absl::StatusOr<Attention> Client::StreamAttend(const AttendInputs& inputs,
                                               const AttendOptions& options,
                                               const CallOptions& call) const {
  AttendOptions opening = options;
  std::int64_t value_rows = 0;
  if (NeedsPositions(options)) {
    const auto rows = RowsOf(inputs.values, call);
    if (!rows.ok()) return rows.status();
    value_rows = *rows;
  }
  // A block does not know at which query of all it begins.
  const std::vector<std::int64_t> positions =
      PositionsOrLast(inputs, options, value_rows);
  opening.positions.clear();
  const QueryCutter cutter(inputs.queries, positions);
  Attention whole;
  absl::Status status = ConverseAttend(
      *connection_, inputs, [&](std::int64_t b) { return cutter.Block(b); },
      opening,
      [&](std::int64_t number, Attention part) {
        const std::int64_t rows = cutter.heads() * cutter.rows();
        whole.output.conservativeResize(rows, part.output.cols());
        whole.attended.resize(static_cast<std::size_t>(rows));
        if (!part.captured_mass.empty()) {
          whole.captured_mass.resize(static_cast<std::size_t>(rows));
        }
        for (Eigen::Index r = 0; r < part.output.rows(); ++r) {
          const std::int64_t row = cutter.WholeRow(number, r);
          const auto to = static_cast<std::size_t>(row);
          const auto from = static_cast<std::size_t>(r);
          whole.output.row(row) = part.output.row(r);
          whole.attended[to] = part.attended[from];
          if (!part.captured_mass.empty()) {
            whole.captured_mass[to] = part.captured_mass[from];
          }
        }
        whole.compute_time += part.compute_time;
      },
      call);
  if (!status.ok()) return cutter.Located(status);
  return whole;
}

absl::Status Client::StreamAttend(const AttendInputs& inputs,
                                  const QueryBlocks& blocks,
                                  const AttendOptions& options,
                                  const AttentionBlockCallback& on_block,
                                  const CallOptions& call) const {
  return ConverseAttend(*connection_, inputs, blocks, options, on_block, call);
}

}  // namespace steelyard::client
