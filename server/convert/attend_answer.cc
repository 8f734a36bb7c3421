#include "server/convert/attend_answer.h"

#include <algorithm>
#include <cmath>

#include "absl/types/span.h"
#include "server/convert/narrow.h"
#include "server/convert/response_size.h"

namespace steelyard::server {
namespace {

constexpr char kStreamAttend[] =
    "Raise max_response_bytes, ask for a smaller output_dtype or fewer queries "
    "a call, or call StreamAttend, whose answers come in parts.";

// Bytes on the wire of a row beside its output: the count of attended keys as
// varint, and the captured mass where it is known.
constexpr double kRowBytesMin = 1.0;
constexpr double kRowBytesMax = 10.0 + 8.0;
// Of the other fields of one part: id, first_row, last, time, tensor header.
constexpr double kPartBytesMax = 256.0;
// sizeof the message in memory over its size on the wire.
constexpr double kMemoryPerWire = 1.0;

double OutputRowBytes(const AttendTerms& terms) {
  return static_cast<double>(terms.values().cols() *
                             SizeOf(terms.output_type()));
}

v1::DType DTypeOf(StorageType type) {
  switch (type) {
    case StorageType::kFloat64:
      return v1::DTYPE_FLOAT64;
    case StorageType::kFloat32:
      return v1::DTYPE_FLOAT32;
    case StorageType::kFloat16:
      return v1::DTYPE_FLOAT16;
    case StorageType::kBFloat16:
      return v1::DTYPE_BFLOAT16;
  }
  return v1::DTYPE_UNSPECIFIED;
}

// Rows first .. first + count of all heads, head-major.
struct RowRange {
  Index first = 0;
  Index count = 0;
};

// Z of every row is known.
bool MassIsKnown(const std::vector<AttendedHead>& heads) {
  for (const AttendedHead& head : heads) {
    for (const double mass : head.captured_mass) {
      if (std::isnan(mass)) return false;
    }
  }
  return true;
}

void RowsToProto(const std::vector<AttendedHead>& heads, const RowRange& range,
                 StorageType type, bool with_mass,
                 v1::AttendResponse* response) {
  const Index m = heads.front().output.rows();
  std::string* const bytes = response->mutable_output()->mutable_data();
  bytes->reserve(static_cast<std::size_t>(
      range.count * heads.front().output.cols() * SizeOf(type)));
  for (Index row = range.first; row < range.first + range.count; ++row) {
    const AttendedHead& head = heads[static_cast<std::size_t>(row / m)];
    const Index i = row % m;
    AppendAs(type,
             {head.output.row(i), static_cast<std::size_t>(head.output.cols())},
             bytes);
    if (with_mass) {
      response->add_captured_mass(
          head.captured_mass[static_cast<std::size_t>(i)]);
    }
    response->add_attended(head.attended[static_cast<std::size_t>(i)]);
  }
}

}  // namespace

absl::Status CheckResponseSize(const AttendProblem& problem) {
  return CheckFits(
      problem.rows().count() * (OutputRowBytes(problem.terms()) + kRowBytesMin),
      problem.terms().max_response_bytes(), kStreamAttend);
}

absl::Status ToProto(const std::vector<AttendedHead>& heads,
                     const AttendProblem& problem, const Timing& timing,
                     v1::AttendResponse* response) {
  const AttendTerms& terms = problem.terms();
  const TensorInput& queries = problem.rows().queries;
  v1::Tensor* const output = response->mutable_output();
  output->set_dtype(DTypeOf(terms.output_type()));
  if (queries.extents() == 3) output->add_shape(queries.heads());
  output->add_shape(queries.rows());
  output->add_shape(terms.values().cols());
  RowsToProto(heads, {.first = 0, .count = queries.heads() * queries.rows()},
              terms.output_type(), MassIsKnown(heads), response);
  ToProto(timing.compute, response->mutable_compute_time());
  return CheckMessage(terms.max_response_bytes(), kStreamAttend, response);
}

absl::Status WriteParts(
    const std::vector<AttendedHead>& heads, const AttendProblem& problem,
    std::int64_t id, const Timing& timing, const Limits& limits,
    absl::FunctionRef<bool(const v1::StreamAttendResponse&)> write) {
  const AttendTerms& terms = problem.terms();
  const Index rows =
      problem.rows().queries.heads() * problem.rows().queries.rows();
  const double room =
      static_cast<double>(limits.chunk_bytes_max) - kPartBytesMax;
  const auto rows_a_part = std::max<Index>(
      1, static_cast<Index>(room / (OutputRowBytes(terms) + kRowBytesMax)));
  const bool with_mass = MassIsKnown(heads);
  v1::StreamAttendResponse message;
  message.set_id(id);
  for (Index first = 0; first < rows; first += rows_a_part) {
    const Index count = std::min(rows_a_part, rows - first);
    message.set_first_row(first);
    message.set_last(first + count == rows);
    v1::AttendResponse* const part = message.mutable_part();
    part->Clear();
    part->mutable_output()->set_dtype(DTypeOf(terms.output_type()));
    part->mutable_output()->add_shape(count);
    part->mutable_output()->add_shape(terms.values().cols());
    RowsToProto(heads, {.first = first, .count = count}, terms.output_type(),
                with_mass, part);
    if (message.last()) ToProto(timing.compute, part->mutable_compute_time());
    if (!write(message)) {
      return absl::CancelledError("the caller no longer reads the stream");
    }
  }
  return absl::OkStatus();
}

double MemoryOfParts(const AttendProblem& problem, const Limits& limits) {
  const double rows = problem.rows().count();
  const AttendTerms& terms = problem.terms();
  const auto numbers = static_cast<double>(terms.values().cols() + 2);
  return 8.0 * rows * numbers +
         MemoryOfAttendAnswer(rows, terms,
                              static_cast<double>(limits.chunk_bytes_max));
}

double MemoryOfAttendAnswer(double rows, const AttendTerms& terms, double max) {
  return AnswerMemory(rows * (OutputRowBytes(terms) + kRowBytesMax),
                      kMemoryPerWire, static_cast<std::int64_t>(max));
}

}  // namespace steelyard::server
