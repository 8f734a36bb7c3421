#include "server/handlers/stream_attend_handler.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "server/convert/attend.h"
#include "server/convert/attend_answer.h"
#include "server/handlers/attend_source.h"
#include "server/handlers/query_course.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

// Some blocks need keys that the open did not bring.
absl::Status AtBlockPath(const absl::Status& status,
                         const AttendProblem& problem) {
  const std::optional<ErrorDetail> detail = DetailOf(status);
  if (detail.has_value() && detail->field == "keys") {
    return InMessage(status, "open");
  }
  return AtProtoPath(status, problem);
}

struct AttendKind {
  using Request = v1::StreamAttendRequest;
  using Response = v1::StreamAttendResponse;
  using Source = AttendSource;
  using OpenTerms = AttendTerms;

  static auto Terms(const v1::AttendRequest& open, const SetFacts* set,
                    const Limits& limits, const MatrixLookup& matrices) {
    return AttendOpenFromProto(open, set, limits, matrices);
  }
  static auto Block(const v1::QueryBlock& block, const AttendTerms& terms,
                    const Limits& limits) {
    return AttendBlockFromProto(block, terms, limits);
  }
  static absl::Status AtPath(const absl::Status& status,
                             const AttendProblem& problem) {
    return AtBlockPath(status, problem);
  }
  static double Memory(const std::vector<AttendedHead>&,
                       const AttendProblem& problem, const Limits& limits) {
    return MemoryOfParts(problem, limits);
  }
};

}  // namespace

absl::Status StreamAttendHandler::Handle(
    RequestContext& context,
    MessageStream<v1::StreamAttendRequest, v1::StreamAttendResponse>& stream)
    const {
  QueryCourse<AttendKind> course(parts_, stream);
  return ServeBlocks(context, stream, parts_.gate, RulesOf(parts_), course);
}

}  // namespace steelyard::server
