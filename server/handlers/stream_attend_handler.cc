#include "server/handlers/stream_attend_handler.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "server/convert/attend.h"
#include "server/convert/attend_answer.h"
#include "server/handlers/attend_source.h"
#include "server/handlers/least_work.h"
#include "server/handlers/used_set.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

using Request = v1::StreamAttendRequest;
using Response = v1::StreamAttendResponse;

// Some blocks need keys that the open did not bring.
absl::Status AtBlockPath(const absl::Status& status,
                         const AttendProblem& problem) {
  const std::optional<ErrorDetail> detail = DetailOf(status);
  if (detail.has_value() && detail->field == "keys") {
    return InMessage(status, "open");
  }
  return AtProtoPath(status, problem);
}

class AttendCourse {
 public:
  AttendCourse(const UniversalSetParts& parts,
               MessageStream<Request, Response>& stream)
      : parts_(parts), stream_(stream) {}

  absl::Status Open(RequestContext& context,
                    std::shared_ptr<const Request> message) {
    const v1::AttendRequest& open = *OpenOf(*message);
    const auto id = SetIdFromProto(open);
    if (!id.ok()) return id.status();
    auto used = UseSet(parts_.registry, *id);
    if (!used.ok()) return used.status();
    const auto terms = AttendOpenFromProto(open, FactsOf(*used), parts_.limits);
    if (!terms.ok()) return terms.status();
    context.set_shape(DescriptionOf(*terms));

    Cost cost = CostOfSource(*terms, parts_.workers);
    cost += CostOfReading(*used);
    auto ticket = parts_.gate.Enter(
        {.cost = cost, .least_flops = LeastFlops(*terms)}, context);
    if (!ticket.ok()) return ticket.status();
    auto source =
        ticket->Compute(context, [message = std::move(message), terms = *terms,
                                  used = *used](const ComputeContext& compute) {
          return AttendSource::Prepare(message, terms, used, compute);
        });
    if (!source.ok()) return AtProtoPath(source.status(), *terms);
    const auto held = std::make_shared<Held>();
    held->memory = std::move(*ticket).Keep((*source)->bytes());
    held->source = *std::move(source);
    source_ = {held, held->source.get()};
    used_ = *std::move(used);
    terms_ = *terms;
    return absl::OkStatus();
  }

  absl::Status Answer(RequestContext& context,
                      std::shared_ptr<const Request> message) {
    const v1::QueryBlock& block = *BlockOf(*message);
    const auto problem = AttendBlockFromProto(block, *terms_, parts_.limits);
    if (!problem.ok()) return problem.status();

    auto ticket = parts_.gate.Enter(
        {.cost = source_->CostOf(*problem, parts_.limits, parts_.workers),
         .least_flops = LeastFlopsOfBlock(*problem),
         .of_stream = true},
        context);
    if (!ticket.ok()) return ticket.status();
    const auto heads = ticket->Compute(
        context, [message, problem = *problem,
                  source = source_](const ComputeContext& compute) {
          return source->Find(problem, compute);
        });
    if (!heads.ok()) return AtBlockPath(heads.status(), *problem);
    // A caller that is slow to read holds memory, and nobody else up.
    const MemoryReservation held =
        std::move(*ticket).Keep(MemoryOfParts(*problem, parts_.limits));
    return WriteParts(
        *heads, *problem, IdOf(block), context.timing(), parts_.limits,
        [this](const Response& part) { return stream_.Write(part); });
  }

 private:
  const UniversalSetParts& parts_;
  MessageStream<Request, Response>& stream_;

  // The memory goes after what it is of, and both after the last work.
  struct Held {
    MemoryReservation memory;
    std::shared_ptr<const AttendSource> source;
  };

  // Of the open stream.
  std::optional<UsedSet> used_;
  std::optional<AttendTerms> terms_;
  std::shared_ptr<const AttendSource> source_;
};

}  // namespace

absl::Status StreamAttendHandler::Handle(
    RequestContext& context, MessageStream<Request, Response>& stream) const {
  AttendCourse course(parts_, stream);
  return ServeBlocks(context, stream, parts_.gate, RulesOf(parts_), course);
}

}  // namespace steelyard::server
