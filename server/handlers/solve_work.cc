#include "server/handlers/solve_work.h"

#include <optional>
#include <utility>
#include <variant>

#include "server/convert/kernel_options.h"
#include "server/convert/matrix_input.h"
#include "server/handlers/least_work.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/power_regression.h"

namespace steelyard::server {
namespace {

// Of row_ridge: in the options here, of the work, of its group, of a place in
// line for a factor.
constexpr double kRowRidgeCopies = 4.0;

struct WholeOptions {
  RegressionOptions options;
  // Of row_ridge; outlives the work.
  MemoryReservation memory;
};

// With the numbers of row_ridge: what is looked for among kept factors depends
// on them.
absl::StatusOr<WholeOptions> OptionsOf(Gate& gate,
                                       const SolveProblem& problem) {
  WholeOptions whole{.options = problem.options(), .memory = {}};
  if (!problem.row_ridge().has_value()) return whole;
  auto memory = gate.Reserve(kRowRidgeCopies * 8.0 *
                             static_cast<double>(problem.a().rows()));
  if (!memory.ok()) return memory.status();
  whole.memory = *std::move(memory);
  auto row_ridge = RowRidgeNumbers(*problem.row_ridge());
  if (!row_ridge.ok()) return row_ridge.status();
  std::get<AttentionKernelOptions>(whole.options).row_ridge =
      *std::move(row_ridge);
  return whole;
}

absl::StatusOr<Solution> SolveRegression(const SolveProblem& problem,
                                         const RegressionOptions& options,
                                         const ComputeContext& context) {
  const auto a = LoadedMatrix::Load(problem.a(), context);
  if (!a.ok()) return a.status();
  if (absl::Status loaded = problem.b().Load(context.stop); !loaded.ok()) {
    return loaded;
  }
  const TensorMatrices b(problem.b());
  if (const auto* const kernel =
          std::get_if<AttentionKernelOptions>(&options)) {
    return SolveAttentionKernelRegression(std::get<AnyMatrixView>((*a)->view()),
                                          b.matrix(), *kernel, context);
  }
  return SolvePowerRegression((*a)->view(), b.matrix(),
                              std::get<PowerRegressionOptions>(options),
                              context);
}

struct Held {
  MemoryReservation memory;
  std::shared_ptr<const void> message;
};

// Numbers of b, with the message that they may be in.
struct OpenedB {
  OpenedB(std::shared_ptr<const void> owner, const TensorInput& input)
      : message(std::move(owner)), matrices(input) {}
  const std::shared_ptr<const void> message;
  const TensorMatrices matrices;
};

// What SolveGroups takes; unset: there is nothing to share.
std::optional<SharedSolve> SharedSolveOf(std::shared_ptr<const void> message,
                                         const SolveProblem& problem,
                                         const RegressionOptions& options) {
  const auto& stored = problem.a().stored();
  if (stored == nullptr || !CanPrepare(options)) return std::nullopt;
  using Matrix = std::shared_ptr<const DenseOrCsr>;
  using RightHandSides = std::shared_ptr<const AnyMatrixView>;
  return SharedSolve{
      .matrix = {.id = stored->info().id, .serial = stored->serial()},
      .shape = ShapeOf(problem),
      .options = options,
      .open_a = [a = problem.a()](
                    const ComputeContext& compute) -> absl::StatusOr<Matrix> {
        compute.Report({.phase = "read"});
        auto loaded = LoadedMatrix::Load(a, compute);
        if (!loaded.ok()) return loaded.status();
        const std::shared_ptr<const LoadedMatrix> owner = *std::move(loaded);
        return Matrix(owner, &owner->view());
      },
      .open_b =
          [message = std::move(message), b = problem.b()](
              const ComputeContext& compute) -> absl::StatusOr<RightHandSides> {
        absl::Status loaded = b.Load(compute.stop);
        if (!loaded.ok()) return loaded;
        const auto owner = std::make_shared<const OpenedB>(message, b);
        return RightHandSides(owner, &owner->matrices.matrix());
      },
      .other_bytes = BytesBesideCore(problem),
      .least_flops = LeastFlops(problem)};
}

}  // namespace

absl::StatusOr<SharedAnswer> AdmitAndSolve(const SolveParts& parts,
                                           RequestContext& context,
                                           std::shared_ptr<const void> message,
                                           const SolveProblem& problem,
                                           Listener listener) {
  auto whole = OptionsOf(parts.gate, problem);
  if (!whole.ok()) return whole.status();
  // The work owns both, also when its caller is gone.
  message = std::make_shared<const Held>(
      Held{std::move(whole->memory), std::move(message)});
  if (parts.groups != nullptr) {
    std::optional<SharedSolve> shared =
        SharedSolveOf(message, problem, whole->options);
    if (shared.has_value()) {
      return parts.groups->Solve(parts.gate, context, *std::move(shared),
                                 std::move(listener));
    }
  }
  auto ticket = parts.gate.Enter({.cost = CostOf(problem, parts.workers),
                                  .least_flops = LeastFlops(problem)},
                                 context);
  if (!ticket.ok()) return ticket.status();
  if (listener.look) listener.look();
  absl::StatusOr<Solution> solution = ticket->Compute(
      context,
      [message = std::move(message), problem,
       options = std::move(whole->options)](const ComputeContext& compute) {
        return SolveRegression(problem, options, compute);
      },
      std::move(listener));
  if (!solution.ok()) return solution.status();
  return SharedAnswer{.solution = *std::move(solution)};
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
