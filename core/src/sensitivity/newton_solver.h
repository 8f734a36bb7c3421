// p > 1: Newton's method with a line search.
//
// METHOD  p >= 2: weights |t|^(p-2); without a line search this is reweighted
//   least squares damped by 1 / (p - 1). 1 < p < 2: (t^2 + mu^2)^(p/2) with
//   mu -> 0, the dual kept as an unknown of its own (primal-dual Newton), which
//   keeps the steps long when mu is small. The dual of a step,
//   z = (psi + h X dy) / lambda, has X'z = x_j whatever the weights are.
//
// SOURCE  NUMERICS N7. Conn, Overton, Andersen, Christiansen: an efficient
//   primal-dual method for minimizing a sum of Euclidean norms, SISC 22 (2000).
#pragma once

#include <vector>

#include "sensitivity/key_solver.h"
#include "sensitivity/power_norm.h"
#include "sensitivity/tall_products.h"

namespace steelyard {

class NewtonSolver : public KeySolver {
 public:
  NewtonSolver(const WhitenedKeys& keys, double p);

  bool Start(Index j, const double* y0, const ComputeContext& context) override;
  bool Step(const ComputeContext& context) override;

 private:
  // psi and h of the current t.
  void WeighLarge();   // p >= 2
  void WeighSmooth();  // p < 2
  // f(t + alpha dt) up to a constant.
  double Value(double alpha, const StopToken& stop);
  // The step length; 0: none improves.
  double LineSearch(const StopToken& stop);

  AbsPower power_;
  double mu_ = 0.0;
  double scale_ = 1.0;
  bool has_dual_ = false;
  WeightedSystem system_;
  std::vector<double> psi_;
  std::vector<double> h_;
  std::vector<double> dt_;
  std::vector<double> trial_;
  std::vector<double> unscaled_dual_;  // psi + h dt, p < 2
  std::vector<double> dy_;
  std::vector<double> system_x_;
};

}  // namespace steelyard
