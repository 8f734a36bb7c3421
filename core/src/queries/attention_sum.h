// sum f(t_j) of one query as its keys come, and the weights f(t_j) to go with
// it, in a unit that follows the largest: nothing overflows, whatever f is.
//
// METHOD  Powers: t relative to a power of two. Softmax: relative to the
// largest
//   logit. When the unit grows, what was summed before is multiplied by the
//   factor that Add returns (online softmax).
//
// SOURCE  NUMERICS N8. Milakov, Gimelshein, arXiv 1805.02867.
#pragma once

#include <optional>
#include <vector>

#include "queries/score_terms.h"

namespace steelyard {

struct AttentionFunction {
  explicit AttentionFunction(const ScoreFunction& function);

  std::vector<PowerTerm> terms;  // empty: softmax
  double scale = 1.0;            // of softmax
};

class AttentionSum {
 public:
  // The products given are those of a query scaled by 2^-query_exponent. Keeps
  // a pointer to `function`.
  AttentionSum(const AttentionFunction& function, int query_exponent);

  // weights[u] := f(products[u]) in the unit of now, 0 where attended (unset:
  // all) is 0. Returns what earlier weights are to be multiplied by, in (0, 1].
  double Add(const double* products, const double* key_norms,
             const unsigned char* attended, Index count, double* weights);

  double sum() const { return sum_; }  // in the unit
  Index count() const { return count_; }

  // Could rounding alone have made the sum? Powers only:
  // sum t^2 <= (4 d u ||K|| ||q||)^2.
  bool IsNothing(double query_norm, Index d) const;

  // This sum as a share of one over more keys of the same query.
  double ShareOf(const AttentionSum& all) const;
  // Powers: of z 2^exponent.
  double ShareOf(double z, int exponent) const;

 private:
  double AddPowers(const double* products, const unsigned char* attended,
                   Index count, double* weights);
  double AddExponentials(const double* products, const unsigned char* attended,
                         Index count, double* weights);
  // exp of scale 2^query_exponent difference, where that is <= 0.
  double Exponential(double difference) const;

  bool softmax() const { return function_->terms.empty(); }

  const AttentionFunction* function_;
  int query_exponent_;
  std::optional<ScaledFunction> scaled_;  // powers, once t != 0
  int shift_ = 0;
  double largest_ = 0.0;  // powers: |t|; softmax: t, once count_ > 0
  double sum_ = 0.0;
  double squares_ = 0.0;  // of 2^-shift t
  double key_square_ = 0.0;
  Index count_ = 0;
};

}  // namespace steelyard
