// Mathematics that a test holds in its hand: each part ends when its door is
// opened, or when it is stopped. x = b; b with a NaN is refused.
#pragma once

#include <atomic>
#include <cmath>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "power/power_factor.h"
#include "server/factors/solve_groups.h"

namespace steelyard::server::test {

class Door {
 public:
  void Open() { open_ = true; }
  void Close() { open_ = false; }
  // OK: the door is open.
  absl::Status Pass(const StopToken& stop) const {
    while (!open_ && !stop.stop_requested()) std::this_thread::yield();
    if (!stop.stop_requested()) return absl::OkStatus();
    const absl::Status unwanted = StopStatus(stop);
    return unwanted.ok() ? absl::AbortedError("nothing yet") : unwanted;
  }

 private:
  std::atomic<bool> open_{true};
};

struct HeldMath {
  static constexpr Index kD = 3;

  Door prepare_door;
  Door solve_door;
  std::atomic<int> prepares{0};
  std::atomic<int> solves{0};
  std::atomic<int> alone{0};
  std::atomic<int> largest_group{0};
  std::atomic<bool> throws{false};
  absl::Status error;  // of prepare
  double prepare_flops = 2e9;
  double solve_flops = 1e3;

  absl::StatusOr<PreparedMatrix> Prepare(const PowerRegressionOptions& options,
                                         const ComputeContext& context) {
    ++prepares;
    context.Report({.phase = "factor", .fraction = 0.5});
    if (absl::Status s = prepare_door.Pass(context.stop); !s.ok()) return s;
    if (throws) throw std::bad_alloc();
    if (!error.ok()) return error;
    const auto factor = std::make_shared<PowerFactor>();
    factor->factor.r = Matrix<double>(kD, kD);
    factor->ridge = options.ridge;
    factor->method = options.method;
    return PreparedMatrix(factor);
  }

  static absl::StatusOr<Solution> Copy(const AnyMatrixView& b) {
    const auto& view = std::get<MatrixView<double>>(b);
    Solution solution;
    solution.x = Matrix<double>(view.rows(), view.cols());
    for (Index i = 0; i < view.rows() * view.cols(); ++i) {
      if (std::isnan(view.data()[i])) return absl::InvalidArgumentError("b");
      solution.x.data()[i] = view.data()[i];
    }
    return solution;
  }

  std::vector<absl::StatusOr<Solution>> Solve(
      absl::Span<const AnyMatrixView> bs, const ComputeContext& context) {
    ++solves;
    const int count = static_cast<int>(bs.size());
    if (count > largest_group) largest_group = count;
    context.Report({.phase = "iterate", .fraction = 0.5});
    const absl::Status stopped = solve_door.Pass(context.stop);
    std::vector<absl::StatusOr<Solution>> answers;
    for (const AnyMatrixView& b : bs) {
      if (stopped.ok()) {
        answers.push_back(Copy(b));
      } else {
        answers.emplace_back(stopped);
      }
    }
    return answers;
  }

  absl::StatusOr<Solution> Alone(const ComputeContext& context) {
    ++alone;
    Solution none;
    none.x = Matrix<double>(kD, 1);
    none.report.termination = context.stop.reason() == StopReason::kTimeLimit
                                  ? Termination::kTimeLimit
                                  : Termination::kStopped;
    return none;
  }

  FactorMath Hooks() {
    return {
        .prepare =
            [this](const DenseOrCsr&, const PowerRegressionOptions& options,
                   const ComputeContext& context) {
              return Prepare(options, context);
            },
        .solve_together =
            [this](const PreparedMatrix&, const DenseOrCsr&,
                   absl::Span<const AnyMatrixView> bs,
                   const PowerRegressionOptions&,
                   const ComputeContext& context) {
              return Solve(bs, context);
            },
        .solve_alone =
            [this](const DenseOrCsr&, const AnyMatrixView&,
                   const PowerRegressionOptions&,
                   const ComputeContext& context) { return Alone(context); },
        .cost_of_preparing =
            [this](const PowerShape&, const PowerRegressionOptions&, int) {
              return Cost{.flops = prepare_flops, .bytes = 10.0};
            },
        .cost_of_solving =
            [this](const PowerShape&, const PowerRegressionOptions&, int) {
              return Cost{.flops = solve_flops, .bytes = 1.0};
            }};
  }
};

}  // namespace steelyard::server::test
