// Kernel regressions on stored matrices: what depends on the keys is computed
// once, kept, told apart and dropped.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <future>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/handlers/stream_solve_handler.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/status.h"
#include "tests/server/handlers/solve_server.h"

namespace steelyard::server {
namespace {

using test::Bits;
using test::Called;
using test::CancelInPhase;
using test::kKeyCols;
using test::kKeys;
using test::kWorkers;
using test::RandomBytes;
using test::Server;
using test::SetB;
using test::Solve;

v1::SolveRequest KernelRequest(v1::Method method, std::uint64_t stream = 1) {
  v1::SolveRequest request;
  request.mutable_a()->set_matrix("matrices/keys");
  v1::AttentionKernel* const kernel = request.mutable_attention_kernel();
  kernel->set_scale(0.125);
  kernel->set_normalization(v1::KERNEL_NORMALIZATION_UNIT_DIAGONAL);
  request.set_method(method);
  request.set_ridge(0.1);
  request.set_seed(3);
  SetB(request, kKeys, stream);
  return request;
}

void SetRowRidge(double ridge, v1::SolveRequest* request) {
  const std::vector<double> numbers(kKeys, ridge);
  v1::Tensor* const tensor =
      request->mutable_attention_kernel()->mutable_row_ridge();
  tensor->set_dtype(v1::DTYPE_FLOAT64);
  tensor->clear_shape();
  tensor->add_shape(kKeys);
  tensor->set_data(std::string(reinterpret_cast<const char*>(numbers.data()),
                               numbers.size() * sizeof(double)));
}

constexpr v1::Method kMethods[] = {v1::METHOD_UNSPECIFIED, v1::METHOD_CHOLESKY,
                                   v1::METHOD_CONJUGATE_GRADIENT,
                                   v1::METHOD_BLOCK_COORDINATE};

TEST(StoredKernelTest, TheSecondSolveHasTheFactorAndTheBitsOfCore) {
  for (const v1::Method method : kMethods) {
    Server server;
    const v1::SolveRequest request = KernelRequest(method);
    const Called first = Solve(server.parts(), request);
    ASSERT_TRUE(first.status.ok()) << first.status;
    EXPECT_FALSE(first.response.report().factor_cache_hit());
    EXPECT_EQ(first.response.report().termination(), v1::TERMINATION_CONVERGED);
    EXPECT_GT(server.cache.memory().reserved(), 0);
    const Called second = Solve(server.parts(), request);
    ASSERT_TRUE(second.status.ok()) << second.status;
    EXPECT_TRUE(second.response.report().factor_cache_hit());
    EXPECT_EQ(Bits(second), Bits(first));
    // Nothing was kept for this one.
    EXPECT_EQ(Bits(Solve(server.parts(false), request)), Bits(first));
    EXPECT_EQ(server.gate.memory().reserved(), 0);

    const std::string a = RandomBytes(kKeys * kKeyCols, 2);
    const Workers workers(kWorkers);
    AttentionKernelOptions options;
    options.scale = 0.125;
    options.normalization = KernelNormalization::kUnitDiagonal;
    options.ridge = 0.1;
    options.seed = 3;
    if (method == v1::METHOD_CHOLESKY) {
      options.method = KernelMethod::kCholesky;
    } else if (method == v1::METHOD_CONJUGATE_GRADIENT) {
      options.method = KernelMethod::kConjugateGradient;
    } else if (method == v1::METHOD_BLOCK_COORDINATE) {
      options.method = KernelMethod::kBlockCoordinate;
    }
    const std::string b = request.b().data();
    AlignedVector<double> a_numbers(kKeys * kKeyCols), b_numbers(kKeys);
    std::memcpy(a_numbers.data(), a.data(), a.size());
    std::memcpy(b_numbers.data(), b.data(), b.size());
    const auto golden = SolveAttentionKernelRegression(
        MatrixView<double>(a_numbers.data(), kKeys, kKeyCols),
        MatrixView<double>(b_numbers.data(), kKeys, 1), options,
        {.workers = workers});
    ASSERT_TRUE(golden.ok()) << golden.status();
    EXPECT_EQ(std::memcmp(first.response.x().data().data(), golden->x.data(),
                          kKeys * sizeof(double)),
              0);
  }
}

TEST(StoredKernelTest, OtherKernelsHaveFactorsOfTheirOwn) {
  Server server;
  const v1::SolveRequest plain = KernelRequest(v1::METHOD_CONJUGATE_GRADIENT);
  v1::SolveRequest scale = plain, ridge = plain, rows = plain, others = plain,
                   jacobi = plain, low_rank = plain;
  scale.mutable_attention_kernel()->set_scale(0.25);
  ridge.set_ridge(0.5);
  SetRowRidge(0.25, &rows);
  SetRowRidge(0.5, &others);
  jacobi.mutable_attention_kernel()->set_preconditioner(
      v1::PRECONDITIONER_JACOBI);
  low_rank.mutable_attention_kernel()->set_preconditioner(
      v1::PRECONDITIONER_RPCHOLESKY);
  low_rank.mutable_attention_kernel()->set_preconditioner_rank(40);
  std::set<std::string> answers;
  for (const bool hit : {false, true}) {
    for (const v1::SolveRequest& request :
         {plain, scale, ridge, rows, others, jacobi, low_rank}) {
      const Called called = Solve(server.parts(), request);
      ASSERT_TRUE(called.status.ok()) << called.status;
      EXPECT_EQ(called.response.report().factor_cache_hit(), hit);
      answers.insert(Bits(called));
    }
  }
  // Jacobi may be what is chosen where none is named.
  EXPECT_GE(answers.size(), 6u);
  server.cache.Drop("keys");
  EXPECT_EQ(server.cache.memory().reserved(), 0);
  EXPECT_FALSE(
      Solve(server.parts(), plain).response.report().factor_cache_hit());
}

// What was probed is told by every solve that uses what came of it.
TEST(StoredKernelTest, TrialsAreToldWithAKeptPreconditioner) {
  Server server;
  const v1::SolveRequest request = KernelRequest(v1::METHOD_CONJUGATE_GRADIENT);
  const Called first = Solve(server.parts(), request);
  ASSERT_GE(first.response.report().trials_size(), 1);
  const Called second = Solve(server.parts(), request);
  EXPECT_TRUE(second.response.report().factor_cache_hit());
  ASSERT_EQ(second.response.report().trials_size(),
            first.response.report().trials_size());
  for (const v1::PreconditionerTrial& trial :
       second.response.report().trials()) {
    EXPECT_NE(trial.preconditioner(), v1::PRECONDITIONER_UNSPECIFIED);
    EXPECT_LE(trial.rank(), kKeys);
  }
}

TEST(StoredKernelTest, ARowRidgeThatIsTheRidgeGivesItsAnswer) {
  Server server;
  v1::SolveRequest rows = KernelRequest(v1::METHOD_CHOLESKY);
  rows.set_ridge(0.0);
  SetRowRidge(0.1, &rows);
  const Called by_rows = Solve(server.parts(), rows);
  const Called plain =
      Solve(server.parts(), KernelRequest(v1::METHOD_CHOLESKY));
  ASSERT_TRUE(by_rows.status.ok()) << by_rows.status;
  std::vector<double> x(kKeys), expected(kKeys);
  std::memcpy(x.data(), by_rows.response.x().data().data(), 8 * kKeys);
  std::memcpy(expected.data(), plain.response.x().data().data(), 8 * kKeys);
  // Both hold the certified bound of their report.
  const double bound = by_rows.response.report().forward_error(0) +
                       plain.response.report().forward_error(0);
  double difference = 0.0, size = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    difference += (x[i] - expected[i]) * (x[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  EXPECT_LE(difference, 4.0 * bound * bound * size);
  EXPECT_EQ(server.gate.memory().reserved(), 0);
}

TEST(StoredKernelTest, ManyCallersComputeOneFactor) {
  constexpr int kCallers = 16;
  Server alone, server;
  std::vector<std::string> lone;
  const auto request = [](int i) {
    return KernelRequest(v1::METHOD_CONJUGATE_GRADIENT,
                         static_cast<std::uint64_t>(i));
  };
  for (int i = 0; i < kCallers; ++i) {
    lone.push_back(Bits(Solve(alone.parts(), request(i))));
  }
  std::vector<std::future<Called>> calls;
  for (int i = 0; i < kCallers; ++i) {
    calls.push_back(std::async(std::launch::async, [&server, &request, i] {
      // Two give up at once.
      return Solve(server.parts(), request(i), [i] { return i % 8 == 5; });
    }));
  }
  int computed = 0;
  for (int i = 0; i < kCallers; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const Called called = calls[at].get();
    if (i % 8 == 5 && !called.status.ok()) {
      EXPECT_EQ(called.status.code(), absl::StatusCode::kCancelled);
      continue;
    }
    ASSERT_TRUE(called.status.ok()) << called.status;
    EXPECT_EQ(Bits(called), lone[at]) << i;
    if (!called.response.report().factor_cache_hit()) ++computed;
  }
  EXPECT_LE(computed, 1);
  while (server.gate.running() != 0) std::this_thread::yield();
  EXPECT_EQ(server.gate.memory().reserved(), 0);
}

TEST(StoredKernelTest, AnErrorNamesItsFieldAndKeepsNothing) {
  Server server;
  v1::SolveRequest nan = KernelRequest(v1::METHOD_CHOLESKY);
  const double number = std::numeric_limits<double>::quiet_NaN();
  std::memcpy(nan.mutable_b()->mutable_data()->data() + 8 * 5, &number, 8);
  const Called called = Solve(server.parts(), nan);
  EXPECT_EQ(called.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(called.status)->field, "b.data");
  EXPECT_EQ(server.gate.memory().reserved(), 0);
}

TEST(StoredKernelTest, ATimeLimitBeforeThereIsAFactorHasAnAnswer) {
  for (const v1::Method method : kMethods) {
    Server server;
    v1::SolveRequest limited = KernelRequest(method);
    limited.mutable_time_limit()->set_nanos(1);
    const Called cut = Solve(server.parts(), limited);
    ASSERT_TRUE(cut.status.ok()) << cut.status;
    EXPECT_EQ(cut.response.report().termination(), v1::TERMINATION_TIME_LIMIT);
    EXPECT_EQ(cut.response.x().shape(0), kKeys);
    EXPECT_EQ(server.cache.memory().reserved(), 0);
  }
}

TEST(StoredKernelTest, ProgressIsToldAndNeverFalls) {
  for (const v1::Method method : kMethods) {
    Server server;
    for (const bool hit : {false, true}) {
      RequestContext context({.method = "/test", .request_id = "1"});
      double fraction = 0.0;
      const absl::Status status =
          StreamSolveHandler(server.parts())
              .Handle(context,
                      std::make_shared<const v1::SolveRequest>(
                          KernelRequest(method)),
                      [&](const v1::SolveEvent& event) {
                        if (event.has_result()) {
                          EXPECT_EQ(event.result().report().factor_cache_hit(),
                                    hit);
                        }
                        if (event.has_progress()) {
                          EXPECT_GE(event.progress().fraction(), fraction);
                          fraction = event.progress().fraction();
                          EXPECT_LE(fraction, 1.0);
                        }
                        return true;
                      });
      EXPECT_TRUE(status.ok()) << status;
    }
  }
}

void ExpectNothingBeginsAfterACancelIn(const std::string& phase,
                                       v1::Method method) {
  SCOPED_TRACE(phase);
  CancelInPhase cancel(phase);
  Server server;
  SolveGroups groups(server.cache, kWorkers, cancel.Hooks());
  SolveParts parts{.limits = Limits{},
                   .workers = kWorkers,
                   .gate = server.gate,
                   .matrices = server.matrices.lookup(),
                   .groups = &groups};
  const Called called =
      Solve(parts, KernelRequest(method), [&] { return cancel.cancelled(); });
  ASSERT_TRUE(cancel.cancelled());
  EXPECT_EQ(called.status.code(), absl::StatusCode::kCancelled);
  while (server.gate.running() != 0) std::this_thread::yield();
  EXPECT_EQ(cancel.blocks_after_stop(), 0);
  EXPECT_EQ(server.gate.memory().reserved(), 0);
}

TEST(StoredKernelTest, AfterACancelInAnyPhaseNoBlockBegins) {
  for (const char* const phase : {"scan", "factor", "verify"}) {
    ExpectNothingBeginsAfterACancelIn(phase, v1::METHOD_CHOLESKY);
  }
  for (const char* const phase : {"scan", "probe", "iterate", "verify"}) {
    ExpectNothingBeginsAfterACancelIn(phase, v1::METHOD_CONJUGATE_GRADIENT);
  }
  for (const char* const phase : {"scan", "iterate", "verify"}) {
    ExpectNothingBeginsAfterACancelIn(phase, v1::METHOD_BLOCK_COORDINATE);
  }
}

}  // namespace
}  // namespace steelyard::server
