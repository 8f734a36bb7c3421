// The exact answer of a power regression, in as many bits as it takes:
// 2 p log2 kappa + 200 (NUMERICS N9). Small matrices only.
//
// METHOD  A'A (+ l I) and its Cholesky factor in MPFR, level by level; the
//   exponential by its Taylor series. MPFR's exponents reach 2^(2^62), so that
//   no scaling is needed. Full column rank or l > 0 (exponential: any).
#pragma once

#include <memory>
#include <vector>

#include "steelyard/power_regression.h"

namespace steelyard::test {

struct PowerOracleProblem {
  Matrix<double> a;
  Matrix<double> b;  // rows(M) x 1
  PowerFamily family = PowerFamily::kGramPower;
  int exponent = 1;
  double ridge = 0.0;
  // Of A, at least about: decides the precision. Exponential: unused.
  double condition = 1.0;
};

class MpfrPowerOracle {
 public:
  explicit MpfrPowerOracle(const PowerOracleProblem& problem);
  ~MpfrPowerOracle();

  // Of column c of the solution, x_low and x_exponents included.
  double ForwardError(const Solution& solution, Index c = 0) const;
  // ||M x - b|| / ||b||; M with the ridge for kGramPower.
  double RelativeResidual(const Solution& solution, Index c = 0) const;
  // ||M (x - x*)|| / ||b||, M = [A; sqrt(l) I] (A'A + l I)^j.
  double ExcessResidual(const Solution& solution, Index c = 0) const;
  // x* rounded; entry i is value * 2^exponent.
  double Value(Index i, long* exponent) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace steelyard::test
