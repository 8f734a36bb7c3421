// The keys of a stream of heavy queries, made ready once for all its blocks.
#pragma once

#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "server/convert/heavy_query.h"
#include "server/convert/tensor_input.h"
#include "server/handlers/used_set.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/queryable_set.h"
#include "steelyard/softmax_index.h"

namespace steelyard::server {

// Immutable.
class HeavySource {
 public:
  // Of a set the heads as of now; of keys their universal sets, or for
  // certified softmax their pages. Causal queries by other functions need the
  // prefixes of the keys: these are kept as they came. `message` owns the
  // tensors of `terms`.
  //
  // ERRORS  those of core, about its own arguments.
  static absl::StatusOr<std::shared_ptr<const HeavySource>> Prepare(
      std::shared_ptr<const void> message, const HeavyTerms& terms,
      const std::optional<UsedSet>& used, const ComputeContext& context);

  absl::StatusOr<std::vector<HeavyRow>> Find(
      const HeavyProblem& problem, const ComputeContext& context) const;

  // Of Find, the answer in parts included.
  Cost CostOf(const HeavyProblem& problem, const Limits& limits,
              int workers) const;

  // Held in memory, the message included where it is kept.
  double bytes() const;

 private:
  // Keys as they came.
  struct PlainKeys {
    PlainKeys(std::shared_ptr<const void> owner, const HeavyTerms& terms)
        : message(std::move(owner)),
          matrices(*terms.keys()),
          heads(ValidRows(matrices, terms.lengths())),
          bytes(static_cast<double>(terms.keys()->message_bytes() +
                                    terms.keys()->copy_bytes())) {}
    const std::shared_ptr<const void> message;
    const TensorMatrices matrices;
    const std::vector<AnyMatrixView> heads;
    const double bytes;  // the message, and a copy of what was misaligned
  };
  using Keys =
      std::variant<std::vector<QueryableSet>, std::vector<SoftmaxIndex>,
                   std::shared_ptr<const PlainKeys>>;

  explicit HeavySource(Keys keys) : keys_(std::move(keys)) {}

  const Keys keys_;
};

// Of Prepare, what it holds included; nothing of a set.
Cost CostOfSource(const HeavyTerms& terms, int workers);

// How Prepare will hold the keys of a request.
bool NeedsPages(const HeavyTerms& terms);
bool NeedsPlainKeys(const HeavyTerms& terms);

}  // namespace steelyard::server
