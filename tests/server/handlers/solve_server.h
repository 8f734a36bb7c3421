// A server's parts without a network: stored matrices, kept factors, calls.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/handlers/solve_handler.h"
#include "server/handlers/solve_work.h"
#include "steelyard/random.h"
#include "steelyard/v1/regression_service.pb.h"
#include "tests/server/convert/fake_stored_matrix.h"

namespace steelyard::server::test {

inline constexpr int kWorkers = 2;
inline constexpr Index kRows = 3000;
inline constexpr Index kCols = 24;
inline constexpr Index kKeys = 300;
inline constexpr Index kKeyCols = 8;
inline constexpr char kName[] = "matrices/a";

// Normal numbers.
inline std::string RandomBytes(Index count, std::uint64_t stream) {
  const RandomStream random{.seed = {7}, .stream = stream};
  std::vector<double> numbers(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = random.Normal(i);
  }
  std::string bytes(numbers.size() * sizeof(double), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

inline void SetB(v1::SolveRequest& request, Index rows, std::uint64_t stream) {
  v1::Tensor* const b = request.mutable_b();
  b->set_dtype(v1::DTYPE_FLOAT64);
  b->clear_shape();
  b->add_shape(rows);
  b->set_data(RandomBytes(rows, 100 + stream));
}

// Stored: "a", kRows x kCols, and "keys", kKeys x kKeyCols.
struct Server {
  explicit Server(std::int64_t factor_memory = 1 << 24)
      : cache(factor_memory), groups(cache, kWorkers) {
    matrices.Add("a", {.rows = kRows, .cols = kCols},
                 RandomBytes(kRows * kCols, 1));
    matrices.Add("keys", {.rows = kKeys, .cols = kKeyCols},
                 RandomBytes(kKeys * kKeyCols, 2));
  }

  SolveParts parts(bool shared = true) {
    return {.limits = Limits{},
            .workers = kWorkers,
            .gate = gate,
            .matrices = matrices.lookup(),
            .groups = shared ? &groups : nullptr};
  }

  const Workers workers{kWorkers};
  steelyard::test::FakeMatrices matrices;
  FactorCache cache;
  SolveGroups groups;
  Gate gate{workers,
            {.memory_budget = std::int64_t{1} << 32, .queue_length = 100}};
};

struct Called {
  absl::Status status;
  v1::SolveResponse response;
};

inline Called Solve(const SolveParts& parts, const v1::SolveRequest& request,
                    std::function<bool()> cancelled = {}) {
  RequestContext context({.method = "/test",
                          .request_id = "1",
                          .deadline = {},
                          .cancelled = std::move(cancelled)});
  Called called;
  called.status = SolveHandler(parts).Handle(
      context, std::make_shared<const v1::SolveRequest>(request),
      &called.response);
  return called;
}

// All that must not depend on company: times and who computed do.
inline std::string Bits(const Called& called) {
  v1::SolveResponse response = called.response;
  response.mutable_report()->clear_queue_time();
  response.mutable_report()->clear_compute_time();
  response.mutable_report()->clear_factor_cache_hit();
  for (auto& trial : *response.mutable_report()->mutable_trials()) {
    trial.clear_build_time();
  }
  return response.SerializeAsString();
}

// Looks that let a block of work begin.
inline std::int64_t BlocksBegun(const StopToken& token) {
  return token.looks() - token.looks_after_stop();
}

// Cancels a call when the work tells of a phase, and counts what begins after
// the token knows of it.
class CancelInPhase {
 public:
  explicit CancelInPhase(std::string phase) : phase_(std::move(phase)) {}

  FactorMath Hooks() {
    FactorMath math;
    math.prepare = [this](const DenseOrCsr& a,
                          const PowerRegressionOptions& options,
                          const ComputeContext& context) {
      return PrepareMatrix(a, options, Watched(context));
    };
    math.solve_together = [this](const PreparedMatrix& prepared,
                                 const DenseOrCsr& a,
                                 absl::Span<const AnyMatrixView> bs,
                                 const PowerRegressionOptions& options,
                                 const ComputeContext& context) {
      return SolveTogether(prepared, a, bs, options, Watched(context));
    };
    math.kernel.prepare = [this](const AnyMatrixView& a,
                                 const AttentionKernelOptions& options,
                                 const ComputeContext& context) {
      return PrepareKernel(a, options, Watched(context));
    };
    math.kernel.solve = [this](const PreparedKernel& prepared,
                               const AnyMatrixView& b,
                               const AttentionKernelOptions& options,
                               const ComputeContext& context) {
      return SolveAttentionKernelRegression(prepared, b, options,
                                            Watched(context));
    };
    return math;
  }

  bool cancelled() const { return cancelled_; }
  // After the work has ended.
  std::int64_t blocks_after_stop() const {
    return BlocksBegun(token_) - begun_before_;
  }

 private:
  ComputeContext Watched(const ComputeContext& context) {
    const StopToken token = context.stop;
    return {.workers = context.workers,
            .stop = token,
            .progress = [this, token](const ProgressUpdate& update) {
              if (update.phase != phase_ || cancelled_) return;
              token_ = token;
              cancelled_ = true;
              while (!token.stop_requested()) std::this_thread::yield();
              begun_before_ = BlocksBegun(token);
            }};
  }

  const std::string phase_;
  std::atomic<bool> cancelled_{false};
  StopToken token_;
  std::int64_t begun_before_ = 0;
};

}  // namespace steelyard::server::test
