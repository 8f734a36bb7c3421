// A universal set that the server keeps under a name: found in one request
// (FoundSet below) or by a session of streamed keys (key_session.h).
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/matrix_view.h"
#include "steelyard/queryable_set.h"
#include "steelyard/score_function.h"

namespace steelyard::server {

// What it is a set of; never changes.
struct SetDescription {
  Index heads = 1;
  Index columns = 1;
  std::optional<double> epsilon;
  std::optional<Index> top_m;
  ScoreFunction function = Power{2.0};
  bool causal = false;
};

enum class SetState {
  kReceiving,  // a stream is attached
  kSuspended,  // none is; resume goes on
  kFinished,   // read-only
};

class StoredSet {
 public:
  explicit StoredSet(SetDescription description)
      : description_(std::move(description)) {}
  virtual ~StoredSet() = default;
  StoredSet(const StoredSet&) = delete;
  StoredSet& operator=(const StoredSet&) = delete;

  const SetDescription& description() const { return description_; }

  // These may be called from any thread and answer at once.
  virtual SetState state() const = 0;
  // Keys so far, one a head.
  virtual std::vector<Index> keys() const = 0;
  // Its name is gone: a stream attached to it ends.
  virtual void Deleted() {}

  // The sets, one a head, and the heads as queries need them, as of the keys so
  // far. Call them in admitted work: they may wait for the work of a stream,
  // and compute. ERRORS  those of core; `context.stop` while they wait.
  virtual absl::StatusOr<std::vector<UniversalSet>> Sets(
      const ComputeContext& context) = 0;
  virtual absl::StatusOr<std::vector<QueryableSet>> Queryable(
      const ComputeContext& context) = 0;

  // What one of these takes at most, bytes beyond the set itself.
  virtual Cost cost() const = 0;

 private:
  const SetDescription description_;
};

// The heads of one request. Finished from the start.
class FoundSet final : public StoredSet {
 public:
  // `keys`: n, one a head.
  FoundSet(SetDescription description, std::vector<QueryableSet> heads,
           std::vector<Index> keys)
      : StoredSet(std::move(description)),
        heads_(std::move(heads)),
        keys_(std::move(keys)) {}

  SetState state() const override { return SetState::kFinished; }
  std::vector<Index> keys() const override { return keys_; }
  absl::StatusOr<std::vector<UniversalSet>> Sets(
      const ComputeContext& context) override;
  absl::StatusOr<std::vector<QueryableSet>> Queryable(
      const ComputeContext&) override {
    return heads_;
  }
  Cost cost() const override;

 private:
  const std::vector<QueryableSet> heads_;
  const std::vector<Index> keys_;
};

}  // namespace steelyard::server
