// Attention scores and outputs by brute force, for any score function.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "client/verify/heavy_check.h"
#include "client/verify/rows.h"
#include "client/verify/verdict.h"
#include "steelyard/client/heavy_scores.h"
#include "steelyard/client/score_function.h"

namespace steelyard::verify {

// f(<q, k_l>) / sum over l < visible, for l < visible; all 0 where the sum is.
// COST  2 visible d flops.
Eigen::VectorXd ScoresOf(const RowMatrix& keys, const Eigen::RowVectorXd& query,
                         const client::ScoreFunction& function,
                         int64_t visible);

// Keys that query i of m sees: up to positions[i]; all n where that is empty.
int64_t VisibleKeys(const std::vector<int64_t>& positions, int64_t i,
                    int64_t n);

// Holds the rows of one query head against all scores of each of its queries,
// outside a band of relative width `band` around epsilon: nothing missed,
// nothing too many, every score in its interval, captured mass.
HeavyCheck CheckScores(const Rows& keys, const Rows& queries,
                       const client::ScoreFunction& function,
                       const std::vector<int64_t>& positions, double epsilon,
                       absl::Span<const client::HeavyRow> rows,
                       double band = 1e-6);

}  // namespace steelyard::verify
