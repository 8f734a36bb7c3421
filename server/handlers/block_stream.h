// The course of StreamQueryHeavy and StreamAttend: an open, then blocks, each
// answered before the next is computed. The transport reads the next message
// meanwhile.
#pragma once

#include <chrono>
#include <memory>

#include "absl/status/status.h"
#include "server/admission/gate.h"
#include "server/admission/stream_slots.h"
#include "server/convert/query_blocks.h"
#include "server/convert/query_rows.h"
#include "server/errors/errors.h"
#include "server/handlers/universal_set_work.h"
#include "server/request/message_stream.h"
#include "server/request/request_context.h"

namespace steelyard::server {

// What all streams of blocks obey.
struct BlockStreamRules {
  // A stream on which nothing comes for so long is ended; 0: never.
  std::chrono::milliseconds idle{0};
  // Of all streams together.
  StreamSlots& slots;
};

inline BlockStreamRules RulesOf(const UniversalSetParts& parts) {
  return {.idle = absl::ToChronoMilliseconds(parts.stream_idle),
          .slots = parts.slots};
}

// How often a stream on which nothing comes looks whether the server drains.
inline constexpr std::chrono::milliseconds kStreamLook{50};

// The caller has gone, or its time is up.
absl::Status GoneStatus(const RequestContext& context);

// Waits for the next message: kMessage, or kEnd. ERRORS  Unavailable DRAINING,
// Aborted STREAM_IDLE, those of MessageStream::Read.
template <typename Request, typename Response>
absl::StatusOr<Arrival> NextMessage(MessageStream<Request, Response>& stream,
                                    const Gate& gate,
                                    const BlockStreamRules& rules,
                                    std::shared_ptr<Request>* message) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  while (true) {
    const absl::StatusOr<Arrival> arrival = stream.Read(kStreamLook, message);
    if (!arrival.ok() || *arrival != Arrival::kNothing) return arrival;
    if (gate.draining()) return DrainingError();
    if (rules.idle.count() > 0 && Clock::now() - begin >= rules.idle) {
      return StreamIdleError(rules.idle);
    }
  }
}

// `Course` has
//   Status Open(RequestContext&, shared_ptr<const Request>)
//   Status Answer(RequestContext&, shared_ptr<const Request>): the parts of the
//     block's answer are written when it returns.
// Both get a context of their message's own. Errors about fields of the block
// name it already; those about the open get its name here.
template <typename Request, typename Response, typename Course>
absl::Status ServeBlocks(RequestContext& context,
                         MessageStream<Request, Response>& stream,
                         const Gate& gate, const BlockStreamRules& rules,
                         Course& course) {
  const absl::StatusOr<StreamSlots::Slot> slot = rules.slots.Take();
  if (!slot.ok()) return slot.status();
  bool opened = false;
  Timing total;
  while (true) {
    std::shared_ptr<Request> message;
    const absl::StatusOr<Arrival> arrival =
        NextMessage(stream, gate, rules, &message);
    if (!arrival.ok()) return arrival.status();
    if (*arrival == Arrival::kEnd) {
      if (context.cancelled()) return GoneStatus(context);
      return opened ? absl::OkStatus() : NeverOpenedError();
    }
    const bool is_open = OpenOf(*message) != nullptr;
    const absl::Status order =
        CheckOrder(is_open, BlockOf(*message) != nullptr, opened);
    if (!order.ok()) return order;
    RequestContext of_message(context.MessageCall());
    const absl::Status served =
        is_open ? InMessage(course.Open(of_message, std::move(message)), "open")
                : course.Answer(of_message, std::move(message));
    if (is_open) context.set_shape(of_message.shape());
    total.queue += of_message.timing().queue;
    total.compute += of_message.timing().compute;
    context.set_timing(total);
    if (!served.ok()) return served;
    opened = true;
  }
}

}  // namespace steelyard::server
