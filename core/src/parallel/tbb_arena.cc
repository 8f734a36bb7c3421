#include "parallel/tbb_arena.h"

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace steelyard {

struct TbbArena {
  // TBB caps its threads at the processors it sees; the flag may ask for more.
  tbb::global_control limit;
  tbb::task_arena arena;
};

TbbArena* CreateTbbArena(int threads) {
  return new TbbArena{
      tbb::global_control(tbb::global_control::max_allowed_parallelism,
                          static_cast<std::size_t>(threads)),
      tbb::task_arena(threads)};
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
