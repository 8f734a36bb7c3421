#include "steelyard/attend.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"
#include "parallel/scratch_pool.h"
#include "queries/attend_head.h"
#include "queries/attention_sum.h"
#include "queries/local_keys.h"
#include "queries/query_block.h"
#include "queries/scored_keys.h"
#include "steelyard/status.h"
#include "universal_set/keys.h"

namespace steelyard {
namespace {

std::size_t At(Index index) { return static_cast<std::size_t>(index); }

// Queries of one head whose positions lie close together.
struct QueryGroup {
  Index head = 0;  // query head
  std::vector<Index> rows;
  std::vector<Index> positions;  // of these
};

// By position, cut where a group is full or its local keys would drift apart.
void AddGroups(Index head, Index m, const AttendOptions& options, Index n,
               std::vector<QueryGroup>* groups) {
  std::vector<Index> positions = options.positions;
  for (Index i = 0; positions.size() < At(m); ++i) {
    positions.push_back(n - m + i);
  }
  std::vector<Index> order(At(m));
  for (Index i = 0; i < m; ++i) order[At(i)] = i;
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
    return positions[At(a)] < positions[At(b)];
  });
  const LocalKeys local(n, options);
  bool open = false;
  for (const Index row : order) {
    const Index position = positions[At(row)];
    const bool fits =
        open && groups->back().rows.size() < At(kQueryBlock) &&
        (!local.any() ||
         position - groups->back().positions.front() <= local.span());
    if (!fits) {
      groups->emplace_back();
      groups->back().head = head;
      open = true;
    }
    groups->back().rows.push_back(row);
    groups->back().positions.push_back(position);
  }
}

// One group of queries with all keys that it attends.
class GroupPass {
 public:
  GroupPass(const AttendHead& head, const AnyMatrixView& queries,
            const QueryGroup& group, const AttendOptions& options,
            const AttentionFunction& function, const StopToken& stop,
            double* work)
      : head_(head),
        group_(group),
        options_(options),
        function_(function),
        stop_(stop),
        d_(Cols(queries)),
        e_(Cols(head.values)),
        block_(LoadQueries(queries, group.rows, head.exponents, work)) {
    output_ = work + kQueryBlock * d_;
    weights_ = output_ + kQueryBlock * e_;
    values_ = weights_ + kQueryBlock * kKeyBlock;
    products_ = values_ + kKeyBlock * e_;
    std::fill(output_, output_ + block_.count * e_, 0.0);
    for (Index i = 0; i < block_.count; ++i) {
      sums_.emplace_back(function_, block_.exponents[i]);
      const Index position = group.positions[At(i)];
      visible_.push_back(
          options.causal ? std::clamp<Index>(position + 1, 0, head.n) : head.n);
    }
  }

  static Index Scratch(Index d, Index e) {
    return kQueryBlock * (d + e + kKeyBlock) + kKeyBlock * e +
           std::max(ProductScratch(d), kQueryBlock * kFactorColumns);
  }

  void Run(AttendedHead* answer) {
    AttendCommon();
    if (head_.local.any()) AttendLocal();
    Finish(answer);
  }

 private:
  bool Attends(Index i, Index key) const { return key < visible_[At(i)]; }

  // Adds a block of keys, of which `attended` says who sees it.
  template <typename Attended>
  void AddBlock(const ProductBlock& products, Block<const double> values,
                const Attended& attended) {
    unsigned char mask[kKeyBlock];
    for (Index i = 0; i < block_.count; ++i) {
      for (Index u = 0; u < products.count; ++u) {
        mask[u] = attended(i, products.first + u) ? 1 : 0;
      }
      const double factor = sums_[At(i)].Add(
          products.products + i * products.count, products.key_norms, mask,
          products.count, weights_ + i * products.count);
      if (factor != 1.0) Scale(factor, output_ + i * e_, e_);
    }
    Gemm(1.0,
         Block<double>{weights_, block_.count, products.count, products.count},
         values, 1.0, Block<double>{output_, block_.count, e_, e_});
  }

  void AttendCommon() {
    const ScoredKeys keys(head_.common_keys, head_.common);
    ForEachProduct(keys, 0, keys.count(), block_, d_, stop_, products_,
                   [&](const ProductBlock& products) {
                     AddBlock(products,
                              BlockOf(head_.common_values)
                                  .Part(products.first, 0, products.count, e_),
                              [&](Index i, Index u) {
                                return Attends(i, head_.common[At(u)]);
                              });
                   });
  }

  void AttendLocal() {
    const std::vector<Index> near = head_.local.Union(group_.positions);
    std::vector<Index> rest;
    std::set_difference(near.begin(), near.end(), head_.common.begin(),
                        head_.common.end(), std::back_inserter(rest));
    const ScoredKeys keys(*head_.keys, head_.exponents, &rest);
    const ScoredKeys values(head_.values, {}, &rest);
    ForEachProduct(
        keys, 0, keys.count(), block_, d_, stop_, products_,
        [&](const ProductBlock& products) {
          AddBlock(products,
                   values.Load(products.first, products.count, values_),
                   [&](Index i, Index u) {
                     const Index key = rest[At(u)];
                     return Attends(i, key) &&
                            head_.local.IsLocal(group_.positions[At(i)], key);
                   });
        });
  }

  // Z of the queries that need it by all keys that they see.
  std::vector<AttentionSum> SumAllKeys() {
    std::vector<AttentionSum> all;
    Index most = 0;
    for (Index i = 0; i < block_.count; ++i) {
      all.emplace_back(function_, block_.exponents[i]);
      most = std::max(most, visible_[At(i)]);
    }
    const ScoredKeys keys(*head_.keys, head_.exponents, nullptr);
    ForEachProduct(
        keys, 0, most, block_, d_, stop_, products_,
        [&](const ProductBlock& products) {
          for (Index i = 0; i < block_.count; ++i) {
            const Index count =
                std::min(products.count, visible_[At(i)] - products.first);
            if (count <= 0) continue;
            all[At(i)].Add(products.products + i * products.count,
                           products.key_norms, nullptr, count, weights_);
          }
        });
    return all;
  }

  // The attended share of Z; NaN where Z is not known, no value where it is 0.
  std::vector<std::optional<double>> Shares() {
    std::vector<std::optional<double>> shares(At(block_.count));
    bool unknown = false;
    for (Index i = 0; i < block_.count; ++i) {
      unknown = unknown || !head_.KnowsZ(visible_[At(i)]);
    }
    std::vector<AttentionSum> all;
    const bool wanted = options_.normalization == AttendNormalization::kAllKeys;
    if (unknown && wanted) all = SumAllKeys();
    if (head_.factor != nullptr) {
      ComputeNormalizers(*head_.factor, stop_, products_, &block_);
    }
    for (Index i = 0; i < block_.count; ++i) {
      const AttentionSum& sum = sums_[At(i)];
      if (head_.KnowsZ(visible_[At(i)])) {
        if (IsUndefined(block_.z[i], block_.norms[i],
                        head_.factor->frobenius_norm, d_)) {
          continue;
        }
        shares[At(i)] = sum.ShareOf(head_.coefficient * block_.z[i],
                                    2 * block_.exponents[i]);
      } else if (!wanted) {
        shares[At(i)] = std::numeric_limits<double>::quiet_NaN();
      } else if (!all[At(i)].IsNothing(block_.norms[i], d_)) {
        shares[At(i)] = sum.ShareOf(all[At(i)]);
      }
    }
    return shares;
  }

  void Finish(AttendedHead* answer) {
    const std::vector<std::optional<double>> shares = Shares();
    if (stop_.stop_requested()) return;
    for (Index i = 0; i < block_.count; ++i) {
      const AttentionSum& sum = sums_[At(i)];
      const Index row = group_.rows[At(i)];
      answer->attended[At(row)] = sum.count();
      answer->captured_mass[At(row)] = shares[At(i)].value_or(0.0);
      // What rounding alone could have made is no direction to look in.
      if (sum.sum() == 0.0 || sum.IsNothing(block_.norms[i], d_)) continue;
      double factor = 1.0 / sum.sum();
      if (options_.normalization == AttendNormalization::kAllKeys) {
        factor *= shares[At(i)].value_or(0.0);
      }
      const double* from = output_ + i * e_;
      double* to = answer->output.row(row);
      for (Index c = 0; c < e_; ++c) to[c] = factor * from[c];
    }
  }

  const AttendHead& head_;
  const QueryGroup& group_;
  const AttendOptions& options_;
  const AttentionFunction& function_;
  const StopToken& stop_;
  const Index d_;
  const Index e_;
  QueryBlock block_;
  std::vector<AttentionSum> sums_;
  std::vector<Index> visible_;
  double* output_;    // queries x e
  double* weights_;   // queries x kKeyBlock
  double* values_;    // kKeyBlock x e
  double* products_;  // of ForEachProduct and ComputeNormalizers
};

absl::Status CheckNumbers(absl::Span<const AnyMatrixView> heads,
                          std::string_view field,
                          const ComputeContext& context) {
  Index rows_before = 0;
  for (const AnyMatrixView& head : heads) {
    const absl::Status finite = CheckFinite(head, field, context, rows_before);
    if (!finite.ok()) return finite;
    rows_before += Rows(head);
  }
  return absl::OkStatus();
}

// Of every query of heads that are ready.
std::vector<AttendedHead> AttendTo(const AttendHeads& found,
                                   absl::Span<const AnyMatrixView> queries,
                                   const AttendOptions& options,
                                   const ComputeContext& context) {
  const std::vector<AttendHead>& heads = found.heads;
  const Index m = Rows(queries.front());
  const Index e = Cols(heads.front().values);
  const auto key_count = static_cast<Index>(heads.size());
  const auto query_count = static_cast<Index>(queries.size());
  std::vector<AttendedHead> answers(queries.size());
  std::vector<QueryGroup> groups;
  for (Index g = 0; g < query_count; ++g) {
    AttendedHead& answer = answers[At(g)];
    answer.output = Matrix<double>(m, e);
    answer.captured_mass.assign(At(m), 0.0);
    answer.attended.assign(At(m), 0);
    AddGroups(g, m, options, heads[At(g * key_count / query_count)].n, &groups);
  }
  const AttentionFunction function(found.function);
  ScratchPool pool(GroupPass::Scratch(Cols(queries.front()), e));
  context.workers.ParallelFor(
      static_cast<Index>(groups.size()), context.stop, [&](Index task) {
        const QueryGroup& group = groups[At(task)];
        ScratchPool::Lease work = pool.Borrow();
        GroupPass(heads[At(group.head * key_count / query_count)],
                  queries[At(group.head)], group, options, function,
                  context.stop, work.data())
            .Run(&answers[At(group.head)]);
      });
  return answers;
}

// What the queries of a block meet.
struct AttendedShape {
  Index n = 0;
  Index d = 0;
  Index e = 0;
  double common = 0.0;  // members and sinks of a head
};

Cost CostOfQueries(const AttendedShape& shape, double queries,
                   const AttendOptions& options, int workers) {
  const auto columns = static_cast<double>(shape.d);
  const auto outputs = static_cast<double>(shape.e);
  const auto n = static_cast<double>(shape.n);
  const LocalKeys local(shape.n, options);
  const double attended = std::min(n, shape.common + local.most());
  Cost cost;
  cost.flops = 2.0 * queries * (columns + outputs) * attended +
               queries * columns * columns;
  if (options.normalization == AttendNormalization::kAllKeys) {
    cost.flops += 2.0 * queries * columns * n;
  }
  // Local keys of a group: of every query its own, before they are merged.
  const double near =
      3.0 * 8.0 *
      std::min(static_cast<double>(kQueryBlock) * local.most() + 1.0,
               (options.grid.has_value() ? 64.0 : 4.0) * (n + 1.0));
  const double of_group =
      8.0 * static_cast<double>(GroupPass::Scratch(shape.d, shape.e)) +
      2.0 * static_cast<double>(kQueryBlock) * 2.0 * sizeof(AttentionSum) +
      2.0 * near;
  cost.bytes = static_cast<double>(workers) * of_group +
               queries * (8.0 * (outputs + 2.0) + 2.0 * 16.0 + 64.0 + 48.0) +
               65536.0;
  return cost;
}

}  // namespace

bool AttendKeys::reads_inputs() const {
  const AttendOptions& options = heads_->options;
  const bool all = options.normalization == AttendNormalization::kAllKeys;
  for (const AttendHead& head : heads_->heads) {
    if (head.local.any()) return true;
    if (all && (head.factor == nullptr || options.causal)) return true;
  }
  return false;
}

double AttendKeys::bytes() const {
  double bytes = sizeof(AttendHeads);
  for (const AttendHead& head : heads_->heads) {
    bytes +=
        sizeof(AttendHead) + 4.0 * static_cast<double>(head.exponents.size());
    bytes += 8.0 * static_cast<double>(head.common.size()) +
             8.0 * static_cast<double>(head.common_keys.size() +
                                       head.common_values.size());
  }
  for (const QueryableSet& set : heads_->sets) bytes += set.bytes();
  return bytes;
}

absl::StatusOr<AttendKeys> PrepareAttend(absl::Span<const AnyMatrixView> keys,
                                         absl::Span<const QueryableSet> sets,
                                         absl::Span<const AnyMatrixView> values,
                                         const AttendOptions& options,
                                         const ComputeContext& context) {
  absl::Status status = CheckNumbers(values, "values", context);
  if (!status.ok()) return status;
  absl::StatusOr<AttendHeads> heads =
      FindAttendHeads(keys, sets, values, options, context);
  if (!heads.ok()) return heads.status();
  // Of no query more is known than that one may be the last.
  status = CheckNormalizers(*heads, 1, heads->options);
  if (!status.ok()) return status;
  return AttendKeys(std::make_shared<const AttendHeads>(*std::move(heads)));
}

absl::StatusOr<std::vector<AttendedHead>> Attend(
    const AttendKeys& keys, absl::Span<const AnyMatrixView> queries,
    const std::vector<Index>& positions, const ComputeContext& context) {
  AttendOptions options = keys.heads().options;
  options.positions = positions;
  absl::Status status =
      CheckNormalizers(keys.heads(), Rows(queries.front()), options);
  if (status.ok()) status = CheckNumbers(queries, "queries", context);
  if (!status.ok()) return status;
  std::vector<AttendedHead> answers =
      AttendTo(keys.heads(), queries, options, context);
  status = CheckStop(context.stop);
  if (!status.ok()) return status;
  return answers;
}

absl::StatusOr<std::vector<AttendedHead>> Attend(
    absl::Span<const AnyMatrixView> keys, absl::Span<const QueryableSet> sets,
    absl::Span<const AnyMatrixView> values,
    absl::Span<const AnyMatrixView> queries, const AttendOptions& options,
    const ComputeContext& context) {
  // Before any set is looked for.
  const absl::Status finite = CheckNumbers(queries, "queries", context);
  if (!finite.ok()) return finite;
  const absl::StatusOr<AttendKeys> ready =
      PrepareAttend(keys, sets, values, options, context);
  if (!ready.ok()) return ready.status();
  return Attend(*ready, queries, options.positions, context);
}

Cost CostOfAttend(const AttendKeys& keys, Index query_heads, Index m,
                  int workers) {
  const AttendHeads& heads = keys.heads();
  AttendedShape shape{.e = Cols(heads.heads.front().values)};
  for (const AttendHead& head : heads.heads) {
    shape.n = std::max(shape.n, head.n);
    shape.d = head.common_keys.cols();
    shape.common =
        std::max(shape.common, static_cast<double>(head.common.size()));
  }
  return CostOfQueries(
      shape, static_cast<double>(query_heads) * static_cast<double>(m),
      heads.options, workers);
}

Cost CostOfAttend(Index key_heads, Index n, Index d, Index e, Index query_heads,
                  Index m, const AttendOptions& options, int workers) {
  Cost cost = CostOfAttendHeads(key_heads, n, d, e, options, workers);
  cost += CostOfQueries(
      {.n = n, .d = d, .e = e, .common = MostCommonKeys(n, d, options)},
      static_cast<double>(query_heads) * static_cast<double>(m), options,
      workers);
  return cost;
}

Cost CostOfAttendKeys(Index key_heads, Index n, Index d, Index e,
                      const AttendOptions& options, int workers) {
  return CostOfAttendHeads(key_heads, n, d, e, options, workers);
}

}  // namespace steelyard
