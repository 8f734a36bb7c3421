// p = 1: a linear programme, min sum u over -u <= X y <= u, <x_j, y> = 1, by a
// primal-dual interior-point method.
//
// METHOD  Slacks s1 = u - t, s2 = u + t with multipliers a, b, a + b = 1; the
//   dual is z = a - b. Mehrotra's predictor and corrector share one system
//   X' diag(4 / (s1/a + s2/b)) X: the work of one reweighted solve, some ten
//   times. Reweighting alone stalls at p = 1.
//
// SOURCE  NUMERICS N7. Mehrotra, SIAM J. Optim. 2 (1992), 575; Portnoy,
// Koenker,
//   The Gaussian hare and the Laplacian tortoise, Stat. Sci. 12 (1997).
#pragma once

#include <vector>

#include "sensitivity/key_solver.h"
#include "sensitivity/tall_products.h"

namespace steelyard {

class InteriorPointSolver : public KeySolver {
 public:
  explicit InteriorPointSolver(const WhitenedKeys& keys);

  bool Start(Index j, const double* y0, const ComputeContext& context) override;
  bool Step(const ComputeContext& context) override;

 private:
  struct Direction {
    double lambda = 0.0;
    std::vector<double> dy;
    std::vector<double> dt;
    std::vector<double> du;
    std::vector<double> da;  // db = -da
  };
  struct StepLengths {
    double primal = 1.0;
    double dual = 1.0;
  };

  // The Newton direction for the complementarity targets c1_, c2_.
  bool Solve(const ComputeContext& context, Direction& direction);
  StepLengths Longest(const Direction& direction) const;
  // a's1 + b's2 after a step of these lengths, over 2 n.
  double Gap(const Direction& direction, StepLengths lengths) const;
  void Move(const Direction& direction, StepLengths lengths);

  WeightedSystem system_;
  std::vector<double> s1_;
  std::vector<double> s2_;
  std::vector<double> a_;
  std::vector<double> b_;
  std::vector<double> c1_;
  std::vector<double> c2_;
  std::vector<double> h_;
  std::vector<double> shift_;
  std::vector<double> system_x_;
  Direction predictor_;
  Direction corrector_;
};

}  // namespace steelyard
