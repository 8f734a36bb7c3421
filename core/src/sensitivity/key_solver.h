// min ||X y||_p over <x_j, y> = 1 for one key: step by step, each step with a
// query y and a dual z that certify sigma_j from both sides.
//
// SOURCE  NUMERICS N7.
#pragma once

#include <cmath>
#include <vector>

#include "linalg/blas.h"
#include "sensitivity/tall_products.h"
#include "sensitivity/whitened_keys.h"
#include "steelyard/compute_context.h"

namespace steelyard {

class KeySolver {
 public:
  virtual ~KeySolver() = default;

  // Begins with key j at y0 (r numbers, <x_j, y0> != 0). False: no start.
  virtual bool Start(Index j, const double* y0,
                     const ComputeContext& context) = 0;
  // False: no further progress is possible (or a stop).
  // COST  n r^2 flops and O(n r).
  virtual bool Step(const ComputeContext& context) = 0;

  const std::vector<double>& y() const { return y_; }
  const std::vector<double>& t() const { return t_; }  // X y
  // Nearly X'z = x_j; as the last step left it. May be written to.
  std::vector<double>& dual() { return dual_; }

 protected:
  explicit KeySolver(const WhitenedKeys& keys)
      : keys_(keys),
        y_(static_cast<std::size_t>(keys.rank())),
        t_(keys.norms.size()),
        dual_(keys.norms.size()) {}

  // y scaled to <x_j, y> = 1 and t = X y; false when that cannot be.
  bool Normalise(const StopToken& stop) {
    const double product = Dot(keys_.x.row(j_), y_.data(), keys_.rank());
    if (!std::isfinite(1.0 / product) || product == 0.0) return false;
    Scale(1.0 / product, y_.data(), keys_.rank());
    MultiplyTall(keys_.x, y_.data(), stop, t_.data());
    return !stop.stop_requested();
  }

  // dual := dual + h X H^-1 (x_j - X' dual), H = X' diag(h) X factored: what
  // rounding left is taken up where h is large, that is, where the dual is far
  // from its bounds.
  void CorrectDual(const WeightedSystem& system, const std::vector<double>& h,
                   const StopToken& stop) {
    std::vector<double> gap(y_.size());
    MultiplyTallTransposed(keys_.x, dual_.data(), stop, gap.data());
    Scale(-1.0, gap.data(), keys_.rank());
    AddScaled(1.0, keys_.x.row(j_), gap.data(), keys_.rank());
    system.Solve(gap.data());
    correction_.resize(dual_.size());
    MultiplyTall(keys_.x, gap.data(), stop, correction_.data());
    for (std::size_t i = 0; i < dual_.size(); ++i) {
      dual_[i] += h[i] * correction_[i];
    }
  }

  const WhitenedKeys& keys_;
  Index j_ = 0;
  std::vector<double> y_;
  std::vector<double> t_;
  std::vector<double> dual_;

 private:
  std::vector<double> correction_;
};

}  // namespace steelyard
