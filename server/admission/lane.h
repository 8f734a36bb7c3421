// Threads that take jobs in the order of their arrival, whenever they were
// submitted: work that waited elsewhere first (for a factor) has its turn.
//
// Work that was abandoned (the caller is gone, the work cannot stop at once)
// does not hold up the lane: another thread takes its place until it has ended.
#pragma once

#include <memory>

#include "server/admission/job.h"
#include "steelyard/workers.h"

namespace steelyard::server {

class Lane {
 public:
  // `runners` jobs at a time, each computing with `workers`, which must outlive
  // the lane.
  Lane(int runners, const Workers& workers);
  // Cancels every job and waits for those that run.
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  void Submit(std::shared_ptr<Job> job);

  // Nobody waits for the job any more: leaves the queue if it has not begun.
  void Abandon(const std::shared_ptr<Job>& job);

  // Refuses jobs that have not begun as draining and asks the others for their
  // best answer so far.
  void Interrupt();

  int runners() const;
  // Jobs that run though nobody waits for them.
  int abandoned() const;
  // Jobs that run.
  int running() const;
  // Mean duration of the work, the last jobs weighing most; 0: none has ended.
  double average_seconds() const;

 private:
  void Clear(StopReason reason);

  // Outlives the lane's last thread.
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace steelyard::server
