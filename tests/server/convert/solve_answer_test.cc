#include "server/convert/solve_answer.h"

#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/field_coverage.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Limits kLimits;

// 10 right-hand sides given as a matrix; the requests must outlive the problem.
const v1::SolveRequest& Request() {
  static const v1::SolveRequest* const request = [] {
    auto* made = new v1::SolveRequest(test::ValidSolveRequest());
    test::SetPlainTensor({3, 10}, made->mutable_b());
    made->set_extended_output(true);
    return made;
  }();
  return *request;
}

Matrix<double> Numbers(Index rows, Index cols, double first) {
  Matrix<double> matrix(rows, cols);
  for (Index i = 0; i < matrix.size(); ++i) {
    matrix.data()[i] = first + static_cast<double>(i);
  }
  return matrix;
}

Solution FullSolution(Index rows, Index cols) {
  Solution solution{.x = Numbers(rows, cols, 1.0),
                    .x_low = Numbers(rows, cols, 1e-20),
                    .x_exponents = {1, -2000},
                    .report = {}};
  SolveReport& report = solution.report;
  report.termination = Termination::kPrecisionFloor;
  report.method = "QR";
  report.iterations = 4;
  report.relative_residual = {0.1, 0.2};
  report.excess_residual = {0.3};
  report.least_squares_backward_error = {0.35};
  report.residual_floor = {0.4};
  report.backward_error = {0.5};
  report.optimality = {0.6};
  report.forward_error = {0.7};
  report.componentwise_error = {0.8};
  report.converged = {true, false};
  report.condition_estimate = 100.0;
  report.rank = 3;
  report.rank_gap = 0.9;
  report.log_smallest_ridge = -7.0;
  report.trials = {{.preconditioner = KernelPreconditioner::kRpCholesky,
                    .rank = 200,
                    .iterations = 5,
                    .contraction = 0.25,
                    .build_seconds = 1.5},
                   {.preconditioner = KernelPreconditioner::kNone}};
  return solution;
}

const SolveFacts kFacts{.seed = 42,
                        .timing = {std::chrono::nanoseconds(1'000'000'002),
                                   std::chrono::nanoseconds(3'000'000'004)},
                        .factor_cache_hit = true};

std::string BytesOf(const Matrix<double>& matrix) {
  return std::string(reinterpret_cast<const char*>(matrix.data()),
                     static_cast<std::size_t>(matrix.size()) * sizeof(double));
}

TEST(SolveAnswerTest, EveryFieldIsFilled) {
  const auto problem = SolveProblemFromProto(Request(), kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  const Solution solution = FullSolution(3, 10);
  v1::SolveResponse response;

  ASSERT_TRUE(ToProto(solution, *problem, kFacts, &response).ok());

  // Never used in answers.
  EXPECT_THAT(test::UnsetFields(std::vector{response}),
              ElementsAre("steelyard.v1.Tensor.values"));
  EXPECT_EQ(response.x().dtype(), v1::DTYPE_FLOAT64);
  EXPECT_THAT(response.x().shape(), ElementsAre(3, 10));
  EXPECT_EQ(response.x().data(), BytesOf(solution.x));
  EXPECT_THAT(response.x_low().shape(), ElementsAre(3, 10));
  EXPECT_EQ(response.x_low().data(), BytesOf(solution.x_low));
  EXPECT_THAT(response.x_exponents(), ElementsAre(1, -2000));
  const v1::SolveReport& report = response.report();
  EXPECT_EQ(report.termination(), v1::TERMINATION_PRECISION_FLOOR);
  EXPECT_EQ(report.method(), "QR");
  EXPECT_EQ(report.iterations(), 4);
  EXPECT_THAT(report.relative_residual(), ElementsAre(0.1, 0.2));
  EXPECT_THAT(report.excess_residual(), ElementsAre(0.3));
  EXPECT_THAT(report.least_squares_backward_error(), ElementsAre(0.35));
  EXPECT_THAT(report.residual_floor(), ElementsAre(0.4));
  EXPECT_THAT(report.backward_error(), ElementsAre(0.5));
  EXPECT_THAT(report.optimality(), ElementsAre(0.6));
  EXPECT_THAT(report.forward_error(), ElementsAre(0.7));
  EXPECT_THAT(report.componentwise_error(), ElementsAre(0.8));
  EXPECT_THAT(report.converged(), ElementsAre(true, false));
  EXPECT_EQ(report.condition_estimate(), 100.0);
  EXPECT_EQ(report.rank(), 3);
  EXPECT_EQ(report.rank_gap(), 0.9);
  EXPECT_EQ(report.log_smallest_ridge(), -7.0);
  ASSERT_EQ(report.trials_size(), 2);
  EXPECT_EQ(report.trials(0).preconditioner(), v1::PRECONDITIONER_RPCHOLESKY);
  EXPECT_EQ(report.trials(0).rank(), 200);
  EXPECT_EQ(report.trials(0).iterations(), 5);
  EXPECT_EQ(report.trials(0).contraction(), 0.25);
  EXPECT_EQ(report.trials(0).build_time().seconds(), 1);
  EXPECT_EQ(report.trials(0).build_time().nanos(), 500'000'000);
  EXPECT_EQ(report.trials(1).preconditioner(), v1::PRECONDITIONER_NONE);
  EXPECT_EQ(report.seed(), 42u);
  EXPECT_TRUE(report.factor_cache_hit());
  EXPECT_EQ(report.queue_time().nanos(), 2);
  EXPECT_EQ(report.compute_time().seconds(), 3);
}

TEST(SolveAnswerTest, EachTerminationHasItsOwnNumber) {
  const std::map<Termination, v1::Termination> pairs = {
      {Termination::kConverged, v1::TERMINATION_CONVERGED},
      {Termination::kIterationLimit, v1::TERMINATION_ITERATION_LIMIT},
      {Termination::kTimeLimit, v1::TERMINATION_TIME_LIMIT},
      {Termination::kPrecisionFloor, v1::TERMINATION_PRECISION_FLOOR},
      {Termination::kIllConditioned, v1::TERMINATION_ILL_CONDITIONED},
      {Termination::kStopped, v1::TERMINATION_STOPPED},
  };
  // All but UNSPECIFIED.
  EXPECT_EQ(static_cast<int>(pairs.size()),
            v1::Termination_descriptor()->value_count() - 1);
  const auto problem = SolveProblemFromProto(Request(), kLimits);
  for (const auto& [core, wire] : pairs) {
    Solution solution = FullSolution(3, 10);
    solution.report.termination = core;
    v1::SolveResponse response;
    ASSERT_TRUE(ToProto(solution, *problem, kFacts, &response).ok());
    EXPECT_EQ(response.report().termination(), wire);
  }
}

TEST(SolveAnswerTest, AVectorIsAnsweredByAVector) {
  const v1::SolveRequest request = test::ValidSolveRequest();
  const auto problem = SolveProblemFromProto(request, kLimits);
  Solution solution = FullSolution(3, 1);
  solution.x_low = Matrix<double>();
  v1::SolveResponse response;
  ASSERT_TRUE(ToProto(solution, *problem, kFacts, &response).ok());
  EXPECT_THAT(response.x().shape(), ElementsAre(3));
  EXPECT_FALSE(response.has_x_low());
}

TEST(SolveAnswerTest, OneByteTooManyIsRefused) {
  v1::SolveRequest request = Request();
  const Solution solution = FullSolution(3, 10);
  v1::SolveResponse response;
  const auto problem = SolveProblemFromProto(request, kLimits);
  ASSERT_TRUE(ToProto(solution, *problem, kFacts, &response).ok());
  const auto bytes = static_cast<std::int64_t>(response.ByteSizeLong());

  request.set_max_response_bytes(bytes);
  response.Clear();
  EXPECT_TRUE(ToProto(solution, *SolveProblemFromProto(request, kLimits),
                      kFacts, &response)
                  .ok());
  request.set_max_response_bytes(bytes - 1);
  response.Clear();
  const absl::Status status = ToProto(
      solution, *SolveProblemFromProto(request, kLimits), kFacts, &response);
  EXPECT_EQ(DetailOf(status)->reason, "RESPONSE_TOO_LARGE");
  EXPECT_EQ(response.ByteSizeLong(), 0u);
}

// What a client of StreamSolve puts together.
struct Received {
  std::string x;
  std::string x_low;
  v1::SolveResponse result;
  int chunks = 0;
  std::size_t largest = 0;
};

Received Stream(const Solution& solution, const Limits& limits) {
  Received received;
  const auto problem = SolveProblemFromProto(Request(), limits);
  std::string numbers;
  const absl::Status status = WriteSolution(
      solution, *problem, kFacts, limits, [&](const v1::SolveEvent& event) {
        EXPECT_FALSE(received.result.has_report()) << "result must be last";
        received.largest = std::max(received.largest, event.ByteSizeLong());
        if (event.has_result()) {
          received.result = event.result();
          return true;
        }
        const std::string& data = event.x_chunk().data();
        EXPECT_GE(data.size(), 1u);
        std::string& target = received.x.size() < BytesOf(solution.x).size()
                                  ? received.x
                                  : received.x_low;
        EXPECT_EQ(event.x_chunk().offset(),
                  static_cast<std::int64_t>(target.size()));
        target += data;
        ++received.chunks;
        return true;
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(received.result.has_report());
  return received;
}

TEST(SolveAnswerTest, SmallAnswersComeWhole) {
  const Solution solution = FullSolution(3, 10);
  const Received received = Stream(solution, kLimits);
  EXPECT_EQ(received.chunks, 0);
  EXPECT_EQ(received.result.x().data(), BytesOf(solution.x));
  EXPECT_EQ(received.result.x_low().data(), BytesOf(solution.x_low));
}

TEST(SolveAnswerTest, LargeAnswersComeInChunksWithoutGaps) {
  Limits limits;
  limits.chunk_bytes_max = 1000;
  // Sizes around the edge between whole and chunked, and of whole chunks.
  for (const Index rows : {1, 5, 20, 30, 40, 117, 234, 1000}) {
    const Solution solution = FullSolution(rows, 1);
    const Received received = Stream(solution, limits);
    EXPECT_LE(received.largest, 1000u) << rows;
    EXPECT_THAT(received.result.x().shape(), ElementsAre(rows, 1));
    if (received.chunks == 0) {
      EXPECT_EQ(received.result.x().data(), BytesOf(solution.x));
    } else {
      EXPECT_THAT(received.result.x().data(), IsEmpty());
      EXPECT_THAT(received.result.x_low().data(), IsEmpty());
      EXPECT_EQ(received.x, BytesOf(solution.x));
      EXPECT_EQ(received.x_low, BytesOf(solution.x_low));
    }
  }
}

TEST(SolveAnswerTest, ABrokenStreamEndsTheWriting) {
  Limits limits;
  limits.chunk_bytes_max = 1000;
  const auto problem = SolveProblemFromProto(Request(), limits);
  int written = 0;
  const absl::Status status =
      WriteSolution(FullSolution(1000, 1), *problem, kFacts, limits,
                    [&](const v1::SolveEvent&) { return ++written < 3; });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(written, 3);
}

TEST(SolveAnswerTest, ExponentsThatDoNotFitAreRefusedBeforeAnyEvent) {
  v1::SolveRequest request = Request();
  request.set_max_response_bytes(1);
  Limits limits;
  limits.chunk_bytes_max = 1000;
  Solution solution = FullSolution(3, 10);
  int written = 0;
  const auto write = [&](const v1::SolveEvent&) { return ++written > 0; };
  // max_response_bytes does not bound what fits into streamed messages.
  EXPECT_TRUE(WriteSolution(solution, *SolveProblemFromProto(request, limits),
                            kFacts, limits, write)
                  .ok());
  EXPECT_GT(written, 0);

  solution.x_exponents.assign(1001, 1);
  written = 0;
  const absl::Status status = WriteSolution(
      solution, *SolveProblemFromProto(request, limits), kFacts, limits, write);
  EXPECT_EQ(DetailOf(status)->reason, "RESPONSE_TOO_LARGE");
  EXPECT_EQ(written, 0);

  request.set_max_response_bytes(4000);
  EXPECT_TRUE(WriteSolution(solution, *SolveProblemFromProto(request, limits),
                            kFacts, limits, write)
                  .ok());
}

}  // namespace
}  // namespace steelyard::server
