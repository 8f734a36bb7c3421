#include "power/power_shape.h"

#include <algorithm>

#include "factor/factor.h"
#include "power/csr_pass.h"
#include "power/least_squares_error.h"
#include "power/residual_pass.h"
#include "published/sketched_triangle.h"
#include "sparse/csr_factor.h"
#include "sparse/csr_scan.h"

namespace steelyard {
namespace {

// Solves with A'A of a level and of its certificate, each of some 35 passes
// and as many products with R0^-1 and R0^-T.
constexpr double kSolvesOfLevel = 6.0;
constexpr double kPassesOfSolve = 35.0;
// Blocks of d x k that an iteration holds, widened copies included.
constexpr double kBlocksOfSolve = 10.0;
// Columns are worked on in groups of eight.
constexpr Index kColumnGroup = 8;

Cost CostOfLadder(const PowerShape& shape, int workers) {
  if (!shape.nonzeros) return CostOfFactor(shape.n, shape.d, workers);
  Cost cost = CostOfCsrFactor(shape.n, shape.d, *shape.nonzeros, workers);
  cost.bytes = std::max(
      cost.bytes, BytesOfCsrScan(shape.n, shape.d, *shape.nonzeros, workers));
  return cost;
}

}  // namespace

Cost CostOfFactor(const PowerShape& shape,
                  const PowerRegressionOptions& options, int workers) {
  const Cost ladder = CostOfLadder(shape, workers);
  if (options.method != PowerMethod::kSketch) return ladder;
  // The ladder follows where the sketch has not full rank.
  const Index entries = shape.nonzeros.value_or(shape.n * shape.d);
  const SketchPlan plan =
      SketchFor(shape.n, shape.d, entries, options.sketch, options.seed);
  const Cost sketch =
      CostOfSketchedTriangle(plan, shape.n, shape.d, entries, workers);
  return {.flops = ladder.flops + sketch.flops,
          .bytes = std::max(ladder.bytes, sketch.bytes)};
}

Cost CostOfIteration(const PowerShape& shape,
                     const PowerRegressionOptions& options, Index slice) {
  Cost cost;
  if (options.family == PowerFamily::kLeftGramPower && options.exponent == 0) {
    cost.flops = CostOfLeastSquaresErrors(shape.d, shape.k).flops;
    cost.bytes = CostOfLeastSquaresErrors(shape.d, slice).bytes;
  }
  if (options.method != PowerMethod::kSketch) return cost;
  const auto d = static_cast<double>(shape.d);
  const auto width = static_cast<double>(slice + kColumnGroup);
  cost += {.flops = (options.exponent + 1.0) * kSolvesOfLevel * kPassesOfSolve *
                    static_cast<double>(shape.k) *
                    (4.0 * EntriesOf(shape) + 2.0 * d * d),
           .bytes = 8.0 * kBlocksOfSolve * d * width};
  return cost;
}

double BytesOfPass(const PowerShape& shape, Index k, int workers) {
  if (!shape.nonzeros) return BytesOfPass(shape.n, shape.d, k, workers);
  return BytesOfCsrPass(shape.n, shape.d, *shape.nonzeros, k, workers);
}

double EntriesOf(const PowerShape& shape) {
  if (shape.nonzeros) return static_cast<double>(*shape.nonzeros);
  return static_cast<double>(shape.n) * static_cast<double>(shape.d);
}

}  // namespace steelyard
