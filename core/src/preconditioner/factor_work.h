// What factors cost, in products with one vector: n^2 (d + 2) flops of the
// tiles' precision; and which ones memory has room for.
#pragma once

#include <vector>

#include "kernel/scaled_system.h"
#include "preconditioner/preconditioner.h"

namespace steelyard {

// Whether float32 tiles are good enough for steps on S.
TilePrecision StepPrecision(const PreconditionerSource& source);

// Work of a flop in the making of a factor over that of a flop in a product: 2
// for float64 beside float32 tiles.
double WeightOfFactorFlops(KernelPreconditioner kind, Index rank,
                           const PreconditionerSource& source);

class FactorWork {
 public:
  // `source` must outlive it.
  explicit FactorWork(const PreconditionerSource& source);

  double product_flops() const { return product_flops_; }

  // Columns of pivots from one number to another.
  double ProductsToGrow(Index from, Index to) const;
  // The small factor of Woodbury.
  double ProductsToInvert(KernelPreconditioner kind, Index rank) const;
  // A polynomial sketch and its small factor.
  double ProductsOfSketch(Index rank) const;
  // Pivots that cost this many products with their small factor; at least 1.
  Index PivotsFor(double products) const;

  // Of this many steps: a factor is read twice a step, from a cache or, at the
  // price of more flops, from memory.
  double ProductsOfSteps(double steps, KernelPreconditioner kind,
                         Index rank) const;

  // Mean of the diagonal of S that the exact levels of a polynomial sketch
  // leave, over that of all of it; in (0, 1].
  double LeftByMonomials(Index columns) const;
  // The same of a rest of the diagonal.
  double LeftOf(const std::vector<double>& rest) const;

 private:
  double Rows() const { return static_cast<double>(source_.rows.rows()); }

  const PreconditionerSource& source_;
  double product_flops_;
  double diagonal_ = 0.0;  // its sum
};

// Numbers of columns of all monomials up to level 0, 1, ..., while they are at
// most `most` and belong to the series of polynomial_sketch.h.
std::vector<Index> ExactColumns(const KernelRows& rows, Index most);

// Largest rank whose making stays below `bytes`, in [0, n].
Index LargestRank(double bytes, Index n, Index d, int workers);
// The same of a polynomial sketch, in the precision that it is kept in, by one
// worker.
Index LargestSketch(double bytes, const PreconditionerSource& source);

}  // namespace steelyard
