#include "server/admission/lane.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

// Threads that may stand in for abandoned work at once.
constexpr int kStandInsMax = 8;

// Weight of the newest job in the average.
constexpr double kNewestWeight = 0.1;

}  // namespace

struct Lane::State {
  State(int runners_count, const Workers& lane_workers)
      : runners(runners_count), workers(lane_workers) {}

  const int runners;
  const Workers& workers;

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::shared_ptr<Job>> queue;
  std::map<Job*, std::shared_ptr<Job>> running;
  std::map<Job*, std::shared_ptr<Job>> abandoned;  // of those that run
  int threads = 0;
  int idle = 0;
  bool refusing = false;  // new jobs
  bool closing = false;
  double average_seconds = 0.0;

  int Abandoned() const { return static_cast<int>(abandoned.size()); }

  // With the mutex held. False: the system has no thread to give.
  static bool AddThread(const std::shared_ptr<State>& state);
  // With the mutex held: a thread in the place of abandoned work, if any.
  static void StandIn(const std::shared_ptr<State>& state);
  static void TakeJobs(State& state);
  void Ended(Job* job);
};

bool Lane::State::AddThread(const std::shared_ptr<State>& state) {
  try {
    std::thread([state] { TakeJobs(*state); }).detach();
  } catch (const std::system_error&) {
    return false;
  }
  ++state->threads;
  return true;
}

void Lane::State::StandIn(const std::shared_ptr<State>& state) {
  const bool due = static_cast<int>(state->queue.size()) > state->idle &&
                   state->threads - state->Abandoned() < state->runners &&
                   state->threads < state->runners + kStandInsMax;
  // Without a thread the queue waits for the abandoned work.
  if (due) (void)AddThread(state);
}

void Lane::State::TakeJobs(State& state) {
  std::unique_lock lock(state.mutex);
  // A stand-in leaves when the work it stood in for has ended.
  while (!state.closing && state.threads - state.Abandoned() <= state.runners) {
    if (state.queue.empty()) {
      ++state.idle;
      state.changed.wait(lock);
      --state.idle;
      continue;
    }
    std::shared_ptr<Job> job = std::move(state.queue.front());
    state.queue.pop_front();
    state.running.emplace(job.get(), job);
    lock.unlock();
    job->Run(state.workers);
    lock.lock();
    state.Ended(job.get());
  }
  --state.threads;
  state.changed.notify_all();
}

void Lane::State::Ended(Job* job) {
  running.erase(job);
  abandoned.erase(job);
  const double seconds =
      std::chrono::duration<double>(job->timing().compute).count();
  average_seconds =
      average_seconds == 0.0
          ? seconds
          : (1.0 - kNewestWeight) * average_seconds + kNewestWeight * seconds;
}

Lane::Lane(int runners, const Workers& workers)
    : state_(std::make_shared<State>(runners, workers)) {
  const std::lock_guard lock(state_->mutex);
  for (int i = 0; i < runners; ++i) {
    if (!State::AddThread(state_)) throw std::bad_alloc();
  }
}

Lane::~Lane() {
  Clear(StopReason::kCancelled);
  std::unique_lock lock(state_->mutex);
  state_->closing = true;
  state_->changed.notify_all();
  state_->changed.wait(lock, [this] { return state_->threads == 0; });
}

void Lane::Submit(std::shared_ptr<Job> job) {
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->refusing) {
      const auto later = std::upper_bound(
          state_->queue.begin(), state_->queue.end(), job,
          [](const std::shared_ptr<Job>& a, const std::shared_ptr<Job>& b) {
            return a->arrival() < b->arrival();
          });
      state_->queue.insert(later, std::move(job));
      State::StandIn(state_);
      state_->changed.notify_one();
      return;
    }
  }
  job->Refuse(DrainingError());  // admitted before the interrupt
}

void Lane::Abandon(const std::shared_ptr<Job>& job) {
  {
    const std::lock_guard lock(state_->mutex);
    const auto waiting =
        std::find(state_->queue.begin(), state_->queue.end(), job);
    if (waiting == state_->queue.end()) {
      if (state_->running.count(job.get()) == 0) return;  // it has just ended
      state_->abandoned.emplace(job.get(), job);
      State::StandIn(state_);
      return;
    }
    state_->queue.erase(waiting);
  }
  job->Refuse(absl::CancelledError("nobody waits for this request"));
}

void Lane::Interrupt() { Clear(StopReason::kDraining); }

// Jobs are ended without the mutex: what they hold may be large.
void Lane::Clear(StopReason reason) {
  std::deque<std::shared_ptr<Job>> waiting;
  {
    const std::lock_guard lock(state_->mutex);
    state_->refusing = true;
    waiting.swap(state_->queue);
    for (const auto& [key, job] : state_->running) job->Stop(reason);
  }
  for (const auto& job : waiting) job->Refuse(DrainingError());
}

int Lane::runners() const { return state_->runners; }

int Lane::abandoned() const {
  const std::lock_guard lock(state_->mutex);
  return state_->Abandoned();
}

int Lane::running() const {
  const std::lock_guard lock(state_->mutex);
  return static_cast<int>(state_->running.size());
}

double Lane::average_seconds() const {
  const std::lock_guard lock(state_->mutex);
  return state_->average_seconds;
}

}  // namespace steelyard::server
