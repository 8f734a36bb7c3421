#include "query_conversation.h"

#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "attend_codec.h"
#include "error_codec.h"
#include "tensor_codec.h"

namespace steelyard::client {
namespace {

void Append(HeavyScores part, HeavyScores* whole) {
  if (whole->rows.empty()) {
    *whole = std::move(part);
    return;
  }
  whole->compute_time += part.compute_time;
  for (HeavyRow& row : part.rows) whole->rows.push_back(std::move(row));
}

void Append(Attention part, Attention* whole) {
  if (whole->output.size() == 0) {
    *whole = std::move(part);
    return;
  }
  const Eigen::Index rows = whole->output.rows();
  whole->output.conservativeResize(rows + part.output.rows(),
                                   whole->output.cols());
  whole->output.bottomRows(part.output.rows()) = part.output;
  whole->captured_mass.insert(whole->captured_mass.end(),
                              part.captured_mass.begin(),
                              part.captured_mass.end());
  whole->attended.insert(whole->attended.end(), part.attended.begin(),
                         part.attended.end());
  whole->compute_time += part.compute_time;
}

std::int64_t RowsIn(const HeavyScores& scores) {
  return static_cast<std::int64_t>(scores.rows.size());
}
std::int64_t RowsIn(const Attention& attention) {
  return attention.output.rows();
}

absl::StatusOr<HeavyScores> Decoded(const v1::QueryHeavyResponse& part) {
  return FromProto(part);
}
absl::StatusOr<Attention> Decoded(const v1::AttendResponse& part) {
  return FromProto(part);
}

// Parts of one call stay of one width.
bool Continues(const HeavyScores&, const HeavyScores&) { return true; }
bool Continues(const Attention& whole, const Attention& part) {
  return whole.output.size() == 0 || whole.output.cols() == part.output.cols();
}

// All attempts at one call. The writer runs Next, the reader Take.
template <typename Request, typename Response, typename Answer>
class BlockCall {
 public:
  using OnBlock = std::function<void(std::int64_t, Answer)>;

  BlockCall(const Request& open, const QueryBlocks& blocks,
            const OnBlock& on_block, std::int64_t request_bytes_max)
      : open_(open),
        blocks_(blocks),
        on_block_(on_block),
        bytes_max_(request_bytes_max) {}

  absl::Status Attempt(MessageStream<Request, Response>* stream) {
    opened_ = false;
    sent_ = answered_;
    answer_ = Answer();
    rows_of_unanswered_.clear();
    absl::Status status = Converse<Request, Response>(
        stream, [this](Request* request) { return Next(request); },
        [this](Response* response) { return Take(*response); });
    if (!status.ok() || answered_ == sent_) return status;
    return BrokenAnswer(
        absl::StrCat("block ", answered_, " of ", sent_, " was not answered"));
  }

 private:
  absl::StatusOr<bool> Next(Request* request) {
    if (!opened_) {
      opened_ = true;
      *request = open_;
      return true;
    }
    const std::optional<QueryBlock> block = blocks_(sent_);
    if (!block.has_value()) return false;
    v1::QueryBlock* wire = request->mutable_block();
    wire->set_id(sent_);
    wire->mutable_positions()->Assign(block->positions.begin(),
                                      block->positions.end());
    absl::Status status = ToProto(block->queries, "block.queries", bytes_max_,
                                  wire->mutable_queries());
    if (!status.ok()) return status;
    std::int64_t rows = 1;
    for (int axis = 0; axis + 1 < wire->queries().shape_size(); ++axis) {
      rows *= wire->queries().shape(axis);
    }
    const std::lock_guard lock(mutex_);
    rows_of_unanswered_.push_back(rows);
    ++sent_;
    return true;
  }

  absl::Status Take(const Response& response) {
    std::int64_t rows_due = -1;
    {
      const std::lock_guard lock(mutex_);
      if (!rows_of_unanswered_.empty()) rows_due = rows_of_unanswered_.front();
    }
    auto part = Decoded(response.part());
    if (!part.ok()) return part.status();
    if (response.id() != answered_ || rows_due < 0 ||
        response.first_row() != RowsIn(answer_) || !Continues(answer_, *part)) {
      return BrokenAnswer(absl::StrCat(
          "a part of block ", response.id(), " from row ", response.first_row(),
          " where row ", RowsIn(answer_), " of block ", answered_, " is next"));
    }
    Append(*std::move(part), &answer_);
    const std::int64_t rows = RowsIn(answer_);
    if (rows > rows_due || (response.last() && rows < rows_due)) {
      return BrokenAnswer(absl::StrCat("block ", answered_, " has ", rows_due,
                                       " rows, but ", rows, " were answered"));
    }
    if (!response.last()) return absl::OkStatus();
    {
      const std::lock_guard lock(mutex_);
      rows_of_unanswered_.pop_front();
    }
    on_block_(answered_++, std::exchange(answer_, Answer()));
    return absl::OkStatus();
  }

  const Request& open_;
  const QueryBlocks& blocks_;
  const OnBlock& on_block_;
  const std::int64_t bytes_max_;
  bool opened_ = false;
  std::int64_t sent_ = 0;      // Of the writer; blocks so far.
  std::int64_t answered_ = 0;  // Of the reader; whole ones, over all attempts.
  Answer answer_;              // Of block `answered_`, so far.
  std::mutex mutex_;
  std::deque<std::int64_t> rows_of_unanswered_;
};

}  // namespace

absl::Status ConverseHeavy(const Connection& connection,
                           const KeySource& source, const QueryBlocks& blocks,
                           const HeavyOptions& options,
                           const HeavyBlockCallback& on_block,
                           const CallOptions& call) {
  const ClientOptions& limits = connection.options();
  v1::StreamQueryHeavyRequest open;
  absl::Status status = ToProto(source, options, limits, open.mutable_open());
  if (!status.ok()) return status;
  open.mutable_open()->clear_max_response_bytes();
  BlockCall<v1::StreamQueryHeavyRequest, v1::StreamQueryHeavyResponse,
            HeavyScores>
      blocks_of_call(open, blocks, on_block, limits.request_bytes_max);
  return connection.StreamQueryHeavy(open.ByteSizeLong(), call,
                                     [&](auto* stream, int /*attempt*/) {
                                       return blocks_of_call.Attempt(stream);
                                     });
}

absl::Status ConverseAttend(const Connection& connection,
                            const AttendInputs& inputs,
                            const QueryBlocks& blocks,
                            const AttendOptions& options,
                            const AttentionBlockCallback& on_block,
                            const CallOptions& call) {
  const ClientOptions& limits = connection.options();
  v1::StreamAttendRequest open;
  absl::Status status = ToProto(inputs, options, limits, open.mutable_open());
  if (!status.ok()) return status;
  open.mutable_open()->clear_max_response_bytes();
  BlockCall<v1::StreamAttendRequest, v1::StreamAttendResponse, Attention>
      blocks_of_call(open, blocks, on_block, limits.request_bytes_max);
  return connection.StreamAttend(open.ByteSizeLong(), call,
                                 [&](auto* stream, int /*attempt*/) {
                                   return blocks_of_call.Attempt(stream);
                                 });
}

bool NeedsPositions(const AttendOptions& options) {
  return options.positions.empty() &&
         (options.causal ||
          !std::holds_alternative<NoLocalKeys>(options.local));
}

std::vector<std::int64_t> PositionsOrLast(const AttendInputs& inputs,
                                          const AttendOptions& options,
                                          std::int64_t value_rows) {
  const TensorView& queries = inputs.queries;
  if (!NeedsPositions(options) || queries.rank() < 2 || queries.rank() > 3) {
    return options.positions;
  }
  const std::int64_t m = queries.extent(queries.rank() - 2);
  // What is not filled is refused before it is sent.
  if (m < 1 || m > queries.available() || value_rows < m) return {};
  std::vector<std::int64_t> positions(static_cast<std::size_t>(m));
  for (std::int64_t i = 0; i < m; ++i) {
    positions[static_cast<std::size_t>(i)] = value_rows - m + i;
  }
  return positions;
}

}  // namespace steelyard::client
