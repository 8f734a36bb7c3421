#include "server/handlers/stream_query_heavy_handler.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "server/convert/heavy_answer.h"
#include "server/convert/heavy_query.h"
#include "server/handlers/heavy_source.h"
#include "server/handlers/query_course.h"

namespace steelyard::server {
namespace {

struct HeavyKind {
  using Request = v1::StreamQueryHeavyRequest;
  using Response = v1::StreamQueryHeavyResponse;
  using Source = HeavySource;
  using OpenTerms = HeavyTerms;

  static auto Terms(const v1::QueryHeavyRequest& open, const SetFacts* set,
                    const Limits& limits, const MatrixLookup& matrices) {
    return HeavyOpenFromProto(open, set, limits, matrices);
  }
  static auto Block(const v1::QueryBlock& block, const HeavyTerms& terms,
                    const Limits& limits) {
    return HeavyBlockFromProto(block, terms, limits);
  }
  static absl::Status AtPath(const absl::Status& status,
                             const HeavyProblem& problem) {
    return AtProtoPath(status, problem);
  }
  static double Memory(const std::vector<HeavyRow>& rows, const HeavyProblem&,
                       const Limits& limits) {
    return MemoryOfParts(rows, limits);
  }
};

}  // namespace

absl::Status StreamQueryHeavyHandler::Handle(
    RequestContext& context,
    MessageStream<v1::StreamQueryHeavyRequest, v1::StreamQueryHeavyResponse>&
        stream) const {
  QueryCourse<HeavyKind> course(parts_, stream);
  return ServeBlocks(context, stream, parts_.gate, RulesOf(parts_), course);
}

}  // namespace steelyard::server
