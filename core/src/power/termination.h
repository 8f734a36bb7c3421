// Why a solve ended, for one right-hand side and for all.
//
// SOURCE  NUMERICS N2, "Terminations". Only measured quantities decide.
#pragma once

#include <optional>
#include <vector>

#include "steelyard/solution.h"
#include "steelyard/stop_token.h"

namespace steelyard {

// What was measured of one right-hand side.
struct Measured {
  bool zero_right_side = false;
  double judged_residual = 0.0;  // even: residual; odd: excess; over |b|
  double residual_floor = 0.0;   // phi
  double forward_error = 0.0;
  // j kappa u >= 0.1: no digit is certified, whatever b.
  bool beyond_format = false;
  bool limited = false;  // max_iterations ended a refinement that still halved
  StopReason stopped = StopReason::kNone;  // before the work was done
};

// 8 (j + 1): the factor of phi in "at the floor".
double FloorFactor(int exponent);

// `given`, or 8 (j + 1) max(phi, u): as good as float64 allows.
double ToleranceOf(std::optional<double> given, int exponent, double phi);

Termination TerminationOf(const Measured& measured, double tolerance,
                          int exponent);

// The worst one; kConverged of none.
Termination Worst(const std::vector<Termination>& terminations);

}  // namespace steelyard
