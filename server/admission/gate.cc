#include "server/admission/gate.h"

#include <algorithm>
#include <cmath>

#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

// Flops a second of one worker that no processor of today exceeds: two 512-bit
// FMA units at 4 GHz are 1.3e11 in float64 and 2.6e11 in float32. A refusal
// must not be wrong; a deadline that is missed in spite of admission is the
// lesser evil.
constexpr double kRateOfOneWorker = 3e11;

// Bounds of a suggested retry.
constexpr double kRetryMinSeconds = 0.1;
constexpr double kRetryMaxSeconds = 10.0;

double Seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

struct AdmissionTicket::Place {
  Place(Gate* admitting_gate, Gate::LaneWithPlaces* taken_lane,
        bool is_of_stream)
      : gate(admitting_gate), lane(taken_lane), of_stream(is_of_stream) {}
  ~Place() {
    reservation = {};  // before somebody waits for a place is told of one
    gate->LeavePlace(*lane, of_stream);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  Gate* const gate;
  Gate::LaneWithPlaces* const lane;
  const bool of_stream;
  MemoryReservation reservation;
  double least_seconds = 0.0;
};

absl::Status AdmissionTicket::Run(std::shared_ptr<Place> place,
                                  RequestContext& context, Job::Work work,
                                  Listener listener) {
  Lane& lane = place->lane->lane;
  const double least_seconds = place->least_seconds;
  const Listener look{.progress = {}, .look = std::move(listener.look)};
  const auto job =
      std::make_shared<Job>(Job::Plan{.work = std::move(work),
                                      .progress = std::move(listener.progress),
                                      .stop = context.stop(),
                                      .arrival = context.arrival(),
                                      .deadline = context.deadline(),
                                      .time_limit = context.time_limit(),
                                      .least_seconds = least_seconds,
                                      .reservation = std::move(place)});
  lane.Submit(job);
  const absl::Status awaited = AwaitOrLeave(
      context, look,
      [&](std::chrono::milliseconds time) { return job->WaitFor(time); },
      [&](StopReason) { lane.Abandon(job); });
  if (!awaited.ok()) return awaited;
  context.set_timing(job->timing());
  return job->Outcome();
}

Lane& AdmissionTicket::lane() const { return place_->lane->lane; }

bool AdmissionTicket::small() const {
  return place_->lane == &place_->gate->small_;
}

std::shared_ptr<const void> AdmissionTicket::place() const { return place_; }

double AdmissionTicket::least_seconds() const { return place_->least_seconds; }

MemoryReservation AdmissionTicket::Keep(double bytes) && {
  // The work has ended, so nobody else holds the place.
  MemoryReservation kept = std::move(place_->reservation);
  place_.reset();
  kept.ShrinkTo(static_cast<std::int64_t>(
      std::ceil(std::min(bytes, static_cast<double>(kept.bytes())))));
  return kept;
}

absl::Status AdmissionTicket::Explained(const absl::Status& status,
                                        const RequestContext& context) {
  const bool cut_off =
      context.stop().token().reason() == StopReason::kDraining &&
      status.code() == absl::StatusCode::kAborted;
  return cut_off ? DrainingError() : status;
}

Gate::Gate(const Workers& workers, const Settings& settings)
    : queue_length_(settings.queue_length),
      rate_of_all_workers_(kRateOfOneWorker * workers.count()),
      memory_(settings.memory_budget),
      large_(1, workers),
      small_(workers.count(), one_worker_) {}

absl::StatusOr<AdmissionTicket> Gate::Enter(const Demand& demand,
                                            const RequestContext& context) {
  const Cost& cost = demand.cost;
  if (demand.of_stream ? interrupted_.load() : draining_.load()) {
    return DrainingError();
  }
  const absl::Status affordable = CheckBudget(cost.bytes);
  if (!affordable.ok()) return affordable;
  const double least = LeastSeconds(demand, context);
  if (context.deadline().has_value()) {
    const double remaining =
        Seconds(*context.deadline() - RequestContext::Clock::now());
    if (remaining < least) {
      return DeadlineTooShortError(least, remaining);
    }
  }
  const absl::StatusOr<LaneWithPlaces*> lane = TakePlace(demand);
  if (!lane.ok()) return lane.status();
  auto place =
      std::make_shared<AdmissionTicket::Place>(this, *lane, demand.of_stream);
  place->least_seconds = least;
  absl::StatusOr<MemoryReservation> reservation =
      TakeMemory(cost.bytes, **lane);
  if (!reservation.ok()) return reservation.status();
  place->reservation = *std::move(reservation);
  return AdmissionTicket(std::move(place));
}

absl::StatusOr<MemoryReservation> Gate::Reserve(double bytes) {
  if (draining_.load()) return DrainingError();
  const absl::Status affordable = CheckBudget(bytes);
  if (!affordable.ok()) return affordable;
  return TakeMemory(bytes, small_);
}

absl::Status Gate::CheckBudget(double bytes) const {
  const auto budget = static_cast<double>(memory_.total());
  if (bytes <= budget) return absl::OkStatus();
  return LimitExceededError({.field = "",
                             .what = "the memory of this request in bytes",
                             .limit = "memory_budget_bytes",
                             .value = bytes,
                             .max = budget});
}

absl::StatusOr<MemoryReservation> Gate::TakeMemory(double bytes,
                                                   const LaneWithPlaces& lane) {
  std::optional<MemoryReservation> reservation =
      memory_.TryReserve(static_cast<std::int64_t>(std::ceil(bytes)));
  if (reservation.has_value()) return *std::move(reservation);
  return MemoryBudgetError({.needed = bytes,
                            .reserved = static_cast<double>(memory_.reserved()),
                            .budget = static_cast<double>(memory_.total())},
                           RetryDelay(lane, 1));
}

void Gate::Interrupt() {
  StopAdmitting();
  interrupted_.store(true);
  large_.lane.Interrupt();
  small_.lane.Interrupt();
}

Gate::LaneWithPlaces& Gate::LaneFor(const Demand& demand) {
  const bool nobody_else = large_.places == 0 && large_.stream_places == 0;
  if (demand.of_stream && nobody_else) return large_;
  return demand.cost.flops <= kSmallFlops ? small_ : large_;
}

double Gate::LeastSeconds(const Demand& demand,
                          const RequestContext& context) const {
  const double seconds = demand.least_flops / rate_of_all_workers_;
  if (!context.time_limit().has_value()) return seconds;
  return std::min(seconds, Seconds(*context.time_limit()));
}

std::int64_t Gate::LaneWithPlaces::Waiting(int more) const {
  return std::max(0, places + more - lane.runners() - lane.abandoned());
}

absl::StatusOr<Gate::LaneWithPlaces*> Gate::TakePlace(const Demand& demand) {
  const std::lock_guard lock(mutex_);
  LaneWithPlaces& lane = LaneFor(demand);
  if (demand.of_stream) {
    ++lane.stream_places;
    return &lane;
  }
  const std::int64_t waiting = large_.Waiting(0) + small_.Waiting(0);
  if (lane.Waiting(1) > 0 && waiting >= queue_length_) {
    return QueueFullError(waiting, RetryDelay(lane, waiting));
  }
  ++lane.places;
  return &lane;
}

void Gate::LeavePlace(LaneWithPlaces& lane, bool of_stream) {
  const std::lock_guard lock(mutex_);
  --(of_stream ? lane.stream_places : lane.places);
}

std::chrono::milliseconds Gate::RetryDelay(const LaneWithPlaces& lane,
                                           std::int64_t waiting) {
  const double seconds =
      lane.lane.average_seconds() *
      static_cast<double>(std::max<std::int64_t>(1, waiting)) /
      lane.lane.runners();
  return std::chrono::milliseconds(static_cast<std::int64_t>(
      1000.0 * std::clamp(seconds, kRetryMinSeconds, kRetryMaxSeconds)));
}

}  // namespace steelyard::server
