#include "server/handlers/solve_work.h"

#include <variant>

#include "server/convert/matrix_input.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/power_regression.h"

namespace steelyard::server {

absl::StatusOr<Solution> SolveRegression(const SolveProblem& problem,
                                         const ComputeContext& context) {
  const auto a = LoadedMatrix::Load(problem.a(), context);
  if (!a.ok()) return a.status();
  if (absl::Status loaded = problem.b().Load(context.stop); !loaded.ok()) {
    return loaded;
  }
  const TensorMatrices b(problem.b());
  if (const auto* const kernel =
          std::get_if<AttentionKernelOptions>(&problem.options())) {
    return SolveAttentionKernelRegression(std::get<AnyMatrixView>((*a)->view()),
                                          b.matrix(), *kernel, context);
  }
  return SolvePowerRegression(
      (*a)->view(), b.matrix(),
      std::get<PowerRegressionOptions>(problem.options()), context);
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
