// What was computed of stored matrices and pays off again: their factors and
// preconditioners.
//
//   Ask -> a factor that is kept
//          the turn to compute it, when nobody does
//          else a place in the line behind the one who does
//
// A turn that is dropped (its request was cancelled, or ran out of its time)
// passes to the next in line; an error of the mathematics goes to the whole
// line. Who stands in line holds no thread: `granted` is called when there is
// something.
//
// Bounded by bytes, beside the memory of requests. What is asked for goes to
// the front, what is in nobody's use leaves from the back. A factor in use
// keeps its memory reserved until its last user is gone, also when its matrix
// was deleted meanwhile.
//
// Safe from several threads. `granted` may be called by any of them, never
// with a lock of the cache held.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "server/admission/memory_budget.h"
#include "server/factors/regression_factor.h"

namespace steelyard::server {

// Of a StoredMatrix: its name, and its number, which no other matrix has.
struct MatrixIdentity {
  std::string id;
  std::uint64_t serial = 0;
};

struct KeptFactor {
  RegressionFactor prepared;
  std::int64_t bytes = 0;
  // Of the cache's budget; nothing where the factor is not kept: then it lives
  // in the memory of the requests that use it.
  MemoryReservation memory;
};

class FactorCache {
 public:
  using Factor = std::shared_ptr<const KeptFactor>;
  class Turn;
  class Place;
  using Grant = std::variant<Factor, Turn, absl::Status>;
  using Granted = std::function<void(Grant)>;

  // Bytes. 0: nothing is kept.
  explicit FactorCache(std::int64_t memory) : budget_(memory) {}
  FactorCache(const FactorCache&) = delete;
  FactorCache& operator=(const FactorCache&) = delete;

  // Calls `granted` once, perhaps before this returns; not at all when the
  // place is left before. A grant that is on its way then still arrives.
  Place Ask(const MatrixIdentity& matrix, const RegressionOptions& options,
            Granted granted);

  // A factor that is kept, without a place in the line. Null: none.
  Factor Find(const MatrixIdentity& matrix, const RegressionOptions& options);
  // Somebody computes it.
  bool Coming(const MatrixIdentity& matrix,
              const RegressionOptions& options) const;

  // The matrix of this name is deleted: its factors go, and those that are
  // computed now will not be kept.
  void Drop(const std::string& id);

  const MemoryBudget& memory() const { return budget_; }

 private:
  struct Key {
    std::string id;
    std::uint64_t serial = 0;
    FactorKey factor;
    auto operator<=>(const Key&) const = default;
  };
  struct Kept {
    MatrixIdentity matrix;
    Factor factor;
  };
  struct Waiter {
    std::uint64_t number = 0;
    RegressionOptions options;
    Granted granted;
  };
  // Of those who wait for the one whose turn it is.
  struct Line {
    std::list<Waiter> waiters;
    bool deleted = false;  // the matrix, meanwhile
  };

  static Key KeyOf(const MatrixIdentity& matrix,
                   const RegressionOptions& options);
  void Stand(const Key& key, Waiter waiter);
  void Leave(const Key& key, std::uint64_t number);
  void Pass(const Key& key);
  Factor Finish(const Key& key, RegressionFactor prepared);
  void Fail(const Key& key, const absl::Status& status);
  Line EndLine(const Key& key);
  // With the mutex held.
  Factor FindLocked(std::uint64_t serial, const RegressionOptions& options);
  std::optional<MemoryReservation> MakeRoom(std::int64_t bytes);

  MemoryBudget budget_;
  mutable std::mutex mutex_;
  std::list<Kept> kept_;  // the latest used first
  std::map<Key, Line> lines_;
  std::uint64_t next_number_ = 1;
};

// The right to compute a factor for everybody who waits for it. Dropped without
// Finish or Fail it passes to the next. The cache must outlive it.
class FactorCache::Turn {
 public:
  Turn(Turn&& other) noexcept;
  Turn& operator=(Turn&&) = delete;
  ~Turn();

  // Everybody in line gets it.
  Factor Finish(RegressionFactor prepared) &&;
  // Everybody in line gets the error.
  void Fail(const absl::Status& status) &&;

 private:
  friend class FactorCache;
  Turn(FactorCache* cache, Key key) : cache_(cache), key_(std::move(key)) {}

  FactorCache* cache_;
  Key key_;
};

// A place in a line, left at the end of this object's life. The cache must
// outlive it.
class FactorCache::Place {
 public:
  Place() = default;
  Place(Place&& other) noexcept;
  Place& operator=(Place&& other) noexcept;
  ~Place() { Leave(); }

  void Leave();

 private:
  friend class FactorCache;
  Place(FactorCache* cache, Key key, std::uint64_t number)
      : cache_(cache), key_(std::move(key)), number_(number) {}

  FactorCache* cache_ = nullptr;
  Key key_;
  std::uint64_t number_ = 0;
};

}  // namespace steelyard::server
