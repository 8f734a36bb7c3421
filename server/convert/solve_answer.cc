#include "server/convert/solve_answer.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "server/convert/kernel_options.h"
#include "server/convert/response_size.h"

namespace steelyard::server {
namespace {

constexpr char kStreamSolve[] =
    "Raise max_response_bytes, or call StreamSolve, whose x comes in chunks.";
constexpr char kExponents[] =
    "Raise max_response_bytes: entries of x outside the range of float64 need "
    "x_exponents, which have no chunks.";

// Bytes of a SolveEvent with a chunk beside the chunk's own data: three tags,
// two lengths and the offset, each at most 10 bytes long.
constexpr std::int64_t kChunkOverheadMax = 64;

v1::Termination TerminationOf(Termination termination) {
  switch (termination) {
    case Termination::kConverged:
      return v1::TERMINATION_CONVERGED;
    case Termination::kIterationLimit:
      return v1::TERMINATION_ITERATION_LIMIT;
    case Termination::kTimeLimit:
      return v1::TERMINATION_TIME_LIMIT;
    case Termination::kPrecisionFloor:
      return v1::TERMINATION_PRECISION_FLOOR;
    case Termination::kIllConditioned:
      return v1::TERMINATION_ILL_CONDITIONED;
    case Termination::kStopped:
      return v1::TERMINATION_STOPPED;
  }
  return v1::TERMINATION_UNSPECIFIED;
}

using DoubleList = google::protobuf::RepeatedField<double>;

void Copy(const std::vector<double>& numbers, DoubleList* list) {
  list->Add(numbers.begin(), numbers.end());
}

// Of a clock, so never beyond what a Duration holds.
std::chrono::nanoseconds FromSeconds(double seconds) {
  constexpr double kSecondsMax = 1e9;
  const double kept = seconds > 0.0 ? std::min(seconds, kSecondsMax) : 0.0;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(1e9 * kept));
}

void TrialToProto(const PreconditionerTrial& trial,
                  v1::PreconditionerTrial* proto) {
  proto->set_preconditioner(PreconditionerOf(trial.preconditioner));
  proto->set_rank(static_cast<std::int32_t>(trial.rank));
  proto->set_iterations(trial.iterations);
  proto->set_contraction(trial.contraction);
  ToProto(FromSeconds(trial.build_seconds), proto->mutable_build_time());
}

void ReportToProto(const SolveReport& report, const SolveFacts& facts,
                   v1::SolveReport* proto) {
  proto->set_termination(TerminationOf(report.termination));
  proto->set_method(report.method);
  proto->set_iterations(report.iterations);
  Copy(report.relative_residual, proto->mutable_relative_residual());
  Copy(report.residual_floor, proto->mutable_residual_floor());
  Copy(report.backward_error, proto->mutable_backward_error());
  Copy(report.optimality, proto->mutable_optimality());
  proto->set_condition_estimate(report.condition_estimate);
  proto->set_rank(report.rank);
  proto->set_rank_gap(report.rank_gap);
  proto->set_seed(facts.seed);
  proto->set_factor_cache_hit(facts.factor_cache_hit);
  ToProto(facts.timing.queue, proto->mutable_queue_time());
  ToProto(facts.timing.compute, proto->mutable_compute_time());
  proto->set_log_smallest_ridge(report.log_smallest_ridge);
  proto->mutable_converged()->Add(report.converged.begin(),
                                  report.converged.end());
  Copy(report.forward_error, proto->mutable_forward_error());
  Copy(report.componentwise_error, proto->mutable_componentwise_error());
  Copy(report.excess_residual, proto->mutable_excess_residual());
  Copy(report.least_squares_backward_error,
       proto->mutable_least_squares_backward_error());
  for (const PreconditionerTrial& trial : report.trials) {
    TrialToProto(trial, proto->add_trials());
  }
}

const char* BytesOf(const Matrix<double>& numbers) {
  return reinterpret_cast<const char*>(numbers.data());
}

std::int64_t SizeOf(const Matrix<double>& numbers) {
  return numbers.size() * static_cast<std::int64_t>(sizeof(double));
}

// Everything but the numbers.
void HeaderToProto(const Matrix<double>& numbers, const SolveProblem& problem,
                   v1::Tensor* proto) {
  proto->set_dtype(v1::DTYPE_FLOAT64);
  proto->add_shape(numbers.rows());
  if (problem.b().extents() == 2) proto->add_shape(numbers.cols());
}

// The response without the numbers of x and x_low.
void FrameToProto(const Solution& solution, const SolveProblem& problem,
                  const SolveFacts& facts, v1::SolveResponse* response) {
  HeaderToProto(solution.x, problem, response->mutable_x());
  if (!solution.x_low.empty()) {
    HeaderToProto(solution.x_low, problem, response->mutable_x_low());
  }
  response->mutable_x_exponents()->Add(solution.x_exponents.begin(),
                                       solution.x_exponents.end());
  ReportToProto(solution.report, facts, response->mutable_report());
}

void NumbersToProto(const Solution& solution, v1::SolveResponse* response) {
  const auto set = [](const Matrix<double>& numbers, v1::Tensor* proto) {
    proto->set_data(BytesOf(numbers),
                    static_cast<std::size_t>(SizeOf(numbers)));
  };
  set(solution.x, response->mutable_x());
  if (!solution.x_low.empty()) set(solution.x_low, response->mutable_x_low());
}

std::int64_t NumberBytes(const Solution& solution) {
  return SizeOf(solution.x) + SizeOf(solution.x_low);
}

absl::Status StreamBroken() {
  return absl::CancelledError("the caller no longer reads the stream");
}

// All bytes of `numbers`, in order, without gaps.
absl::Status WriteChunks(const Matrix<double>& numbers,
                         std::int64_t chunk_bytes,
                         absl::FunctionRef<bool(const v1::SolveEvent&)> write) {
  v1::SolveEvent event;
  v1::TensorChunk* const chunk = event.mutable_x_chunk();
  const std::int64_t bytes = SizeOf(numbers);
  for (std::int64_t offset = 0; offset < bytes; offset += chunk_bytes) {
    chunk->set_offset(offset);
    chunk->set_data(
        BytesOf(numbers) + offset,
        static_cast<std::size_t>(std::min(chunk_bytes, bytes - offset)));
    if (!write(event)) return StreamBroken();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ToProto(const Solution& solution, const SolveProblem& problem,
                     const SolveFacts& facts, v1::SolveResponse* response) {
  const std::int64_t max = problem.max_response_bytes();
  absl::Status fits =
      CheckFits(static_cast<double>(NumberBytes(solution)), max, kStreamSolve);
  if (!fits.ok()) return fits;
  FrameToProto(solution, problem, facts, response);
  NumbersToProto(solution, response);
  fits = CheckFits(static_cast<double>(response->ByteSizeLong()), max,
                   kStreamSolve);
  if (!fits.ok()) response->Clear();
  return fits;
}

absl::Status WriteSolution(
    const Solution& solution, const SolveProblem& problem,
    const SolveFacts& facts, const Limits& limits,
    absl::FunctionRef<bool(const v1::SolveEvent&)> write) {
  v1::SolveEvent last;
  v1::SolveResponse* const result = last.mutable_result();
  FrameToProto(solution, problem, facts, result);
  const auto frame_bytes = static_cast<std::int64_t>(last.ByteSizeLong());
  const std::int64_t max =
      std::max(problem.max_response_bytes(), limits.chunk_bytes_max);
  if (absl::Status fits =
          CheckFits(static_cast<double>(frame_bytes), max, kExponents);
      !fits.ok()) {
    return fits;
  }

  if (frame_bytes + NumberBytes(solution) + kChunkOverheadMax <=
      limits.chunk_bytes_max) {
    NumbersToProto(solution, result);
  } else {
    const std::int64_t chunk_bytes = limits.chunk_bytes_max - kChunkOverheadMax;
    for (const Matrix<double>* numbers : {&solution.x, &solution.x_low}) {
      if (absl::Status written = WriteChunks(*numbers, chunk_bytes, write);
          !written.ok()) {
        return written;
      }
    }
  }
  return write(last) ? absl::OkStatus() : StreamBroken();
}

}  // namespace steelyard::server
