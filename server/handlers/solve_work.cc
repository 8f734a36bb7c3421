#include "server/handlers/solve_work.h"

#include <variant>

#include "absl/random/random.h"
#include "server/convert/tensor_input.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/power_regression.h"

namespace steelyard::server {

absl::StatusOr<Solution> SolveRegression(const SolveProblem& problem,
                                         const ComputeContext& context) {
  const TensorMatrices a(problem.a());
  const TensorMatrices b(problem.b());
  if (const auto* const kernel =
          std::get_if<AttentionKernelOptions>(&problem.options())) {
    return SolveAttentionKernelRegression(a.matrix(), b.matrix(), *kernel,
                                          context);
  }
  return SolvePowerRegression(
      a.matrix(), b.matrix(),
      std::get<PowerRegressionOptions>(problem.options()), context);
}

std::uint64_t SeedFor(const SolveProblem& problem) {
  thread_local absl::BitGen bits;
  return problem.seed().has_value() ? *problem.seed()
                                    : absl::Uniform<std::uint64_t>(bits);
}

const char* NameOf(Termination termination) {
  switch (termination) {
    case Termination::kConverged:
      return "CONVERGED";
    case Termination::kIterationLimit:
      return "ITERATION_LIMIT";
    case Termination::kTimeLimit:
      return "TIME_LIMIT";
    case Termination::kPrecisionFloor:
      return "PRECISION_FLOOR";
    case Termination::kIllConditioned:
      return "ILL_CONDITIONED";
    case Termination::kStopped:
      return "STOPPED";
  }
  return "UNKNOWN";
}

}  // namespace steelyard::server
