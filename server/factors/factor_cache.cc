#include "server/factors/factor_cache.h"

#include <utility>

namespace steelyard::server {

FactorCache::Key FactorCache::KeyOf(const MatrixIdentity& matrix,
                                    const RegressionOptions& options) {
  return {
      .id = matrix.id, .serial = matrix.serial, .factor = FactorKey(options)};
}

FactorCache::Place FactorCache::Ask(const MatrixIdentity& matrix,
                                    const RegressionOptions& options,
                                    Granted granted) {
  Key key = KeyOf(matrix, options);
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = next_number_++;
  }
  Stand(key,
        {.number = number, .options = options, .granted = std::move(granted)});
  return Place(this, std::move(key), number);
}

void FactorCache::Stand(const Key& key, Waiter waiter) {
  std::unique_lock lock(mutex_);
  if (Factor factor = FindLocked(key.serial, waiter.options)) {
    lock.unlock();
    return waiter.granted(std::move(factor));
  }
  const auto [line, first] = lines_.try_emplace(key);
  if (!first) {
    line->second.waiters.push_back(std::move(waiter));
    return;
  }
  lock.unlock();
  waiter.granted(Turn(this, key));
}

void FactorCache::Leave(const Key& key, std::uint64_t number) {
  std::list<Waiter> gone;  // what it holds goes without the lock
  const std::lock_guard lock(mutex_);
  const auto line = lines_.find(key);
  if (line == lines_.end()) return;
  std::list<Waiter>& waiters = line->second.waiters;
  for (auto waiter = waiters.begin(); waiter != waiters.end(); ++waiter) {
    if (waiter->number != number) continue;
    gone.splice(gone.end(), waiters, waiter);
    return;
  }
}

void FactorCache::Pass(const Key& key) {
  std::unique_lock lock(mutex_);
  const auto line = lines_.find(key);
  if (line == lines_.end()) return;
  if (line->second.waiters.empty()) {
    lines_.erase(line);
    return;
  }
  const Granted next = std::move(line->second.waiters.front().granted);
  line->second.waiters.pop_front();
  lock.unlock();
  next(Turn(this, key));
}

FactorCache::Line FactorCache::EndLine(const Key& key) {
  const auto found = lines_.find(key);
  Line line = std::move(found->second);
  lines_.erase(found);
  return line;
}

FactorCache::Factor FactorCache::Finish(const Key& key,
                                        RegressionFactor prepared) {
  auto made = std::make_shared<KeptFactor>(
      KeptFactor{.prepared = std::move(prepared), .bytes = 0, .memory = {}});
  made->bytes = BytesOf(made->prepared);
  // Nothing below allocates before the line has ended.
  std::list<Kept> entry;
  entry.push_back(
      {.matrix = {.id = key.id, .serial = key.serial}, .factor = made});
  Line line;
  {
    const std::lock_guard lock(mutex_);
    line = EndLine(key);
    std::optional<MemoryReservation> room;
    if (!line.deleted) room = MakeRoom(made->bytes);
    if (room.has_value()) {
      made->memory = *std::move(room);
      kept_.splice(kept_.begin(), entry);
    }
  }
  for (Waiter& waiter : line.waiters) {
    if (Serves(made->prepared, waiter.options)) {
      waiter.granted(Factor(made));
    } else {
      Stand(key, std::move(waiter));
    }
  }
  return made;
}

void FactorCache::Fail(const Key& key, const absl::Status& status) {
  Line line;
  {
    const std::lock_guard lock(mutex_);
    line = EndLine(key);
  }
  for (const Waiter& waiter : line.waiters) waiter.granted(status);
}

FactorCache::Factor FactorCache::Find(const MatrixIdentity& matrix,
                                      const RegressionOptions& options) {
  const std::lock_guard lock(mutex_);
  return FindLocked(matrix.serial, options);
}

bool FactorCache::Coming(const MatrixIdentity& matrix,
                         const RegressionOptions& options) const {
  const std::lock_guard lock(mutex_);
  return lines_.count(KeyOf(matrix, options)) > 0;
}

FactorCache::Factor FactorCache::FindLocked(std::uint64_t serial,
                                            const RegressionOptions& options) {
  for (auto kept = kept_.begin(); kept != kept_.end(); ++kept) {
    if (kept->matrix.serial != serial) continue;
    if (!Serves(kept->factor->prepared, options)) continue;
    kept_.splice(kept_.begin(), kept_, kept);
    return kept_.front().factor;
  }
  return nullptr;
}

std::optional<MemoryReservation> FactorCache::MakeRoom(std::int64_t bytes) {
  // Only the cache hands out what it keeps, and only under the mutex: nobody
  // can begin to use what has one owner now.
  const auto unused = [](const Kept& kept) {
    return kept.factor.use_count() == 1;
  };
  std::int64_t room = budget_.total() - budget_.reserved();
  for (const Kept& kept : kept_) {
    if (unused(kept)) room += kept.factor->bytes;
  }
  if (bytes > room) return std::nullopt;
  std::optional<MemoryReservation> reserved = budget_.TryReserve(bytes);
  for (auto kept = kept_.end(); !reserved && kept != kept_.begin();) {
    --kept;
    if (!unused(*kept)) continue;
    kept = kept_.erase(kept);
    reserved = budget_.TryReserve(bytes);
  }
  return reserved;
}

void FactorCache::Drop(const std::string& id) {
  std::list<Kept> gone;  // freed without the lock
  const std::lock_guard lock(mutex_);
  for (auto kept = kept_.begin(); kept != kept_.end();) {
    const auto next = std::next(kept);
    if (kept->matrix.id == id) gone.splice(gone.end(), kept_, kept);
    kept = next;
  }
  for (auto& [key, line] : lines_) {
    if (key.id == id) line.deleted = true;
  }
}

FactorCache::Turn::Turn(Turn&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)),
      key_(std::move(other.key_)) {}

FactorCache::Turn::~Turn() {
  if (cache_ != nullptr) cache_->Pass(key_);
}

FactorCache::Factor FactorCache::Turn::Finish(RegressionFactor prepared) && {
  Factor factor = cache_->Finish(key_, std::move(prepared));
  cache_ = nullptr;
  return factor;
}

void FactorCache::Turn::Fail(const absl::Status& status) && {
  std::exchange(cache_, nullptr)->Fail(key_, status);
}

FactorCache::Place::Place(Place&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)),
      key_(std::move(other.key_)),
      number_(other.number_) {}

FactorCache::Place& FactorCache::Place::operator=(Place&& other) noexcept {
  if (this != &other) {
    Leave();
    cache_ = std::exchange(other.cache_, nullptr);
    key_ = std::move(other.key_);
    number_ = other.number_;
  }
  return *this;
}

void FactorCache::Place::Leave() {
  if (cache_ != nullptr) std::exchange(cache_, nullptr)->Leave(key_, number_);
}

}  // namespace steelyard::server
