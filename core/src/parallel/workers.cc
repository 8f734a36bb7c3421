#include "steelyard/workers.h"

#include "absl/base/macros.h"
#include "parallel/tbb_arena.h"

#if defined(__SANITIZE_THREAD__)
extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#else
namespace {
// NOLINTBEGIN(bugprone-reserved-identifier): the names of the interface.
inline void __tsan_acquire(void*) {}
inline void __tsan_release(void*) {}
// NOLINTEND(bugprone-reserved-identifier)
}  // namespace
#endif

namespace steelyard {
namespace {

// One ParallelFor. Fork orders what came before it before every body; join
// orders every body before what comes after.
struct Job {
  const StopToken* stop;
  const absl::FunctionRef<void(Index)>* body;
  char fork = 0;
  char join = 0;
};

// Also when a body throws.
class JoinOnExit {
 public:
  using Mark = void (*)(void*);
  JoinOnExit(Job* job, Mark mark) : job_(job), mark_(mark) {}
  ~JoinOnExit() { mark_(&job_->join); }
  JoinOnExit(const JoinOnExit&) = delete;
  JoinOnExit& operator=(const JoinOnExit&) = delete;

 private:
  Job* job_;
  Mark mark_;
};

void RunTask(void* context, Index task) {
  auto* job = static_cast<Job*>(context);
  __tsan_acquire(&job->fork);
  const JoinOnExit join(job, __tsan_release);
  if (!job->stop->stop_requested()) (*job->body)(task);
}

}  // namespace

struct Workers::Arena {
  explicit Arena(int threads)
      : count(threads), tbb(CreateTbbArena(threads), DestroyTbbArena) {}
  int count;
  std::unique_ptr<TbbArena, void (*)(TbbArena*)> tbb;
};

Workers::Workers(int count) : arena_(std::make_unique<Arena>(count)) {
  ABSL_ASSERT(count >= 1);
}

Workers::~Workers() = default;

int Workers::count() const { return arena_->count; }

void Workers::ParallelFor(Index tasks, const StopToken& stop,
                          absl::FunctionRef<void(Index task)> body) const {
  Job job{&stop, &body};
  __tsan_release(&job.fork);
  const JoinOnExit join(&job, __tsan_acquire);
  if (tasks == 1 || arena_->count == 1) {
    for (Index task = 0; task < tasks; ++task) RunTask(&job, task);
  } else if (tasks > 1) {
    RunInTbbArena(arena_->tbb.get(), tasks, RunTask, &job);
  }
}

}  // namespace steelyard
