// What StreamQueryHeavy and StreamAttend do for an open and for a block, alike
// but for the `Kind` of answer:
//
//   Request, Response, Source, OpenTerms   types
//   Terms      open -> what holds for all blocks
//   Block      block -> problem
//   AtPath     an error of core -> at its field
//   Memory     of an answer on its way out
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "server/admission/gate.h"
#include "server/handlers/block_stream.h"
#include "server/handlers/least_work.h"
#include "server/handlers/universal_set_work.h"
#include "server/handlers/used_set.h"
#include "server/request/message_stream.h"
#include "server/request/request_context.h"

namespace steelyard::server {

template <typename Kind>
class QueryCourse {
 public:
  using Request = typename Kind::Request;
  using Response = typename Kind::Response;

  QueryCourse(const UniversalSetParts& parts,
              MessageStream<Request, Response>& stream)
      : parts_(parts), stream_(stream) {}

  absl::Status Open(RequestContext& context,
                    std::shared_ptr<const Request> message) {
    const auto& open = *OpenOf(*message);
    const auto id = SetIdFromProto(open);
    if (!id.ok()) return id.status();
    auto used = UseSet(parts_.registry, *id);
    if (!used.ok()) return used.status();
    const auto terms =
        Kind::Terms(open, FactsOf(*used), parts_.limits, parts_.matrices);
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
          return Source::Prepare(message, terms, used, compute);
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
    const auto problem = Kind::Block(block, *terms_, parts_.limits);
    if (!problem.ok()) return problem.status();

    auto ticket = parts_.gate.Enter(
        {.cost = source_->CostOf(*problem, parts_.limits, parts_.workers),
         .least_flops = LeastFlopsOfBlock(*problem),
         .of_stream = true},
        context);
    if (!ticket.ok()) return ticket.status();
    const auto answer = ticket->Compute(
        context, [message, problem = *problem,
                  source = source_](const ComputeContext& compute) {
          return source->Find(problem, compute);
        });
    if (!answer.ok()) return Kind::AtPath(answer.status(), *problem);
    // A caller that is slow to read holds memory, and nobody else up.
    const MemoryReservation held =
        std::move(*ticket).Keep(Kind::Memory(*answer, *problem, parts_.limits));
    return WriteParts(
        *answer, *problem, IdOf(block), context.timing(), parts_.limits,
        [this](const Response& part) { return stream_.Write(part); });
  }

 private:
  using Source = typename Kind::Source;
  using TermsOfKind = typename Kind::OpenTerms;

  const UniversalSetParts& parts_;
  MessageStream<Request, Response>& stream_;

  // The memory goes after what it is of, and both after the last work.
  struct Held {
    MemoryReservation memory;
    std::shared_ptr<const Source> source;
  };

  // Of the open stream.
  std::optional<UsedSet> used_;
  std::optional<TermsOfKind> terms_;
  std::shared_ptr<const Source> source_;
};

}  // namespace steelyard::server
