// The only door to oneTBB: a function pointer and a context, nothing else, so
// that the source behind it can be compiled without TSan instrumentation.
#pragma once

#include <cstdint>

namespace steelyard {

struct TbbArena;

TbbArena* CreateTbbArena(int threads);
void DestroyTbbArena(TbbArena* arena);

// Calls function(context, task) for 0 <= task < tasks in any order; returns
// when all calls have. Exceptions of a body arrive here.
void RunInTbbArena(TbbArena* arena, std::int64_t tasks,
                   void (*function)(void* context, std::int64_t task),
                   void* context);

}  // namespace steelyard
