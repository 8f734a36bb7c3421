#include "steelyard/queryable_set.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "factor/row_loader.h"
#include "linalg/stopped.h"
#include "queries/fourth_moments.h"
#include "queries/queryable_set_data.h"
#include "queries/score_terms.h"
#include "universal_set/keys.h"

namespace steelyard {
namespace {

constexpr Index kGatherRows = 256;

// Another function than |x|^2 keeps this many keys a column beside its members,
// the largest by leverage: what they add to Z is known exactly.
constexpr Index kLargestPerColumn = 16;

std::size_t At(Index index) { return static_cast<std::size_t>(index); }

// Members come by the plain rule, one threshold on exact leverage scores: one
// factorisation serves the set and its queries.
bool IsPlainSquare(const UniversalSetOptions& options) {
  return IsSquare(options.function) && !options.causal &&
         !options.ridge.has_value() &&
         options.selection != Selection::kJohnsonLindenstrauss;
}

double MostOverEpsilon(const Factor& factor) {
  return 1.0 / EpsilonOfMembers(factor, 1.0);
}

double UpperEnd(const LeverageScores& scores, Index j) {
  const double tau = scores.tau[At(j)];
  return tau == 0.0 ? 0.0 : std::min(1.0, tau * (1.0 + scores.delta));
}

// The largest leverage score outside `indices`, which ascend.
double LargestOutside(const LeverageScores& scores,
                      const std::vector<Index>& indices) {
  double largest = 0.0;
  auto inside = indices.begin();
  for (Index j = 0; j < static_cast<Index>(scores.tau.size()); ++j) {
    if (inside != indices.end() && *inside == j) {
      ++inside;
      continue;
    }
    largest = std::max(largest, UpperEnd(scores, j));
  }
  return largest;
}

void AddSorted(std::vector<Index> more, std::vector<Index>* indices) {
  std::sort(more.begin(), more.end());
  std::vector<Index> all;
  all.reserve(indices->size() + more.size());
  std::set_union(indices->begin(), indices->end(), more.begin(), more.end(),
                 std::back_inserter(all));
  *indices = std::move(all);
}

// p = 2, rank < d: queries near the null space may give a key more than its
// sensitivity, so more keys are kept, and where top_m forbids that the set
// answers for less.
void KeepForSquare(const LeverageScores& scores,
                   const UniversalSetOptions& options, QueryableSetData* data) {
  const double most = MostOverEpsilon(data->factor);
  if (most == 1.0) return;
  if (options.epsilon.has_value() && !options.top_m.has_value()) {
    std::vector<Index> more;
    for (Index j = 0; j < static_cast<Index>(scores.tau.size()); ++j) {
      if (UpperEnd(scores, j) * most >= *options.epsilon) more.push_back(j);
    }
    AddSorted(std::move(more), &data->indices);
  }
  data->set.effective_epsilon =
      std::min(1.0, most * LargestOutside(scores, data->indices));
}

// Any other function: the keys of largest leverage, too.
void KeepForInterval(const LeverageScores& scores, QueryableSetData* data) {
  const auto n = static_cast<Index>(scores.tau.size());
  const Index most = std::min(n, kLargestPerColumn * data->factor.r.cols());
  std::vector<Index> order(At(n));
  for (Index j = 0; j < n; ++j) order[At(j)] = j;
  std::nth_element(order.begin(), order.begin() + (most - 1), order.end(),
                   [&](Index a, Index b) {
                     const double x = scores.tau[At(a)];
                     const double y = scores.tau[At(b)];
                     return x != y ? x > y : a < b;
                   });
  order.resize(At(most));
  AddSorted(std::move(order), &data->indices);
  AddSorted(scores.new_direction, &data->indices);
  data->leverage_epsilon = LargestOutside(scores, data->indices);
}

// Is |x|^4 a term of f?
bool NeedsFourthMoments(const ScoreFunction& function) {
  if (std::holds_alternative<Softmax>(function)) return false;
  const std::vector<PowerTerm> terms = TermsOf(function);
  return std::any_of(terms.begin(), terms.end(),
                     [](const PowerTerm& term) { return term.p == 4.0; });
}

// p = 4: moments that make Z exact, where they pay.
absl::Status AddMoments(const AnyMatrixView& keys,
                        const ComputeContext& context, QueryableSetData* data) {
  const Index n = Rows(keys);
  if (!NeedsFourthMoments(data->function) || !MomentsPay(n, Cols(keys)) ||
      data->factor.rank < Cols(keys) ||
      static_cast<Index>(data->indices.size()) == n) {
    return absl::OkStatus();
  }
  auto moments = FourthMoments(keys, data->factor, context);
  if (!moments.ok()) return moments.status();
  data->fourth_moments = *std::move(moments);
  return absl::OkStatus();
}

absl::Status Gather(const AnyMatrixView& keys, const ComputeContext& context,
                    QueryableSetData* data) {
  const auto count = static_cast<Index>(data->indices.size());
  const Index d = Cols(keys);
  data->keys = Matrix<double>::Unset(count, d);
  const RowLoader rows(keys, data->factor.scales.exponents);
  const Index tasks = (count + kGatherRows - 1) / kGatherRows;
  context.workers.ParallelFor(tasks, context.stop, [&](Index task) {
    const Index last = std::min(count, (task + 1) * kGatherRows);
    for (Index u = task * kGatherRows; u < last; ++u) {
      rows.Load(data->indices[At(u)], 0, {data->keys.row(u), 1, d, d});
    }
  });
  return CheckStop(context.stop);
}

// `set`: unset where it follows from the leverage scores.
absl::StatusOr<QueryableSet> BuildInHead(const AnyMatrixView& keys,
                                         Index rows_before,
                                         const UniversalSetOptions& options,
                                         UniversalSet* set,
                                         const ComputeContext& context) {
  absl::StatusOr<FactoredKeys> factored =
      FactorKeys(keys, rows_before, context);
  if (!factored.ok()) return factored.status();
  auto data = std::make_shared<QueryableSetData>();
  data->function = options.function;
  data->causal = options.causal;
  data->set = set == nullptr ? SelectSet(*factored, options) : std::move(*set);
  data->factor = std::move(factored->factor);
  data->last_index = Rows(keys) - 1;
  data->indices = data->set.indices;
  if (set == nullptr) {
    KeepForSquare(factored->scores, options, data.get());
  } else if (!IsSquare(options.function) &&
             !std::holds_alternative<Softmax>(options.function)) {
    KeepForInterval(factored->scores, data.get());
  }
  factored->scores = {};
  absl::Status status = Gather(keys, context, data.get());
  if (!status.ok()) return status;
  status = AddMoments(keys, context, data.get());
  if (!status.ok()) return status;
  return QueryableSet(std::move(data));
}

}  // namespace

double EpsilonOfMembers(const Factor& factor, double epsilon) {
  const auto d = static_cast<double>(factor.r.cols());
  if (factor.rank == factor.r.cols()) return epsilon;
  const double theta = std::max(30.0, 2.0 * std::sqrt(d));  // over u
  const double most = 2.0 + theta / (4.0 * d);
  return epsilon / (most * most);
}

Matrix<double> UnscaledKeys(const QueryableSetData& set) {
  Matrix<double> keys = set.keys;
  for (Index u = 0; u < keys.rows(); ++u) {
    for (Index c = 0; c < keys.cols(); ++c) {
      keys(u, c) = std::ldexp(keys(u, c), set.factor.scales.exponents[At(c)]);
    }
  }
  return keys;
}

const UniversalSet& QueryableSet::set() const { return data_->set; }

const ScoreFunction& QueryableSet::function() const { return data_->function; }

bool QueryableSet::causal() const { return data_->causal; }

Index QueryableSet::columns() const { return data_->factor.r.cols(); }

double QueryableSet::bytes() const {
  const UniversalSet& set = data_->set;
  const Factor& factor = data_->factor;
  const auto numbers =
      set.indices.capacity() + set.sensitivities.capacity() +
      set.undecided.capacity() + set.new_direction.capacity() +
      data_->indices.capacity() + factor.singular_values.capacity() +
      static_cast<std::size_t>(factor.r.size() + factor.v_transposed.size() +
                               data_->keys.size() +
                               data_->fourth_moments.size());
  return static_cast<double>(
      sizeof(QueryableSetData) + numbers * sizeof(double) +
      set.upper_bounds.capacity() + set.method.capacity() +
      factor.description.capacity() +
      factor.scales.exponents.capacity() * sizeof(int));
}

absl::StatusOr<std::vector<QueryableSet>> FindQueryableSets(
    absl::Span<const AnyMatrixView> heads, const UniversalSetOptions& options,
    const ComputeContext& context) {
  std::vector<UniversalSet> sets;
  if (!IsPlainSquare(options)) {
    auto found = FindUniversalSets(heads, options, context);
    if (!found.ok()) return found.status();
    sets = *std::move(found);
  }
  return ForEachHead<QueryableSet>(
      static_cast<Index>(heads.size()), context,
      [&](Index head, const ComputeContext& quiet) {
        return BuildInHead(heads[At(head)], RowsBefore(heads, head), options,
                           sets.empty() ? nullptr : &sets[At(head)], quiet);
      });
}

double BytesOfQueryableSet(Index n, Index d,
                           const UniversalSetOptions& options) {
  const auto keys = static_cast<double>(n);
  const auto columns = static_cast<double>(d);
  // p = 2: |U| <= rank (1 + delta)^2 / epsilon, delta <= 1e-3 or rank < d; the
  // keys that EpsilonOfMembers adds are at most this many more.
  const double theta = std::max(30.0, 2.0 * std::sqrt(columns));
  const double most = 2.0 + theta / (4.0 * columns);
  double stored = keys;
  if (IsPlainSquare(options)) {
    if (options.epsilon.has_value()) {
      stored = 1.01 * most * most * columns / *options.epsilon;
    }
    if (options.top_m.has_value()) {
      stored = std::min(stored, static_cast<double>(*options.top_m));
    }
  }
  stored = std::min(stored, keys);
  double moments = 0.0;
  if (d <= kMomentsColumnsMax && NeedsFourthMoments(options.function)) {
    const auto order = static_cast<double>(MomentsOrder(d));
    moments = order * order;
  }
  // Vectors that double as they grow.
  return sizeof(QueryableSetData) + 65536.0 +
         sizeof(double) * (3.0 * columns * columns + columns + moments) +
         stored * (sizeof(double) * (columns + 2.0 * 6.0) + 2.0);
}

}  // namespace steelyard
