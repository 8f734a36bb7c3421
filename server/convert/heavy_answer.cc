#include "server/convert/heavy_answer.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "server/convert/packed_rows.h"
#include "server/convert/response_size.h"

namespace steelyard::server {
namespace {

constexpr char kFewerRows[] =
    "Raise max_response_bytes, ask for less (a larger epsilon, fewer queries a "
    "call), or call StreamQueryHeavy, whose answers come in parts.";

// Bytes on the wire of one index and its numbers, at most: int64 as varint and
// two doubles. At least: 1 and 8.
constexpr double kEntryBytesMax = 10.0 + 16.0;
constexpr double kEntryBytesMin = 1.0 + 8.0;
// Of the other fields of one row, at most: three lists' tags and lengths, two
// doubles, a flag, an exponent and a count.
constexpr double kRowBytesMax = 80.0;
// Of a row without scores: tag, length, `undefined`.
constexpr double kRowBytesMin = 4.0;
// Of the other fields of one part: id, first_row, last, times; headers of the
// tensors of packed rows.
constexpr double kPartBytesMax = 512.0;
// sizeof a message in memory over its size on the wire. A row is an object with
// three lists of its own; packed rows are strings.
constexpr double kRowMemoryPerWire = 8.0;
constexpr double kPackedMemoryPerWire = 1.0;

double Entries(absl::Span<const HeavyRow> rows) {
  double entries = 0.0;
  for (const HeavyRow& row : rows) {
    entries += static_cast<double>(row.indices.size());
  }
  return entries;
}

double WireBytesMin(double rows, double entries, bool packed) {
  return packed ? PackedBytes(rows, entries, false)
                : kRowBytesMin * rows + kEntryBytesMin * entries;
}

void RowToProto(const HeavyRow& row, v1::HeavyRow* proto) {
  proto->mutable_indices()->Add(row.indices.begin(), row.indices.end());
  proto->mutable_scores()->Add(row.scores.begin(), row.scores.end());
  proto->mutable_scores_upper()->Add(row.scores_upper.begin(),
                                     row.scores_upper.end());
  proto->set_normalizer(row.normalizer);
  proto->set_captured_mass(row.captured_mass);
  proto->set_undefined(row.undefined);
  proto->set_normalizer_exponent(row.normalizer_exponent);
  proto->set_keys_scored(row.keys_scored);
}

void RowsToProto(absl::Span<const HeavyRow> rows, bool packed,
                 v1::QueryHeavyResponse* response) {
  if (packed) {
    ToProto(rows, response->mutable_packed());
    return;
  }
  response->mutable_rows()->Reserve(static_cast<int>(rows.size()));
  for (const HeavyRow& row : rows) RowToProto(row, response->add_rows());
}

void TimesToProto(const Timing& timing, v1::QueryHeavyResponse* response) {
  ToProto(timing.queue, response->mutable_queue_time());
  ToProto(timing.compute, response->mutable_compute_time());
}

// The row with `count` of its entries.
HeavyRow Piece(const HeavyRow& row, std::size_t first, std::size_t count) {
  const auto slice = [&](const auto& list) {
    using List = std::decay_t<decltype(list)>;
    if (list.empty()) return List{};
    const auto begin = list.begin() + static_cast<std::ptrdiff_t>(first);
    return List(begin, begin + static_cast<std::ptrdiff_t>(count));
  };
  HeavyRow piece;
  piece.indices = slice(row.indices);
  piece.scores = slice(row.scores);
  piece.scores_upper = slice(row.scores_upper);
  piece.normalizer = row.normalizer;
  piece.normalizer_exponent = row.normalizer_exponent;
  piece.captured_mass = row.captured_mass;
  piece.undefined = row.undefined;
  piece.keys_scored = row.keys_scored;
  return piece;
}

using Write = absl::FunctionRef<bool(const v1::StreamQueryHeavyResponse&)>;

// Rows that wait for their part to be full.
class Part {
 public:
  Part(std::int64_t id, bool packed, const Limits& limits)
      : room_(static_cast<double>(limits.chunk_bytes_max) - kPartBytesMax),
        packed_(packed) {
    message_.set_id(id);
  }

  // Entries of one more row that fit in.
  std::size_t Room() const {
    const double left = room_ - bytes_ - kRowBytesMax;
    return left < 0.0 ? 0 : static_cast<std::size_t>(left / kEntryBytesMax);
  }
  bool empty() const { return rows_.empty(); }

  void Add(std::int64_t row, HeavyRow piece) {
    if (rows_.empty()) message_.set_first_row(row);
    bytes_ += kRowBytesMax +
              kEntryBytesMax * static_cast<double>(piece.indices.size());
    rows_.push_back(std::move(piece));
  }

  // False: the stream is broken.
  bool Send(Write write) {
    message_.clear_part();
    RowsToProto(rows_, packed_, message_.mutable_part());
    rows_.clear();
    bytes_ = 0.0;
    return write(message_);
  }
  bool SendLast(const Timing& timing, Write write) {
    message_.set_last(true);
    message_.clear_part();
    RowsToProto(rows_, packed_, message_.mutable_part());
    TimesToProto(timing, message_.mutable_part());
    return write(message_);
  }

 private:
  const double room_;
  const bool packed_;
  std::vector<HeavyRow> rows_;
  double bytes_ = 0.0;
  v1::StreamQueryHeavyResponse message_;
};

}  // namespace

absl::Status CheckResponseSize(const HeavyProblem& problem) {
  return CheckFits(
      WireBytesMin(problem.rows().count(), 0.0, problem.terms().packed()),
      problem.terms().max_response_bytes(), kFewerRows);
}

absl::Status ToProto(const std::vector<HeavyRow>& rows,
                     const HeavyProblem& problem, const Timing& timing,
                     v1::QueryHeavyResponse* response) {
  const std::int64_t max = problem.terms().max_response_bytes();
  const bool packed = problem.terms().packed();
  if (const absl::Status fits = CheckFits(
          WireBytesMin(static_cast<double>(rows.size()), Entries(rows), packed),
          max, kFewerRows);
      !fits.ok()) {
    return fits;
  }
  RowsToProto(rows, packed, response);
  TimesToProto(timing, response);
  return CheckMessage(max, kFewerRows, response);
}

absl::Status WriteParts(const std::vector<HeavyRow>& rows,
                        const HeavyProblem& problem, std::int64_t id,
                        const Timing& timing, const Limits& limits,
                        Write write) {
  const absl::Status broken =
      absl::CancelledError("the caller no longer reads the stream");
  Part part(id, problem.terms().packed(), limits);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const std::size_t entries = rows[r].indices.size();
    std::size_t sent = 0;
    do {
      // A row begins a new part rather than be cut, unless it has to be.
      const bool crowded = part.Room() < entries - sent || part.Room() == 0;
      if (crowded && !part.empty() && !part.Send(write)) return broken;
      const std::size_t count = std::min(part.Room(), entries - sent);
      part.Add(static_cast<std::int64_t>(r), Piece(rows[r], sent, count));
      sent += count;
    } while (sent < entries);
  }
  return part.SendLast(timing, write) ? absl::OkStatus() : broken;
}

double MemoryOfParts(const std::vector<HeavyRow>& rows, const Limits& limits) {
  // Vectors double as they grow; three numbers an entry.
  return static_cast<double>(rows.size() * sizeof(HeavyRow)) +
         2.0 * 24.0 * Entries(rows) +
         (2.0 + kRowMemoryPerWire) *
             static_cast<double>(limits.chunk_bytes_max);
}

double MemoryOfHeavyAnswer(double rows, double entries, bool packed,
                           double max) {
  const double wire = packed ? PackedBytes(rows, rows * entries, true)
                             : rows * (kRowBytesMax + kEntryBytesMax * entries);
  return AnswerMemory(wire, packed ? kPackedMemoryPerWire : kRowMemoryPerWire,
                      static_cast<std::int64_t>(max));
}

}  // namespace steelyard::server
