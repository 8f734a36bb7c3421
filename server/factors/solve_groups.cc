#include "server/factors/solve_groups.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "absl/cleanup/cleanup.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

using Clock = RequestContext::Clock;

// The work was stopped; what it works on is as good as before.
bool IsStop(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsAborted(status);
}

// Of a part of the work: its fractions lie in [from, to] of the whole.
ComputeContext PartOf(const ComputeContext& context, double from, double to) {
  return {.workers = context.workers,
          .stop = context.stop,
          .progress = [&context, from, to](ProgressUpdate update) {
            if (update.fraction.has_value()) {
              update.fraction = from + (to - from) * *update.fraction;
            }
            context.Report(update);
          }};
}

// In [0, 1]. The flops of a kernel's solve are those of all iterations that it
// may take: at most as much as the factor is expected.
double ShareOfFactor(const RegressionOptions& options, double prepare_flops,
                     double solve_flops) {
  const bool kernel = std::holds_alternative<AttentionKernelOptions>(options);
  const double solve =
      kernel ? std::min(solve_flops, prepare_flops) : solve_flops;
  return prepare_flops / (prepare_flops + solve);
}

}  // namespace

struct SolveGroups::Key {
  std::uint64_t serial = 0;
  bool small = false;  // which lane
  PowerFamily family = PowerFamily::kGramPower;
  int exponent = 0;
  std::optional<double> tolerance;
  int max_iterations = 0;
  std::optional<PowerMethod> method;
  std::optional<SketchKind> sketch;
  std::optional<Index> sketch_rows;
  std::uint64_t seed = 0;
  std::optional<int> terms;
  double ridge = 0.0;
  bool extended_output = false;
  auto operator<=>(const Key&) const = default;

  // Nothing: its group takes no others.
  static std::optional<Key> Of(const SharedSolve& request, bool small) {
    const auto* const power =
        std::get_if<PowerRegressionOptions>(&request.options);
    if (power == nullptr) return std::nullopt;
    const PowerRegressionOptions& options = *power;
    return Key{.serial = request.matrix.serial,
               .small = small,
               .family = options.family,
               .exponent = options.exponent,
               .tolerance = options.tolerance,
               .max_iterations = options.max_iterations,
               .method = options.method,
               .sketch = options.sketch.kind,
               .sketch_rows = options.sketch.rows,
               .seed = options.seed.value,
               .terms = options.terms,
               .ridge = options.ridge,
               .extended_output = options.extended_output};
  }
};

struct SolveGroups::Member {
  Clock::time_point arrival;
  std::optional<Clock::time_point> deadline;
  double least_seconds = 0.0;
  Index columns = 0;
  double solve_flops = 0.0;
  double prepare_flops = 0.0;  // 0: the factor was there when it came
  FactorCache::Factor factor;  // then
  decltype(SharedSolve::open_b) open_b;
  ProgressSink progress;
  std::shared_ptr<const void> place;

  // Written by the thread that computes before the job ends; with `refused`,
  // under the mutex and perhaps long before.
  std::optional<absl::StatusOr<Solution>> answer;
  bool refused = false;
  bool computed_factor = false;
};

struct SolveGroups::Group {
  RegressionOptions options;
  decltype(SharedSolve::open_a) open_a;
  Lane* lane = nullptr;
  double prepare_flops = 0.0;
  StopSource stop;
  std::shared_ptr<Job> job;

  // Guarded by SolveGroups::mutex_.
  std::optional<Key> key;  // while it is in open_
  Members members;         // who still waits for an answer
  Index columns = 0;
  double solve_flops = 0.0;
  bool submitted = false;
  FactorCache::Place place;
  std::optional<FactorCache::Grant> grant;

  bool Fits(const Member& member, bool small) const {
    if (columns + member.columns > kColumnsMax) return false;
    return !small || prepare_flops + solve_flops + member.solve_flops <=
                         Gate::kSmallFlops;
  }
  void Add(const std::shared_ptr<Member>& member) {
    columns += member->columns;
    solve_flops += member->solve_flops;
    members.push_back(member);
  }
  void Remove(const std::shared_ptr<Member>& member) {
    const auto found = std::find(members.begin(), members.end(), member);
    if (found == members.end()) return;
    columns -= member->columns;
    solve_flops -= member->solve_flops;
    members.erase(found);
  }
  void Tell(const ProgressUpdate& update) const {
    for (const std::shared_ptr<Member>& member : members) {
      if (member->progress) member->progress(update);
    }
  }
};

SolveGroups::SolveGroups(FactorCache& cache, int workers, FactorMath math)
    : cache_(cache), workers_(workers), math_(std::move(math)) {}

SolveGroups::~SolveGroups() = default;

// A member may have come when the work was under way.
Timing SolveGroups::TimingOf(const Job& job, const Member& member) {
  const Timing of_job = job.timing();
  const auto start = job.arrival() + of_job.queue;
  constexpr Clock::duration kNone = Clock::duration::zero();
  const auto late = std::max(kNone, member.arrival - start);
  return {.queue = std::max(kNone, start - member.arrival),
          .compute = std::max(kNone, of_job.compute - late)};
}

absl::StatusOr<SharedAnswer> SolveGroups::Solve(Gate& gate,
                                                RequestContext& context,
                                                SharedSolve request,
                                                Listener listener) {
  const auto member = std::make_shared<Member>();
  const absl::StatusOr<AdmissionTicket> ticket =
      Enter(gate, context, request, *member);
  if (!ticket.ok()) return ticket.status();
  member->progress = std::move(listener.progress);
  member->open_b = std::move(request.open_b);

  const std::shared_ptr<Group> group =
      JoinOrBegin(context, request, *ticket, member);
  if (listener.look) listener.look();
  const absl::Status awaited = AwaitOrLeave(
      context, {.progress = {}, .look = std::move(listener.look)},
      [&](std::chrono::milliseconds time) {
        if (group->job->WaitFor(time)) return true;
        const std::lock_guard lock(mutex_);
        return member->refused;
      },
      [&](StopReason reason) { Leave(group, member, reason); });
  if (!awaited.ok()) return awaited;
  {
    const std::lock_guard lock(mutex_);
    if (member->refused) return member->answer->status();
  }
  context.set_timing(TimingOf(*group->job, *member));
  if (absl::Status ran = group->job->Outcome(); !ran.ok()) return ran;
  if (!member->answer->ok()) return member->answer->status();
  return SharedAnswer{.solution = **std::move(member->answer),
                      .factor_cache_hit = !member->computed_factor};
}

absl::StatusOr<AdmissionTicket> SolveGroups::Enter(
    Gate& gate, const RequestContext& context, const SharedSolve& request,
    Member& member) const {
  // What is there now stays there for this request.
  member.factor = cache_.Find(request.matrix, request.options);
  const Cost solving =
      math_.CostOfSolving(request.shape, request.options, workers_);
  Demand demand{.cost = solving, .least_flops = request.least_flops};
  demand.cost.bytes += request.other_bytes;
  if (member.factor == nullptr) {
    const Cost preparing =
        math_.CostOfPreparing(request.shape, request.options, workers_);
    demand.cost += preparing;
    member.prepare_flops = preparing.flops;
  }
  if (member.factor != nullptr ||
      cache_.Coming(request.matrix, request.options)) {
    // What is left to do: x is written, at least.
    const bool kernel =
        std::holds_alternative<AttentionKernelOptions>(request.options);
    demand.least_flops =
        static_cast<double>(kernel ? request.shape.n : request.shape.d) *
        static_cast<double>(request.shape.k);
  }
  absl::StatusOr<AdmissionTicket> ticket = gate.Enter(demand, context);
  if (!ticket.ok()) return ticket;
  member.arrival = context.arrival();
  member.deadline = context.deadline();
  member.least_seconds = ticket->least_seconds();
  member.columns = request.shape.k;
  member.solve_flops = solving.flops;
  member.place = ticket->place();
  return ticket;
}

std::shared_ptr<SolveGroups::Group> SolveGroups::JoinOrBegin(
    const RequestContext& context, const SharedSolve& request,
    const AdmissionTicket& ticket, const std::shared_ptr<Member>& member) {
  std::optional<Key> key;
  if (!context.time_limit().has_value()) {
    key = Key::Of(request, ticket.small());
  }
  std::shared_ptr<Group> group;
  {
    const std::lock_guard lock(mutex_);
    const auto found = key.has_value() ? open_.find(*key) : open_.end();
    if (found != open_.end()) {
      group = found->second;
      if (group->Fits(*member, ticket.small())) {
        group->Add(member);
        if (!group->submitted && member->progress) {
          member->progress({.phase = "wait"});
        }
        return group;
      }
      TakeNoMore(*group);
    }
    group = Begin(context, request, ticket);
    group->prepare_flops = member->prepare_flops;
    group->Add(member);
    if (key.has_value()) {
      open_.emplace(*key, group);
      group->key = key;
    }
  }
  if (member->factor != nullptr) {
    Proceed(group, std::move(member->factor));
  } else {
    StandInLine(group, request);
  }
  return group;
}

std::shared_ptr<SolveGroups::Group> SolveGroups::Begin(
    const RequestContext& context, const SharedSolve& request,
    const AdmissionTicket& ticket) {
  auto group = std::make_shared<Group>();
  group->options = request.options;
  group->open_a = request.open_a;
  group->lane = &ticket.lane();
  // The job owns the group until it has ended; members have deadlines and
  // memory of their own.
  group->job = std::make_shared<Job>(Job::Plan{
      .work = [this,
               group](const ComputeContext& compute) { Run(*group, compute); },
      .progress =
          [this, group](const ProgressUpdate& update) {
            const std::lock_guard lock(mutex_);
            group->Tell(update);
          },
      .stop = group->stop,
      .arrival = context.arrival(),
      .deadline = {},
      .time_limit = context.time_limit(),
      .least_seconds = 0.0,
      .reservation = {}});
  return group;
}

void SolveGroups::StandInLine(const std::shared_ptr<Group>& group,
                              const SharedSolve& request) {
  FactorCache::Place place = cache_.Ask(
      request.matrix, request.options, [this, group](FactorCache::Grant grant) {
        Proceed(group, std::move(grant));
      });
  const std::lock_guard lock(mutex_);
  if (group->submitted) return;
  group->place = std::move(place);
  group->Tell({.phase = "wait"});
}

void SolveGroups::Proceed(const std::shared_ptr<Group>& group,
                          FactorCache::Grant grant) {
  const auto* const error = std::get_if<absl::Status>(&grant);
  {
    const std::lock_guard lock(mutex_);
    // Everybody has left while the grant was on its way: the next one gets it.
    if (group->members.empty()) return;
    group->submitted = true;
    if (error != nullptr) {
      TakeNoMore(*group);
    } else {
      group->Tell({.phase = "queue"});
      group->grant.emplace(std::move(grant));
    }
  }
  if (error != nullptr) {
    group->job->Refuse(*error);
  } else {
    group->lane->Submit(group->job);
  }
}

void SolveGroups::Leave(const std::shared_ptr<Group>& group,
                        const std::shared_ptr<Member>& member,
                        StopReason reason) {
  FactorCache::Place place;  // left without the mutex
  bool submitted = false;
  {
    const std::lock_guard lock(mutex_);
    group->Remove(member);
    if (!group->members.empty()) return;
    TakeNoMore(*group);
    submitted = group->submitted;
    place = std::move(group->place);
  }
  group->stop.RequestStop(reason);
  if (submitted) {
    group->lane->Abandon(group->job);
  } else {
    group->job->Refuse(absl::CancelledError("nobody waits for this group"));
  }
}

void SolveGroups::TakeNoMore(Group& group) {
  if (!group.key.has_value()) return;
  open_.erase(*group.key);
  group.key.reset();
}

SolveGroups::Members SolveGroups::Close(Group& group) {
  const std::lock_guard lock(mutex_);
  TakeNoMore(group);
  return group.members;
}

void SolveGroups::Run(Group& group, const ComputeContext& context) {
  std::optional<FactorCache::Grant> grant = Start(group);
  if (!grant.has_value()) return;
  // Also when something throws: nobody joins what has ended.
  const absl::Cleanup closing = [&] { Close(group); };
  const bool ours = std::holds_alternative<FactorCache::Turn>(*grant);
  double share = 0.0;  // of the factor in the work
  if (ours) {
    const std::lock_guard lock(mutex_);
    share =
        ShareOfFactor(group.options, group.prepare_flops, group.solve_flops);
  }
  const auto fail = [&](const absl::Status& status) {
    const bool cut_off = absl::IsAborted(status) &&
                         context.stop.reason() == StopReason::kDraining;
    for (const auto& member : Close(group)) {
      member->answer = cut_off ? DrainingError() : status;
    }
  };

  const auto a = group.open_a(context);
  if (!a.ok()) return fail(a.status());
  const absl::StatusOr<FactorCache::Factor> factor =
      Obtain(*std::move(grant), group, **a, PartOf(context, 0.0, share));
  const bool out_of_time =
      absl::IsAborted(factor.status()) && !context.stop.answer_unwanted();
  if (!factor.ok() && !out_of_time) return fail(factor.status());
  const Members members = Close(group);
  if (members.empty()) return;
  members.front()->computed_factor = ours;
  SolveFor(members, factor.value_or(nullptr), **a, group.options,
           PartOf(context, share, 1.0));
}

// Who is out of time by now is refused, as by Job::Run.
std::optional<FactorCache::Grant> SolveGroups::Start(Group& group) {
  const Clock::time_point now = Clock::now();
  std::optional<FactorCache::Grant> dropped;  // without the mutex
  const std::lock_guard lock(mutex_);
  for (const std::shared_ptr<Member>& member : Members(group.members)) {
    if (!member->deadline.has_value()) continue;
    const double remaining =
        std::chrono::duration<double>(*member->deadline - now).count();
    if (remaining >= member->least_seconds) continue;
    member->answer = DeadlineTooShortError(member->least_seconds, remaining);
    member->refused = true;
    group.Remove(member);
  }
  std::optional<FactorCache::Grant> grant = std::move(group.grant);
  group.grant.reset();
  if (!group.members.empty()) return grant;
  TakeNoMore(group);
  if (grant.has_value()) dropped.emplace(*std::move(grant));
  return std::nullopt;
}

absl::StatusOr<FactorCache::Factor> SolveGroups::Obtain(
    FactorCache::Grant grant, const Group& group, const DenseOrCsr& a,
    const ComputeContext& context) {
  if (auto* const kept = std::get_if<FactorCache::Factor>(&grant)) {
    return std::move(*kept);
  }
  auto& turn = std::get<FactorCache::Turn>(grant);
  absl::StatusOr<RegressionFactor> prepared =
      math_.Prepare(a, group.options, context);
  if (prepared.ok()) return std::move(turn).Finish(*std::move(prepared));
  if (!IsStop(prepared.status())) std::move(turn).Fail(prepared.status());
  return prepared.status();
}

void SolveGroups::SolveFor(const Members& members,
                           const FactorCache::Factor& factor,
                           const DenseOrCsr& a,
                           const RegressionOptions& options,
                           const ComputeContext& context) {
  std::vector<std::shared_ptr<const AnyMatrixView>> opened;
  std::vector<AnyMatrixView> bs;
  Members asking;
  for (const std::shared_ptr<Member>& member : members) {
    auto b = member->open_b(context);
    if (!b.ok()) {
      member->answer = b.status();
    } else if (factor == nullptr) {
      member->answer = math_.SolveAlone(a, **b, options, context);
    } else {
      asking.push_back(member);
      bs.push_back(**b);
      opened.push_back(*std::move(b));
    }
  }
  if (bs.empty()) return;
  std::vector<absl::StatusOr<Solution>> answers =
      math_.Solve(factor->prepared, a, bs, options, context);
  for (std::size_t i = 0; i < asking.size(); ++i) {
    asking[i]->answer = std::move(answers[i]);
  }
}

}  // namespace steelyard::server
