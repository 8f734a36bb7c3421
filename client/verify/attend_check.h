// Attention outputs by brute force.
#pragma once

#include <cstdint>
#include <vector>

#include "client/verify/rows.h"
#include "client/verify/verdict.h"
#include "steelyard/client/attend.h"

namespace steelyard::verify {

struct AttendCheck {
  Verdict verdict;
  // Largest |output - recomputed| / max |value| over the rows: the sum over the
  // keys that the answer must attend to, weighted anew.
  double largest_error = 0.0;
  // ||output - full attention||_F / ||full attention||_F: what leaving keys out
  // costs. A figure, not a rule.
  double full_attention_error = 0.0;
};

// `members`: of this key head, ascending. positions: of the queries, as used;
// empty: query i is at n - m + i.
//
//   the number of attended keys of each row;
//   the output, within 1e-5 of the largest value where the wire carries it as
//     float64.
AttendCheck CheckAttention(const Rows& keys, const Rows& values,
                           const Rows& queries,
                           const client::AttendOptions& options,
                           const client::ScoreFunction& function,
                           const std::vector<int64_t>& members,
                           const RowMatrix& output,
                           const std::vector<int64_t>& attended);

}  // namespace steelyard::verify
