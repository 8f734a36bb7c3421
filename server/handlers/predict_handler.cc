#include "server/handlers/predict_handler.h"

#include <optional>

#include "absl/status/statusor.h"
#include "server/convert/prediction.h"
#include "server/handlers/block_stream.h"
#include "server/handlers/least_work.h"
#include "server/handlers/row_outbox.h"

namespace steelyard::server {
namespace {

using Write = absl::FunctionRef<bool(const v1::PredictResponse&)>;

// What the work owns: it may outlive the call.
class Prediction {
 public:
  Prediction(std::shared_ptr<const v1::PredictRequest> message,
             const PredictProblem& problem, const PredictParts& parts,
             MemoryReservation memory)
      : memory_(std::move(memory)),
        message_(std::move(message)),
        problem_(problem),
        predict_(parts.predict),
        outbox_(parts.limits.stream_queue_bytes) {}

  // On the thread that computes, never twice at once: rows up to the last one,
  // or until the outbox is full. Returns how many there are by now.
  absl::StatusOr<Index> Advance(const ComputeContext& context) {
    if (!opened_.has_value()) {
      for (const TensorInput* tensor :
           {&problem_.a(), &problem_.x(), &problem_.queries()}) {
        absl::Status loaded = tensor->Load(context.stop);
        if (!loaded.ok()) return loaded;
      }
      opened_.emplace(problem_);
    }
    KernelPredictionOptions options = problem_.options();
    options.first_row = done_;
    bool paused = false;
    const absl::Status predicted = predict_(
        opened_->a.matrix(), opened_->x.matrix(), opened_->queries.matrix(),
        options,
        [&](PredictedRows rows) {
          done_ = rows.first + rows.y.rows();
          paused = !outbox_.Put(std::move(rows)) && done_ < count();
          return paused ? absl::ResourceExhaustedError("the outbox is full")
                        : absl::OkStatus();
        },
        context);
    if (!paused && !predicted.ok()) return predicted;
    return done_;
  }

  // Rows of y.
  Index count() const { return problem_.queries().rows(); }
  RowOutbox& outbox() { return outbox_; }

 private:
  struct Opened {
    explicit Opened(const PredictProblem& problem)
        : a(problem.a()), x(problem.x()), queries(problem.queries()) {}
    const TensorMatrices a;
    const TensorMatrices x;
    const TensorMatrices queries;
  };

  // First, so that it goes after what it is of.
  const MemoryReservation memory_;
  const std::shared_ptr<const v1::PredictRequest> message_;
  const PredictProblem problem_;
  const decltype(PredictParts::predict) predict_;
  RowOutbox outbox_;
  std::optional<Opened> opened_;
  Index done_ = 0;
};

// On the transport thread: everything that waits. False: the stream is broken.
bool Send(RowOutbox& outbox, Write write) {
  v1::PredictResponse response;
  while (const std::optional<PredictedRows> rows = outbox.Take()) {
    ToProto(*rows, &response);
    if (!write(response)) return false;
  }
  return true;
}

// Admitted work, until all rows are computed or the outbox is full.
absl::StatusOr<Index> Compute(Gate& gate, RequestContext& context,
                              const Demand& demand,
                              const std::shared_ptr<Prediction>& prediction,
                              Write write) {
  auto ticket = gate.Enter(demand, context);
  if (!ticket.ok()) return ticket.status();
  return (*std::move(ticket))
      .ComputeAndLeave(context,
                       [prediction](const ComputeContext& compute) {
                         return prediction->Advance(compute);
                       },
                       {.progress = {}, .look = [&] {
                          return Send(prediction->outbox(), write);
                        }});
}

absl::Status PredictAll(const PredictParts& parts, RequestContext& context,
                        const std::shared_ptr<Prediction>& prediction,
                        Demand demand, Write write) {
  const Demand all = demand;
  Timing total;
  Index done = 0;
  while (done < prediction->count()) {
    RequestContext of_part(context.MessageCall());
    const absl::StatusOr<Index> now =
        Compute(parts.gate, of_part, demand, prediction, write);
    total.queue += of_part.timing().queue;
    total.compute += of_part.timing().compute;
    context.set_timing(total);
    if (!now.ok()) return now.status();
    done = *now;
    if (!Send(prediction->outbox(), write)) return GoneStatus(context);
    const double left = 1.0 - static_cast<double>(done) /
                                  static_cast<double>(prediction->count());
    demand = {.cost = {.flops = left * all.cost.flops},
              .least_flops = left * all.least_flops,
              .of_stream = true};
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PredictHandler::Handle(
    RequestContext& context, std::shared_ptr<const v1::PredictRequest> request,
    absl::FunctionRef<bool(const v1::PredictResponse&)> write) const {
  const auto problem =
      PredictProblemFromProto(*request, parts_.limits, parts_.matrices);
  if (!problem.ok()) return problem.status();
  context.set_shape(DescriptionOf(*problem));

  const absl::StatusOr<StreamSlots::Slot> slot = parts_.slots.Take();
  if (!slot.ok()) return slot.status();
  const Cost cost = CostOf(*problem, parts_.limits, parts_.workers);
  // Until the last row is sent, whoever computes meanwhile.
  auto memory = parts_.gate.Reserve(cost.bytes);
  if (!memory.ok()) return memory.status();
  const auto prediction = std::make_shared<Prediction>(
      std::move(request), *problem, parts_, *std::move(memory));
  const absl::Status predicted = PredictAll(
      parts_, context, prediction,
      {.cost = {.flops = cost.flops}, .least_flops = LeastFlops(*problem)},
      write);
  return AtProtoPath(predicted, *problem);
}

}  // namespace steelyard::server
