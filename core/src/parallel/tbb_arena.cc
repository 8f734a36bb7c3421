#include "parallel/tbb_arena.h"

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace steelyard {

namespace {

// TBB caps its threads at the processors it sees, or at the smallest limit that
// anybody set: one limit for the process, far above any flag. Threads are only
// made when an arena wants them.
constexpr std::size_t kThreadsMax = 1024;

}  // namespace

struct TbbArena {
  tbb::task_arena arena;
};

TbbArena* CreateTbbArena(int threads) {
  static const tbb::global_control limit(
      tbb::global_control::max_allowed_parallelism, kThreadsMax);
  return new TbbArena{tbb::task_arena(threads)};
}

void DestroyTbbArena(TbbArena* arena) { delete arena; }

void RunInTbbArena(TbbArena* arena, std::int64_t tasks,
                   void (*function)(void* context, std::int64_t task),
                   void* context) {
  arena->arena.execute([&] {
    tbb::parallel_for(
        tbb::blocked_range<std::int64_t>(0, tasks, 1),
        [&](const tbb::blocked_range<std::int64_t>& range) {
          for (std::int64_t task = range.begin(); task < range.end(); ++task) {
            function(context, task);
          }
        },
        tbb::simple_partitioner());
  });
}

}  // namespace steelyard
