// The threads that compute.
//
// Work is cut into tasks by the sizes of the problem alone, each task writes
// its own slot, and slots are added in a fixed order afterwards: the bits of an
// answer do not depend on the number of threads.
#pragma once

#include <memory>

#include "absl/functional/function_ref.h"
#include "steelyard/matrix_view.h"
#include "steelyard/stop_token.h"

namespace steelyard {

class Workers {
 public:
  // `count` >= 1 threads, the calling one included.
  explicit Workers(int count);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int count() const;

  // Calls body(task) for task = 0 .. tasks-1, each once, in any order, on any
  // of the threads; returns when all have returned. Once `stop` is requested
  // no further task starts (tasks that run go on to their end), so the caller
  // must look at `stop` before it uses the results. What a body throws
  // (std::bad_alloc) is thrown here. Calls may be nested and may come from
  // several threads at once.
  void ParallelFor(Index tasks, const StopToken& stop,
                   absl::FunctionRef<void(Index task)> body) const;

 private:
  struct Arena;
  std::unique_ptr<Arena> arena_;
};

}  // namespace steelyard
