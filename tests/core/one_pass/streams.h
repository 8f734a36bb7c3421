// Keys sent block by block, and what the batch says about them.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "factor/factor.h"
#include "gtest/gtest.h"
#include "one_pass/candidate_buffer.h"
#include "queries/queryable_set_data.h"
#include "steelyard/one_pass.h"
#include "steelyard/random.h"
#include "steelyard/universal_set.h"

namespace steelyard::test {

inline const Workers& TwoWorkers() {
  static const Workers workers(2);
  return workers;
}

inline ComputeContext TestContext() { return ComputeContext{TwoWorkers()}; }

inline UniversalSet Batch(const AnyMatrixView& keys, double epsilon) {
  UniversalSetOptions options;
  options.epsilon = epsilon;
  absl::StatusOr<UniversalSet> set =
      FindUniversalSet(keys, options, TestContext());
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *std::move(set) : UniversalSet{};
}

inline OnePassUniversalSet NewPass(const OnePassOptions& options) {
  absl::StatusOr<OnePassUniversalSet> pass =
      OnePassUniversalSet::Create(options);
  EXPECT_TRUE(pass.ok()) << pass.status();
  return *std::move(pass);
}

// Blocks of `size` keys, the last one shorter.
inline std::vector<KeyRange> Blocks(Index n, Index size) {
  std::vector<KeyRange> blocks;
  for (Index first = 0; first < n; first += size) {
    blocks.push_back({first, std::min(size, n - first)});
  }
  return blocks;
}

// Sizes from 1 to about n, small ones as likely as large ones.
inline std::vector<KeyRange> RandomBlocks(const RandomStream& random,
                                          std::uint64_t& draw, Index n) {
  std::vector<KeyRange> blocks;
  for (Index first = 0; first < n;) {
    const auto size = static_cast<Index>(
        std::pow(static_cast<double>(n), random.Uniform(draw++)));
    blocks.push_back({first, std::clamp<Index>(size, 1, n - first)});
    first += blocks.back().count;
  }
  return blocks;
}

// Rows in random order.
inline void Shuffle(const RandomStream& random, std::uint64_t& draw,
                    Matrix<double>& keys) {
  for (Index i = keys.rows() - 1; i > 0; --i) {
    const auto j =
        static_cast<Index>(random.Uniform(draw++) * static_cast<double>(i + 1));
    std::swap_ranges(keys.row(i), keys.row(i) + keys.cols(),
                     keys.row(std::min(i, j)));
  }
}

// `options` with the columns and the type of `keys`.
inline OnePassUniversalSet Stream(const AnyMatrixView& keys,
                                  OnePassOptions options,
                                  const std::vector<KeyRange>& blocks) {
  options.columns = Cols(keys);
  options.storage = StorageOf(keys);
  OnePassUniversalSet pass = NewPass(options);
  for (const KeyRange& block : blocks) {
    const absl::Status status =
        pass.Add(SubView(keys, block.first, block.count), TestContext());
    EXPECT_TRUE(status.ok()) << status;
  }
  return pass;
}

inline UniversalSet Snapshot(const OnePassUniversalSet& pass) {
  absl::StatusOr<UniversalSet> set = pass.Snapshot(TestContext());
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *std::move(set) : UniversalSet{};
}

// The members that nobody may dispute: not within an error of epsilon, not
// there by the rank rule of N4 alone.
inline std::vector<Index> Certain(const UniversalSet& set,
                                  const UniversalSet& other) {
  std::vector<Index> certain;
  const auto holds = [](const std::vector<Index>& list, Index i) {
    return std::binary_search(list.begin(), list.end(), i);
  };
  for (const Index i : set.indices) {
    if (holds(set.undecided, i) || holds(other.undecided, i)) continue;
    certain.push_back(i);
  }
  return certain;
}

// Equal outside both undecided bands; scores equal within both errors.
inline void ExpectSameSet(const UniversalSet& set, const UniversalSet& batch) {
  EXPECT_EQ(Certain(set, batch), Certain(batch, set));
  EXPECT_EQ(set.rank, batch.rank);
  const double error = set.relative_score_error + batch.relative_score_error;
  for (std::size_t i = 0; i < set.indices.size(); ++i) {
    const auto at = std::lower_bound(batch.indices.begin(), batch.indices.end(),
                                     set.indices[i]);
    if (at == batch.indices.end() || *at != set.indices[i]) continue;
    const double score = batch.sensitivities[static_cast<std::size_t>(
        at - batch.indices.begin())];
    EXPECT_NEAR(set.sensitivities[i], score, error * score);
  }
}

inline void ExpectEqualStates(const OnePassState& a, const OnePassState& b) {
  ASSERT_EQ(a.ranges.size(), b.ranges.size());
  for (std::size_t i = 0; i < a.ranges.size(); ++i) {
    EXPECT_EQ(a.ranges[i].first, b.ranges[i].first);
    EXPECT_EQ(a.ranges[i].count, b.ranges[i].count);
  }
  ASSERT_EQ(a.factor.size(), b.factor.size());
  EXPECT_TRUE(std::equal(a.factor.data(), a.factor.data() + a.factor.size(),
                         b.factor.data()));
  EXPECT_EQ(a.column_exponents, b.column_exponents);
  EXPECT_EQ(a.factor_error, b.factor_error);
  EXPECT_EQ(a.householder_error, b.householder_error);
  EXPECT_EQ(a.indices, b.indices);
  EXPECT_EQ(a.candidates, b.candidates);
  EXPECT_EQ(a.arrival_scores, b.arrival_scores);
  EXPECT_EQ(a.arrival_errors, b.arrival_errors);
  EXPECT_EQ(a.arrival_total, b.arrival_total);
  EXPECT_EQ(a.arrival_bound, b.arrival_bound);
}

// `queryable` holds `set` and its rows of `keys`, whose first index is 0.
inline void ExpectHoldsKeys(const QueryableSet& queryable,
                            const UniversalSet& set,
                            const AnyMatrixView& keys) {
  const QueryableSetData& data = queryable.data();
  EXPECT_EQ(data.set.indices, set.indices);
  EXPECT_EQ(data.indices, set.indices);
  ASSERT_EQ(data.keys.rows(), static_cast<Index>(data.indices.size()));
  std::vector<double> row(static_cast<std::size_t>(Cols(keys)));
  for (Index i = 0; i < data.keys.rows(); ++i) {
    LoadScaledRows(keys, data.indices[static_cast<std::size_t>(i)], 1,
                   data.factor.scales.exponents, row.data());
    EXPECT_TRUE(std::equal(row.begin(), row.end(), data.keys.row(i)));
  }
}

}  // namespace steelyard::test
