// The sets of this server by name: their memory, their time, their users.
//
//   Claim   takes a name and memory before the work that makes the set
//   Keep    puts the set under the name
//   Find    a shared set; it goes on working when its name is deleted, and does
//           not expire while somebody has it
//
// Memory of sets is counted here, beside the budget of requests: sets stay for
// hours and would otherwise starve them. It is given back when the last user of
// a set is gone. A thread of the registry removes what has expired, so memory
// is released without traffic, too.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/admission/memory_budget.h"
#include "server/sets/stored_set.h"

namespace steelyard::server {

// After the last use.
inline constexpr absl::Duration kSetTtlDefault = absl::Minutes(10);
inline constexpr absl::Duration kSetTtlMax = absl::Hours(24);

// What is known of a set at one moment.
struct SetInfo {
  std::string name;  // "universalSets/{id}"
  SetDescription description;
  SetState state = SetState::kFinished;
  std::vector<Index> keys;  // one a head
  std::int64_t bytes = 0;   // reserved for it
  absl::Time create_time;
  absl::Time expire_time;  // unless it is used before
};

struct SetRequest {
  // [a-z][a-z0-9-]{0,62}, checked before. Unset: the server chooses one.
  std::optional<std::string> id;
  absl::Duration ttl = kSetTtlDefault;
  // The most that the set will hold.
  double bytes = 0.0;
};

class SetRegistry;

// A name that is taken and memory that is reserved, for a set to come. Gives
// both back unless Keep was called.
class SetClaim {
 public:
  SetClaim(SetClaim&& other) noexcept;
  SetClaim& operator=(SetClaim&& other) noexcept;
  ~SetClaim();

  const std::string& id() const;

  // What the set really holds, less or more than was asked for. ERRORS  those
  // of SetRegistry::Claim, and the claim is as it was.
  absl::Status Resize(double bytes);

  // Puts the set under the name; what it returns is a use of it.
  std::shared_ptr<StoredSet> Keep(std::unique_ptr<StoredSet> set) &&;

 private:
  friend class SetRegistry;
  struct Parts;
  explicit SetClaim(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

class SetRegistry {
 public:
  // `memory`: bytes of all sets together.
  explicit SetRegistry(std::int64_t memory);
  ~SetRegistry();
  SetRegistry(const SetRegistry&) = delete;
  SetRegistry& operator=(const SetRegistry&) = delete;

  // ERRORS  AlreadyExists. ResourceExhausted LIMIT_EXCEEDED: more than all
  //         memory for sets; MEMORY_BUDGET with a retry delay.
  absl::StatusOr<SetClaim> Claim(const SetRequest& request);

  // A use: the set stays for its ttl after the last copy of the pointer is
  // gone. Copies may outlive the registry. ERRORS  NotFound.
  absl::StatusOr<std::shared_ptr<StoredSet>> Find(const std::string& id);

  // No use. ERRORS  NotFound.
  absl::StatusOr<SetInfo> Get(const std::string& id) const;

  // No use. At most `limit` >= 1 sets by id, ascending, from the first one
  // after `after` (empty: the first); `more`: there are more.
  struct Page {
    std::vector<SetInfo> sets;
    bool more = false;
  };
  Page List(const std::string& after, std::size_t limit) const;

  // A kept set holds so much now; what is reserved for it never shrinks.
  // ERRORS  NotFound; those of Claim, and the reservation is as it was.
  absl::Status Grow(const std::string& id, double bytes);

  // The name is free at once. ERRORS  NotFound.
  absl::Status Delete(const std::string& id);

  const MemoryBudget& memory() const;

 private:
  friend class SetClaim;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace steelyard::server
