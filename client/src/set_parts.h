// Universal sets that come in parts (UniversalSet.more_follows) into whole
// ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "connection.h"
#include "steelyard/client/options.h"
#include "steelyard/client/universal_set.h"
#include "steelyard/v1/universal_set.pb.h"

namespace steelyard::client {

class SetParts {
 public:
  // The next message, in order.
  // ERRORS  Internal: another head goes on where one was to.
  absl::Status Add(const v1::UniversalSet& part);

  // Whole sets so far.
  std::size_t complete() const { return sets_.heads.size() - (open_ ? 1 : 0); }

  // After the last message.
  // ERRORS  Internal: the last set is not whole; lists of different lengths.
  absl::StatusOr<UniversalSets> Finish();

 private:
  UniversalSets sets_;
  bool open_ = false;  // The last set goes on.
};

// ReadUniversalSet, whole.
absl::StatusOr<UniversalSets> ReadSets(const Connection& connection,
                                       const std::string& name,
                                       const std::vector<std::int64_t>& heads,
                                       const CallOptions& call);

}  // namespace steelyard::client
