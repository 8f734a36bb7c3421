#include "server/handlers/attend_source.h"

#include <utility>

#include "server/convert/key_heads.h"

namespace steelyard::server {
namespace {

// Of the message.
double TensorBytes(const AttendTerms& terms) {
  std::int64_t bytes = terms.values().message_bytes();
  if (terms.keys().has_value()) bytes += terms.keys()->message_bytes();
  return static_cast<double>(bytes);
}

}  // namespace

AttendSource::Inputs::Inputs(std::shared_ptr<const void> owner,
                             const AttendTerms& terms)
    : message(std::move(owner)),
      values(terms.values()),
      value_heads(ValidRows(values, terms.lengths())),
      tensor_bytes(TensorBytes(terms)) {
  if (!terms.keys().has_value()) return;
  keys.emplace(*terms.keys());
  key_heads = ValidRows(*keys, terms.lengths());
}

double AttendSource::Inputs::bytes() const {
  const bool in_place =
      values.in_place() && (!keys.has_value() || keys->in_place());
  // The message, and at most a copy where numbers were misaligned; what is
  // stored is the store's.
  return (in_place ? 1.0 : 2.0) * tensor_bytes;
}

absl::StatusOr<std::shared_ptr<const AttendSource>> AttendSource::Prepare(
    std::shared_ptr<const void> message, const AttendTerms& terms,
    const std::optional<UsedSet>& used, const ComputeContext& context) {
  std::vector<QueryableSet> sets;
  if (used.has_value()) {
    auto heads = used->set->Queryable(context);
    if (!heads.ok()) return heads.status();
    sets = *std::move(heads);
  }
  absl::Status loaded = terms.Load(context.stop);
  if (!loaded.ok()) return loaded;
  auto inputs = std::make_unique<const Inputs>(std::move(message), terms);
  absl::StatusOr<AttendKeys> keys = PrepareAttend(
      inputs->key_heads, sets, inputs->value_heads, terms.options(), context);
  if (!keys.ok()) return keys.status();
  if (!keys->reads_inputs()) inputs.reset();
  return std::shared_ptr<const AttendSource>(
      new AttendSource(std::move(inputs), *std::move(keys)));
}

absl::StatusOr<std::vector<AttendedHead>> AttendSource::Find(
    const AttendProblem& problem, const ComputeContext& context) const {
  const TensorMatrices queries(problem.rows().queries);
  return Attend(keys_, queries.heads(), problem.rows().positions, context);
}

double AttendSource::bytes() const {
  return keys_.bytes() + (inputs_ != nullptr ? inputs_->bytes() : 0.0);
}

Cost CostOfSource(const AttendTerms& terms, int workers) {
  Cost cost = CostOfOpen(terms, workers);
  cost.bytes += TensorBytes(terms);
  return cost;
}

}  // namespace steelyard::server
