#include "queries/attention_sum.h"

#include <algorithm>
#include <cmath>

#include "queries/query_block.h"

namespace steelyard {

AttentionFunction::AttentionFunction(const ScoreFunction& function) {
  if (const auto* softmax = std::get_if<Softmax>(&function)) {
    scale = softmax->scale;
  } else {
    terms = TermsOf(function);
  }
}

AttentionSum::AttentionSum(const AttentionFunction& function,
                           int query_exponent)
    : function_(&function), query_exponent_(query_exponent) {}

double AttentionSum::Add(const double* products, const double* key_norms,
                         const unsigned char* attended, Index count,
                         double* weights) {
  const double factor =
      softmax() ? AddExponentials(products, attended, count, weights)
                : AddPowers(products, attended, count, weights);
  double added = 0.0;
  for (Index u = 0; u < count; ++u) {
    added += weights[u];
    if (attended != nullptr && attended[u] == 0) continue;
    key_square_ += key_norms[u] * key_norms[u];
    ++count_;
  }
  sum_ = factor * sum_ + added;
  return factor;
}

double AttentionSum::AddPowers(const double* products,
                               const unsigned char* attended, Index count,
                               double* weights) {
  double largest = 0.0;
  for (Index u = 0; u < count; ++u) {
    if (attended != nullptr && attended[u] == 0) continue;
    largest = std::max(largest, std::abs(products[u]));
  }
  double factor = 1.0;
  if (largest > largest_) {
    largest_ = largest;
    const int shift = ShiftOf(largest);
    if (!scaled_.has_value() || shift > shift_) {
      const int exponent = scaled_.has_value() ? scaled_->exponent() : 0;
      squares_ = std::ldexp(squares_, 2 * (shift_ - shift));
      shift_ = shift;
      const bool first = !scaled_.has_value();
      scaled_.emplace(function_->terms, query_exponent_, shift_);
      if (!first) factor = std::exp2(exponent - scaled_->exponent());
    }
  }
  if (!scaled_.has_value()) {  // every product so far is 0
    std::fill(weights, weights + count, 0.0);
    return 1.0;
  }
  scaled_->Evaluate(products, count, weights);
  const double unit = std::ldexp(1.0, -shift_);
  for (Index u = 0; u < count; ++u) {
    if (attended != nullptr && attended[u] == 0) {
      weights[u] = 0.0;
      continue;
    }
    const double t = unit * products[u];
    squares_ += t * t;
  }
  return factor;
}

double AttentionSum::Exponential(double difference) const {
  // Scaled last: two infinite logits differ by what their products differ by.
  return std::exp(std::ldexp(function_->scale * difference, query_exponent_));
}

double AttentionSum::AddExponentials(const double* products,
                                     const unsigned char* attended, Index count,
                                     double* weights) {
  bool any = count_ > 0;
  double largest = largest_;
  for (Index u = 0; u < count; ++u) {
    if (attended != nullptr && attended[u] == 0) continue;
    largest = any ? std::max(largest, products[u]) : products[u];
    any = true;
  }
  const double factor = count_ > 0 ? Exponential(largest_ - largest) : 1.0;
  largest_ = largest;
  for (Index u = 0; u < count; ++u) {
    weights[u] = attended != nullptr && attended[u] == 0
                     ? 0.0
                     : Exponential(products[u] - largest);
  }
  return factor;
}

bool AttentionSum::IsNothing(double query_norm, Index d) const {
  if (softmax()) return count_ == 0;
  return IsUndefined(std::ldexp(squares_, 2 * shift_), query_norm,
                     std::sqrt(key_square_), d);
}

double AttentionSum::ShareOf(const AttentionSum& all) const {
  if (sum_ == 0.0 || all.sum_ == 0.0) return 0.0;
  if (softmax()) {
    return std::min(1.0,
                    sum_ / all.sum_ * Exponential(largest_ - all.largest_));
  }
  return ShareOf(all.sum_, all.scaled_->exponent());
}

double AttentionSum::ShareOf(double z, int exponent) const {
  if (sum_ == 0.0 || z == 0.0) return 0.0;
  return std::min(1.0, std::ldexp(sum_ / z, scaled_->exponent() - exponent));
}

}  // namespace steelyard
