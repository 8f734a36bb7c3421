// The preconditioner of [SYZ24]: sketched Taylor features of the rows.
//
//     e^{s x.y} = sum_l s^l <x, y>^l / l!   on centred rows,
//     F_i = w_i e^{offset_i} [ s^{l/2} x_i^{(x)l} / sqrt(l!) ]_{l = 0..p},
//     p = r^2 + r sqrt(2 ln(1/eps)),  r^2 = max s|a_i - c|^2
//
// METHOD  Levels from 0 on as their monomials, x^alpha / sqrt(alpha!), while
//   they fit into the columns asked for: exact. What is left of the columns is
//   one sketch of all other levels (power_sketch.h, its kind by work times
//   variance). P = F F' + diag(max(floor, shift + what F misses of the
//   diagonal)): positive definite however far the sketch is off.
//   eps = 1e-3: a sketch of r columns is off by 1 / sqrt(r).
//   Offered for r^2 <= 30: above, p goes to hundreds.
//
// SOURCE  Song, Yin, Zhang, arXiv 2308.14304; Ahle et al., arXiv 1909.01410;
//   monomials: Cotter, Keshet, Srebro, arXiv 1109.4603.
#pragma once

#include <memory>
#include <vector>

#include "preconditioner/low_rank_preconditioner.h"
#include "preconditioner/power_sketch.h"
#include "preconditioner/preconditioner.h"

namespace steelyard {

inline constexpr double kTaylorSquareMax = 30.0;

struct TaylorPlan {
  int degree = 1;            // p
  int exact_levels = 0;      // 0 .. exact_levels - 1 as monomials
  Index exact_columns = 0;   // of these
  Index sketch_columns = 0;  // 0: all levels up to p are exact
  PowerSketchPlan sketch;
  double flops = 0.0;  // of all rows

  Index columns() const { return exact_columns + sketch_columns; }
};

// Largest s|a - c|^2.
double LargestSquare(const KernelRows& rows);

// n and r^2 are those of `rows`. `columns` >= 1.
TaylorPlan PlanTaylorFeatures(const KernelRows& rows, Index columns,
                              std::uint64_t seed);

struct TaylorFactor {
  FactorBlock features;         // F', columns x n
  std::vector<double> squares;  // |F_i|^2 of each row of F, as it is kept
};

// Computed in float64, whatever they are kept in.
// COST    plan.flops; 8 n r bytes, half of that in float32.
// ERRORS  The stop token.
absl::StatusOr<TaylorFactor> TaylorFeatures(const TaylorPlan& plan,
                                            FactorPrecision precision,
                                            const PreconditionerSource& source,
                                            const ComputeContext& context);

// ERRORS  InvalidArgument FIELD_OUT_OF_RANGE, field "preconditioner": r^2 >
//         kTaylorSquareMax. The stop token.
absl::StatusOr<std::unique_ptr<LowRankPreconditioner>> MakePolynomialSketch(
    Index rank, const PreconditionerSource& source,
    const ComputeContext& context);

}  // namespace steelyard
