#include "server/handlers/heavy_source.h"

#include <type_traits>
#include <utility>

#include "server/convert/key_heads.h"
#include "server/errors/errors.h"
#include "steelyard/universal_set.h"

namespace steelyard::server {
namespace {

bool IsCertified(const ScoreFunction& function) {
  const auto* const softmax = std::get_if<Softmax>(&function);
  return softmax != nullptr && softmax->mode == SoftmaxMode::kCertified;
}

UniversalSetOptions SearchFor(const HeavyTerms& terms) {
  UniversalSetOptions search;
  search.epsilon = terms.options().epsilon;
  search.function = terms.options().function;
  return search;
}

// Wraps `keys` as a source, or the error.
template <typename Keys, typename Make>
auto Made(absl::StatusOr<Keys> keys, const Make& make)
    -> absl::StatusOr<std::shared_ptr<const HeavySource>> {
  if (!keys.ok()) return keys.status();
  return make(*std::move(keys));
}

}  // namespace

bool NeedsPages(const HeavyTerms& terms) {
  return terms.keys().has_value() && IsCertified(terms.options().function);
}

bool NeedsPlainKeys(const HeavyTerms& terms) {
  return terms.keys().has_value() && terms.options().causal &&
         !NeedsPages(terms);
}

absl::StatusOr<std::shared_ptr<const HeavySource>> HeavySource::Prepare(
    std::shared_ptr<const void> message, const HeavyTerms& terms,
    const std::optional<UsedSet>& used, const ComputeContext& context) {
  const auto make = [](auto keys) {
    return std::shared_ptr<const HeavySource>(
        new HeavySource(Keys(std::move(keys))));
  };
  if (used.has_value()) {
    absl::StatusOr<std::vector<QueryableSet>> sets =
        used->set->Queryable(context);
    if (!sets.ok()) return sets.status();
    // Now, and not with the first block.
    for (const QueryableSet& set : *sets) {
      // The heuristic promises no epsilon.
      if (std::holds_alternative<Softmax>(set.function())) break;
      const double least = set.set().effective_epsilon;
      if (terms.options().epsilon < least) {
        return EpsilonBelowSetError(terms.options().epsilon, least);
      }
    }
    return make(*std::move(sets));
  }
  absl::Status loaded = terms.Load(context.stop);
  if (!loaded.ok()) return loaded;
  if (NeedsPlainKeys(terms)) {
    return make(std::make_shared<const PlainKeys>(std::move(message), terms));
  }
  const TensorMatrices matrices(*terms.keys());
  const std::vector<AnyMatrixView> heads = ValidRows(matrices, terms.lengths());
  if (NeedsPages(terms)) {
    return Made(
        BuildSoftmaxIndexes(heads, {.causal = terms.options().causal}, context),
        make);
  }
  return Made(FindQueryableSets(heads, SearchFor(terms), context), make);
}

absl::StatusOr<std::vector<HeavyRow>> HeavySource::Find(
    const HeavyProblem& problem, const ComputeContext& context) const {
  const TensorMatrices queries(problem.rows().queries);
  const HeavyOptions options = problem.options();
  return std::visit(
      [&](const auto& keys) {
        if constexpr (std::is_same_v<std::decay_t<decltype(keys)>,
                                     std::shared_ptr<const PlainKeys>>) {
          return FindHeavyScores(absl::MakeConstSpan(keys->heads),
                                 queries.heads(), options, context);
        } else {
          return FindHeavyScores(absl::MakeConstSpan(keys), queries.heads(),
                                 options, context);
        }
      },
      keys_);
}

Cost HeavySource::CostOf(const HeavyProblem& problem, const Limits& limits,
                         int workers) const {
  const TensorInput& queries = problem.rows().queries;
  const KeyShape& shape = problem.terms().shape();
  const HeavyOptions& options = problem.terms().options();
  Cost cost;
  if (const auto* const sets = std::get_if<std::vector<QueryableSet>>(&keys_)) {
    cost = CostOfHeavyScores(absl::MakeConstSpan(*sets), queries.heads(),
                             queries.rows(), options, workers);
  } else if (std::holds_alternative<std::vector<SoftmaxIndex>>(keys_)) {
    cost = CostOfSoftmaxScores(*shape.rows, shape.columns, queries.heads(),
                               queries.rows(), options.epsilon, workers);
  } else {
    cost = CostOfHeavyScores(shape.heads, *shape.rows, shape.columns,
                             queries.heads(), queries.rows(), options, workers);
  }
  cost.bytes += static_cast<double>(queries.copy_bytes()) +
                AnswerMemoryOf(problem, limits.chunk_bytes_max);
  return cost;
}

double HeavySource::bytes() const {
  if (const auto* const plain =
          std::get_if<std::shared_ptr<const PlainKeys>>(&keys_)) {
    return (*plain)->bytes;
  }
  double bytes = 0.0;
  if (const auto* const sets = std::get_if<std::vector<QueryableSet>>(&keys_)) {
    for (const QueryableSet& set : *sets) bytes += set.bytes();
  } else {
    for (const SoftmaxIndex& index :
         std::get<std::vector<SoftmaxIndex>>(keys_)) {
      bytes += index.bytes();
    }
  }
  return bytes;
}

Cost CostOfSource(const HeavyTerms& terms, int workers) {
  const KeyShape& shape = terms.shape();
  const auto heads = static_cast<double>(shape.heads);
  if (!terms.keys().has_value()) return {};  // the set knows
  const TensorInput& keys = *terms.keys();
  Cost cost{.flops = 0.0, .bytes = static_cast<double>(keys.copy_bytes())};
  if (NeedsPlainKeys(terms)) {
    cost.bytes += static_cast<double>(keys.message_bytes());
  } else if (NeedsPages(terms)) {
    cost += CostOfSoftmaxIndex(shape.heads, keys.rows(), keys.cols(), workers);
  } else {
    cost += CostOfUniversalSet(shape.heads, keys.rows(), keys.cols(),
                               SearchFor(terms), workers);
    cost.bytes +=
        heads * BytesOfQueryableSet(keys.rows(), keys.cols(), SearchFor(terms));
  }
  return cost;
}

}  // namespace steelyard::server
