// What a kernel regression takes, and which road is the cheaper one: by counted
// work, never by the clock.
#pragma once

#include "steelyard/attention_kernel_regression.h"
#include "steelyard/cost.h"

namespace steelyard {

// Up to here n^2 numbers may be stored (1.8 GB) when nobody names a method.
inline constexpr Index kDenseRowsMax = 15000;

enum class Road {
  kDense,      // named, or too small for anything else to pay
  kIterative,  // named (either iteration), or n^2 numbers are too many
  kCheaper,    // of both, once it is known how many steps one takes
};

Road RoadOf(Index n, Index d, const AttentionKernelOptions& options);

// Counted work of the Cholesky road, and of this many steps and their checks
// with a factor of `rank`, in flops of a float64 GEMM; tiles are kept where
// they may be. One right-hand side.
double DenseWork(Index n, Index d);
double IterativeWork(Index n, Index d, Index rank, double iterations,
                     bool float32);

// Of factors that are chosen, and of their making by one worker.
inline constexpr double kGrownFactorBytes = 576.0 * 1024.0 * 1024.0;
// Pivots that these hold.
Index GrownRankMax(Index n, Index d);

}  // namespace steelyard
