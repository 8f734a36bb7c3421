// The Solution of a power regression, put together slice by slice.
#pragma once

#include <cstdint>
#include <vector>

#include "power/slice_solver.h"
#include "steelyard/solution.h"

namespace steelyard {

class PowerAnswer {
 public:
  // x is d x k and zero until slices are added.
  PowerAnswer(Index d, Index k, bool odd);

  // Columns first, first + 1, ... . Rows of slice.x are still times
  // 2^exponents. In any order.
  void Add(Index first, const std::vector<int>& exponents, SliceAnswer slice);

  // The same of x alone, columns [from, from + count) of `x`, each times
  // 2^exponents. Different columns at the same time. False: some number does
  // not fit float64, and Add must be told all.
  bool PutColumns(Index first, const Matrix<double>& x,
                  const std::vector<int>& exponents, Index from, Index count);

  // x and what the slices reported.
  Solution Finish(bool extended_output) &&;

  // x = 0, when nothing could be done before `why`.
  Solution Stopped(StopReason why) &&;

 private:
  void AddReport(Index first, const SliceAnswer& slice);

  bool odd_;
  // Entry (i, c) is (hi + lo) 2^exponent.
  Matrix<double> hi_;
  Matrix<double> lo_;                    // empty until a slice has low parts
  std::vector<std::int64_t> exponents_;  // empty: zeros
  std::vector<Termination> terminations_;
  SolveReport report_;
};

// x from mantissas and exponents: plain numbers when every one fits float64,
// else x_exponents (mantissas in [0.5, 1)). `lo` empty: no low parts wanted.
// False: some exponent lies outside of int and was cut.
bool AssembleX(Matrix<double> hi, Matrix<double> lo,
               const std::vector<std::int64_t>& exponents, Solution& solution);

}  // namespace steelyard
