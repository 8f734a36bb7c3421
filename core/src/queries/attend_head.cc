#include "queries/attend_head.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "factor/row_loader.h"
#include "linalg/stopped.h"
#include "queries/queryable_set_data.h"
#include "steelyard/status.h"
#include "universal_set/keys.h"

namespace steelyard {
namespace {

constexpr Index kGatherRows = 256;

std::size_t At(Index index) { return static_cast<std::size_t>(index); }

absl::Status Wrong(std::string_view reason, std::string_view field,
                   const std::string& message) {
  return ErrorWithDetail(absl::StatusCode::kInvalidArgument, message,
                         {.reason = std::string(reason),
                          .field = std::string(field),
                          .metadata = {}});
}

// The set of these keys that Attend looks for: softmax has none but the
// heuristic's.
UniversalSetOptions OptionsOfSet(const AttendOptions& options) {
  UniversalSetOptions set{.epsilon = options.epsilon,
                          .top_m = options.top_m,
                          .function = options.function,
                          .causal = options.causal};
  if (auto* softmax = std::get_if<Softmax>(&set.function)) {
    softmax->mode = SoftmaxMode::kHeuristic;
    set.causal = false;
  }
  return set;
}

double CoefficientOf(const ScoreFunction& function) {
  const auto* sum = std::get_if<PowerSum>(&function);
  if (sum == nullptr) return 1.0;
  double total = 0.0;
  for (const PowerTerm& term : sum->terms) total += term.coefficient;
  return total;
}

bool SeesAll(const AttendOptions& options, Index n, Index m) {
  if (!options.causal) return true;
  if (options.positions.empty()) return m == 1;
  return *std::min_element(options.positions.begin(),
                           options.positions.end()) >= n - 1;
}

absl::Status KeysRequired(const std::string& what) {
  return Wrong("FIELD_REQUIRED", "keys", what + " need keys");
}

// Are the keys, the set and the values of one length, and are there keys where
// the set does not do, whatever is asked?
absl::Status CheckHead(const AnyMatrixView* keys, const QueryableSet* set,
                       const AnyMatrixView& values,
                       const AttendOptions& options) {
  const Index n = Rows(values);
  if (keys != nullptr && Rows(*keys) != n) {
    return Wrong("WRONG_SHAPE", "values",
                 absl::StrCat("values has ", n, " rows; there are ",
                              Rows(*keys), " keys"));
  }
  if (set != nullptr &&
      (set->set().keys != n || set->data().last_index != n - 1)) {
    return Wrong(
        "WRONG_SHAPE", "values",
        absl::StrCat("values has ", n, " rows; the set is of ", set->set().keys,
                     " keys, the last of index ", set->data().last_index));
  }
  const bool beyond_set = options.sinks > 0 || options.window.has_value() ||
                          options.grid.has_value();
  if (keys == nullptr && beyond_set) {
    return KeysRequired("sinks and local keys");
  }
  return absl::OkStatus();
}

// Members of the set and sinks.
std::vector<Index> CommonKeys(const std::vector<Index>& members, Index sinks,
                              Index n) {
  std::vector<Index> first(At(std::min(sinks, n)));
  for (Index j = 0; j < static_cast<Index>(first.size()); ++j) {
    first[At(j)] = j;
  }
  std::vector<Index> common;
  common.reserve(first.size() + members.size());
  std::set_union(first.begin(), first.end(), members.begin(), members.end(),
                 std::back_inserter(common));
  return common;
}

// Rows `indices` of `from`, columns times 2^-exponents.
absl::Status GatherRows(const AnyMatrixView& from,
                        const std::vector<int>& exponents,
                        const std::vector<Index>& indices,
                        const ComputeContext& context, Matrix<double>* rows) {
  const auto count = static_cast<Index>(indices.size());
  const Index width = Cols(from);
  *rows = Matrix<double>::Unset(count, width);
  const RowLoader loader(from, exponents);
  context.workers.ParallelFor(
      (count + kGatherRows - 1) / kGatherRows, context.stop, [&](Index task) {
        const Index last = std::min(count, (task + 1) * kGatherRows);
        for (Index u = task * kGatherRows; u < last; ++u) {
          loader.Load(indices[At(u)], 0, {rows->row(u), 1, width, width});
        }
      });
  return CheckStop(context.stop);
}

// Without keys: the members are among the stored keys.
void CopyStored(const QueryableSetData& set, AttendHead* head) {
  const Index d = set.keys.cols();
  head->common_keys =
      Matrix<double>::Unset(static_cast<Index>(head->common.size()), d);
  Index stored = 0;
  for (Index u = 0; u < head->common_keys.rows(); ++u) {
    while (set.indices[At(stored)] != head->common[At(u)]) ++stored;
    std::copy_n(set.keys.row(stored), d, head->common_keys.row(u));
  }
}

absl::StatusOr<AttendHead> PrepareHead(
    const AnyMatrixView* keys, Index rows_before, const QueryableSet* set,
    const UniversalSet* members, const AnyMatrixView& values,
    const AttendOptions& options, const ComputeContext& context) {
  const Index n = Rows(values);
  AttendHead head{.n = n,
                  .keys = {},
                  .values = values,
                  .exponents = {},
                  .local = LocalKeys(n, options),
                  .common = {},
                  .common_keys = {},
                  .common_values = {}};
  if (keys != nullptr) head.keys = *keys;
  if (set != nullptr) {
    head.exponents = set->data().factor.scales.exponents;
    if (IsSquare(set->function())) {
      head.factor = &set->data().factor;
      head.coefficient = CoefficientOf(set->function());
    }
  } else {
    auto scales = ScanColumns(*keys, "keys", context, rows_before);
    if (!scales.ok()) return scales.status();
    head.exponents = std::move(scales->exponents);
  }
  const UniversalSet* of = set != nullptr ? &set->set() : members;
  head.common = CommonKeys(of != nullptr ? of->indices : std::vector<Index>{},
                           options.sinks, n);
  if (keys == nullptr) {
    CopyStored(set->data(), &head);
  } else {
    absl::Status s = GatherRows(*keys, head.exponents, head.common, context,
                                &head.common_keys);
    if (!s.ok()) return s;
  }
  absl::Status s =
      GatherRows(values, {}, head.common, context, &head.common_values);
  if (!s.ok()) return s;
  return head;
}

}  // namespace

absl::StatusOr<AttendHeads> FindAttendHeads(
    absl::Span<const AnyMatrixView> keys, absl::Span<const QueryableSet> sets,
    absl::Span<const AnyMatrixView> values, const AttendOptions& options,
    const ComputeContext& context) {
  const auto count = static_cast<Index>(values.size());
  for (std::size_t h = 0; h < values.size(); ++h) {
    const absl::Status checked =
        CheckHead(keys.empty() ? nullptr : &keys[h],
                  sets.empty() ? nullptr : &sets[h], values[h], options);
    if (!checked.ok()) return checked;
  }
  AttendHeads result;
  result.function = options.function;
  result.options = options;
  result.options.positions.clear();
  result.sets.assign(sets.begin(), sets.end());
  std::vector<UniversalSet> members;
  const bool search = sets.empty() && (options.epsilon.has_value() ||
                                       options.top_m.has_value());
  if (!sets.empty()) {
    result.function = sets.front().function();
    // Keys beside a set are read, too.
    Index rows_before = 0;
    for (const AnyMatrixView& head : keys) {
      const absl::Status finite =
          CheckFinite(head, "keys", context, rows_before);
      if (!finite.ok()) return finite;
      rows_before += Rows(head);
    }
  } else if (search && IsSquare(options.function) && !options.causal) {
    auto found = FindQueryableSets(keys, OptionsOfSet(options), context);
    if (!found.ok()) return found.status();
    result.sets = *std::move(found);
  } else if (search) {
    auto found = FindUniversalSets(keys, OptionsOfSet(options), context);
    if (!found.ok()) return found.status();
    members = *std::move(found);
  }
  auto heads = ForEachHead<AttendHead>(
      count, context, [&](Index h, const ComputeContext& quiet) {
        return PrepareHead(keys.empty() ? nullptr : &keys[At(h)],
                           keys.empty() ? 0 : RowsBefore(keys, h),
                           result.sets.empty() ? nullptr : &result.sets[At(h)],
                           members.empty() ? nullptr : &members[At(h)],
                           values[At(h)], options, quiet);
      });
  if (!heads.ok()) return heads.status();
  result.heads = *std::move(heads);
  return result;
}

absl::Status CheckNormalizers(const AttendHeads& heads, Index m,
                              const AttendOptions& options) {
  if (options.normalization != AttendNormalization::kAllKeys) {
    return absl::OkStatus();
  }
  for (const AttendHead& head : heads.heads) {
    const bool known = head.factor != nullptr && SeesAll(options, head.n, m);
    if (!head.keys.has_value() && !known) {
      return KeysRequired(
          "normalisers of all keys (but of |x|^2 that is not causal)");
    }
  }
  return absl::OkStatus();
}

double MostCommonKeys(Index n, Index d, const AttendOptions& options) {
  const auto keys = static_cast<double>(n);
  double members = 0.0;
  if (options.epsilon.has_value() || options.top_m.has_value()) members = keys;
  if (options.epsilon.has_value() && IsSquare(options.function) &&
      !options.causal) {
    members = 1.01 * static_cast<double>(d) / *options.epsilon;
  }
  if (options.top_m.has_value()) {
    members = std::min(members, static_cast<double>(*options.top_m));
  }
  return std::min(keys, members + static_cast<double>(options.sinks));
}

Cost CostOfAttendHeads(Index key_heads, Index n, Index d, Index e,
                       const AttendOptions& options, int workers) {
  const auto heads = static_cast<double>(key_heads);
  const double common = MostCommonKeys(n, d, options);
  Cost cost{
      .flops = 4.0 * heads * static_cast<double>(n) * static_cast<double>(d),
      .bytes =
          heads * (common * 8.0 * static_cast<double>(d + e + 3) +
                   4.0 * static_cast<double>(d) + 2.0 * sizeof(AttendHead)) +
          16.0 * static_cast<double>(d) * workers + 65536.0};
  if (options.epsilon.has_value() || options.top_m.has_value()) {
    cost += CostOfUniversalSet(key_heads, n, d, OptionsOfSet(options), workers);
    cost.bytes += heads * BytesOfQueryableSet(n, d, OptionsOfSet(options));
  }
  return cost;
}

}  // namespace steelyard
