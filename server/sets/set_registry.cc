#include "server/sets/set_registry.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "server/errors/errors.h"
#include "server/sets/set_name.h"

namespace steelyard::server {
namespace {

using Clock = std::chrono::steady_clock;

// Bytes of a set's own objects: a server cannot keep empty sets without end.
constexpr double kSetOverhead = 4096.0;

// When the memory is taken, a retry makes sense after others have expired.
constexpr std::chrono::milliseconds kMemoryRetry{1000};

// From here on a set is worth a walk over the heap, some milliseconds.
constexpr std::int64_t kLargeSetBytes = std::int64_t{16} << 20;

// steady_clock must not overflow, and the thread looks now and then anyway.
constexpr std::chrono::hours kFarAway{24};

}  // namespace

struct SetRegistry::State {
  explicit State(std::int64_t total) : memory(total) {}

  struct Entry {
    ~Entry() {
      set = nullptr;
      const bool large = reservation.bytes() >= kLargeSetBytes;
      reservation = {};
      if (large) malloc_trim(0);
    }
    std::string id;
    std::unique_ptr<StoredSet> set;
    MemoryReservation reservation;
    absl::Time create_time;
    Clock::duration ttl{};
    // Guarded by State::mutex.
    Clock::time_point last_use;
    int uses = 0;
  };

  // As long as it lives the entry does not expire.
  struct Use {
    Use(std::shared_ptr<State> owner, std::shared_ptr<Entry> used)
        : state(std::move(owner)), entry(std::move(used)) {}
    ~Use() { state->EndUse(std::move(entry)); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    const std::shared_ptr<State> state;
    std::shared_ptr<Entry> entry;
  };

  // With the mutex held.
  static std::shared_ptr<StoredSet> UseOf(const std::shared_ptr<State>& state,
                                          const std::shared_ptr<Entry>& entry) {
    ++entry->uses;
    const auto use = std::make_shared<Use>(state, entry);
    return std::shared_ptr<StoredSet>(use, entry->set.get());
  }
  void EndUse(std::shared_ptr<Entry> entry);
  // All of `bytes`, of which the caller holds `held` already.
  absl::StatusOr<MemoryReservation> Reserve(double bytes, std::int64_t held);
  absl::Status Resize(double bytes, MemoryReservation& reservation);
  SetInfo InfoOf(const Entry& entry) const;
  void ExpireUntilClosed();

  // Before the entries: their reservations end before it does.
  MemoryBudget memory;
  std::thread expiry;
  mutable std::mutex mutex;
  std::condition_variable changed;
  bool closed = false;
  std::map<std::string, std::shared_ptr<Entry>> entries;
  std::set<std::string> claimed;
};

void SetRegistry::State::EndUse(std::shared_ptr<Entry> entry) {
  {
    const std::lock_guard lock(mutex);
    entry->last_use = Clock::now();
    if (--entry->uses == 0) changed.notify_all();
  }
  // Outside of the lock the set itself may go.
  entry = nullptr;
}

absl::StatusOr<MemoryReservation> SetRegistry::State::Reserve(
    double bytes, std::int64_t held) {
  const auto total = static_cast<double>(memory.total());
  if (!(bytes <= total)) {
    return LimitExceededError({.field = "",
                               .what = "the memory of this set in bytes",
                               .limit = "set_memory_bytes",
                               .value = bytes,
                               .max = total});
  }
  auto reservation = memory.TryReserve(static_cast<std::int64_t>(bytes));
  if (!reservation.has_value()) {
    return MemoryBudgetError(
        {.needed = bytes,
         .reserved = static_cast<double>(memory.reserved() - held),
         .budget = total},
        kMemoryRetry);
  }
  return *std::move(reservation);
}

absl::Status SetRegistry::State::Resize(double bytes,
                                        MemoryReservation& reservation) {
  const auto needed = static_cast<std::int64_t>(bytes + kSetOverhead);
  if (needed <= reservation.bytes()) {
    reservation.ShrinkTo(needed);
    return absl::OkStatus();
  }
  absl::StatusOr<MemoryReservation> larger =
      Reserve(bytes + kSetOverhead, reservation.bytes());
  if (!larger.ok()) return larger.status();
  reservation = *std::move(larger);
  return absl::OkStatus();
}

SetInfo SetRegistry::State::InfoOf(const Entry& entry) const {
  const Clock::time_point now = Clock::now();
  const Clock::time_point last = entry.uses > 0 ? now : entry.last_use;
  return {
      .name = SetName(entry.id),
      .description = entry.set->description(),
      .state = entry.set->state(),
      .keys = entry.set->keys(),
      .bytes = entry.reservation.bytes(),
      .create_time = entry.create_time,
      .expire_time = absl::Now() + absl::FromChrono(last + entry.ttl - now)};
}

void SetRegistry::State::ExpireUntilClosed() {
  std::unique_lock lock(mutex);
  while (!closed) {
    const Clock::time_point now = Clock::now();
    Clock::time_point next = now + kFarAway;
    std::vector<std::shared_ptr<Entry>> expired;
    for (auto each = entries.begin(); each != entries.end();) {
      const Entry& entry = *each->second;
      const Clock::time_point end = entry.last_use + entry.ttl;
      if (entry.uses == 0 && end <= now) {
        expired.push_back(std::move(each->second));
        each = entries.erase(each);
        continue;
      }
      if (entry.uses == 0) next = std::min(next, end);
      ++each;
    }
    if (!expired.empty()) {
      lock.unlock();
      expired.clear();
      lock.lock();
      continue;
    }
    changed.wait_until(lock, next);
  }
}

struct SetClaim::Parts {
  std::shared_ptr<SetRegistry::State> state;
  std::string id;
  absl::Duration ttl;
  MemoryReservation reservation;

  ~Parts() {
    const std::lock_guard lock(state->mutex);
    state->claimed.erase(id);
  }
};

SetClaim::SetClaim(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
SetClaim::SetClaim(SetClaim&& other) noexcept = default;
SetClaim& SetClaim::operator=(SetClaim&& other) noexcept = default;
SetClaim::~SetClaim() = default;

const std::string& SetClaim::id() const { return parts_->id; }

absl::Status SetClaim::Resize(double bytes) {
  return parts_->state->Resize(bytes, parts_->reservation);
}

std::shared_ptr<StoredSet> SetClaim::Keep(std::unique_ptr<StoredSet> set) && {
  const std::unique_ptr<Parts> parts = std::move(parts_);
  auto entry = std::make_shared<SetRegistry::State::Entry>();
  entry->id = parts->id;
  entry->set = std::move(set);
  entry->reservation = std::move(parts->reservation);
  entry->create_time = absl::Now();
  entry->ttl = absl::ToChronoNanoseconds(parts->ttl);
  entry->last_use = Clock::now();
  const std::lock_guard lock(parts->state->mutex);
  parts->state->entries.emplace(entry->id, entry);
  return SetRegistry::State::UseOf(parts->state, entry);
}

SetRegistry::SetRegistry(std::int64_t memory)
    : state_(std::make_shared<State>(memory)) {
  state_->expiry =
      std::thread([state = state_.get()] { state->ExpireUntilClosed(); });
}

SetRegistry::~SetRegistry() {
  std::map<std::string, std::shared_ptr<State::Entry>> entries;
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    entries.swap(state_->entries);
    state_->changed.notify_all();
  }
  state_->expiry.join();
}

absl::StatusOr<SetClaim> SetRegistry::Claim(const SetRequest& request) {
  auto parts = std::make_unique<SetClaim::Parts>();
  parts->state = state_;
  parts->ttl = request.ttl;
  std::string id = request.id.value_or(NewSetId());
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->entries.count(id) > 0 || !state_->claimed.insert(id).second) {
      return SetExistsError(SetName(id));
    }
  }
  parts->id = std::move(id);
  absl::StatusOr<MemoryReservation> reservation =
      state_->Reserve(request.bytes + kSetOverhead, 0);
  if (!reservation.ok()) return reservation.status();
  parts->reservation = *std::move(reservation);
  return SetClaim(std::move(parts));
}

absl::StatusOr<std::shared_ptr<StoredSet>> SetRegistry::Find(
    const std::string& id) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->entries.find(id);
  if (found == state_->entries.end()) return SetNotFoundError(SetName(id));
  return State::UseOf(state_, found->second);
}

absl::StatusOr<SetInfo> SetRegistry::Get(const std::string& id) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->entries.find(id);
  if (found == state_->entries.end()) return SetNotFoundError(SetName(id));
  return state_->InfoOf(*found->second);
}

SetRegistry::Page SetRegistry::List(const std::string& after,
                                    std::size_t limit) const {
  Page page;
  const std::lock_guard lock(state_->mutex);
  auto next = after.empty() ? state_->entries.begin()
                            : state_->entries.upper_bound(after);
  for (; next != state_->entries.end(); ++next) {
    if (page.sets.size() == limit) {
      page.more = true;
      break;
    }
    page.sets.push_back(state_->InfoOf(*next->second));
  }
  return page;
}

absl::Status SetRegistry::Grow(const std::string& id, double bytes) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->entries.find(id);
  if (found == state_->entries.end()) return SetNotFoundError(SetName(id));
  MemoryReservation& reservation = found->second->reservation;
  if (bytes + kSetOverhead <= static_cast<double>(reservation.bytes())) {
    return absl::OkStatus();
  }
  return state_->Resize(bytes, reservation);
}

absl::Status SetRegistry::Delete(const std::string& id) {
  std::shared_ptr<State::Entry> entry;
  {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->entries.find(id);
    if (found == state_->entries.end()) return SetNotFoundError(SetName(id));
    entry = std::move(found->second);
    state_->entries.erase(found);
  }
  entry->set->Deleted();
  return absl::OkStatus();
}

const MemoryBudget& SetRegistry::memory() const { return state_->memory; }

}  // namespace steelyard::server
