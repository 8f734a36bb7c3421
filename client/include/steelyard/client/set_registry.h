// The sets that a server keeps. The calls are in client.h.
//
// A name is "universalSets/{id}"; every call takes the id alone too.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "steelyard/client/options.h"
#include "steelyard/client/score_function.h"
#include "steelyard/client/universal_set.h"

namespace steelyard::client {

enum class SetState {
  kUnknown,    // Of a newer server.
  kReceiving,  // A stream is attached.
  kSuspended,  // No stream is attached; ResumeKeyStream goes on.
  kFinished,   // Read-only.
};

struct SetInfo {
  std::string name;  // "universalSets/{id}"
  SetState state = SetState::kUnknown;
  std::int64_t heads = 0;
  std::int64_t columns = 0;
  std::vector<std::int64_t> next_offset;  // Keys received, one a head.
  double epsilon = 0.0;
  std::optional<ScoreFunction> function;
  bool causal = false;
  std::int64_t size_bytes = 0;  // In the server's memory.
  std::chrono::system_clock::time_point create_time;
  // When it goes, unless it is used before.
  std::chrono::system_clock::time_point expire_time;
};

// What MergeStates merges: at least one of the two.
struct MergeInputs {
  // Streamed sets of this server. They stay as they are.
  std::vector<std::string> names = {};
  // Exported states, whole; of any server. Not copied.
  std::vector<std::string_view> states = {};
};

}  // namespace steelyard::client
