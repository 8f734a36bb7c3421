#include "server/convert/attend_answer.h"

#include <cmath>
#include <cstring>
#include <limits>
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
using testing::HasSubstr;
using testing::IsEmpty;

const Limits kLimits;

constexpr Timing kTiming{.queue = std::chrono::nanoseconds(1'000'000'002),
                         .compute = std::chrono::nanoseconds(3'000'000'004)};

// 4 heads of 5 queries, outputs of 6 columns.
AttendProblem ProblemOf(const v1::AttendRequest& request) {
  auto problem = AttendProblemFromProto(request, nullptr, kLimits);
  EXPECT_TRUE(problem.ok()) << problem.status();
  return *std::move(problem);
}

std::vector<AttendedHead> Heads(std::size_t heads, Index m, Index e) {
  std::vector<AttendedHead> all(heads);
  double next = 1.0;
  for (AttendedHead& head : all) {
    head.output = Matrix<double>(m, e);
    for (Index i = 0; i < m * e; ++i) head.output.data()[i] = next++;
    for (Index i = 0; i < m; ++i) {
      head.captured_mass.push_back(1.0 / next);
      head.attended.push_back(static_cast<Index>(next));
    }
  }
  return all;
}

std::vector<double> NumbersOf(const v1::Tensor& tensor) {
  std::vector<double> numbers(tensor.data().size() / sizeof(double));
  std::memcpy(numbers.data(), tensor.data().data(), tensor.data().size());
  return numbers;
}

TEST(AttendAnswerTest, EveryFieldOfTheAnswerIsFilled) {
  const AttendProblem problem = ProblemOf(test::ValidAttendRequest());
  const std::vector<AttendedHead> heads = Heads(4, 5, 6);
  v1::AttendResponse response;
  ASSERT_TRUE(ToProto(heads, problem, kTiming, &response).ok());
  auto unset = test::UnsetFields(std::vector{response});
  unset.erase("steelyard.v1.Tensor.values");  // never in answers
  EXPECT_THAT(unset, IsEmpty());
  EXPECT_EQ(response.output().dtype(), v1::DTYPE_FLOAT64);
  EXPECT_THAT(response.output().shape(), ElementsAre(4, 5, 6));
  const std::vector<double> numbers = NumbersOf(response.output());
  ASSERT_EQ(numbers.size(), 120u);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    EXPECT_EQ(numbers[i], static_cast<double>(i + 1));
  }
  EXPECT_EQ(response.captured_mass_size(), 20);
  EXPECT_EQ(response.captured_mass(7), heads[1].captured_mass[2]);
  EXPECT_EQ(response.attended(7), heads[1].attended[2]);
  EXPECT_EQ(response.compute_time().nanos(), 4);
}

TEST(AttendAnswerTest, OneHeadHasTwoExtents) {
  v1::AttendRequest request = test::ValidAttendRequest();
  test::SetPlainTensor({10, 3}, request.mutable_keys()->mutable_dense());
  test::SetPlainTensor({10, 6}, request.mutable_values()->mutable_dense());
  test::SetPlainTensor({5, 3}, request.mutable_queries());
  v1::AttendResponse response;
  ASSERT_TRUE(
      ToProto(Heads(1, 5, 6), ProblemOf(request), kTiming, &response).ok());
  EXPECT_THAT(response.output().shape(), ElementsAre(5, 6));
}

TEST(AttendAnswerTest, OutputsHaveTheTypeAskedFor) {
  for (const auto& [type, bytes] : {std::pair(v1::DTYPE_FLOAT64, 8),
                                    {v1::DTYPE_FLOAT32, 4},
                                    {v1::DTYPE_FLOAT16, 2},
                                    {v1::DTYPE_BFLOAT16, 2}}) {
    v1::AttendRequest request = test::ValidAttendRequest();
    request.set_output_dtype(type);
    v1::AttendResponse response;
    ASSERT_TRUE(
        ToProto(Heads(4, 5, 6), ProblemOf(request), kTiming, &response).ok());
    EXPECT_EQ(response.output().dtype(), type);
    EXPECT_EQ(response.output().data().size(),
              static_cast<std::size_t>(120 * bytes));
  }
}

// What FLOAT16 cannot hold becomes an infinity, as the contract says.
TEST(AttendAnswerTest, AnOutputBeyondTheTypeIsInfinite) {
  v1::AttendRequest request = test::ValidAttendRequest();
  request.set_output_dtype(v1::DTYPE_FLOAT16);
  std::vector<AttendedHead> heads = Heads(4, 5, 6);
  heads[0].output(0, 0) = -70000.0;
  v1::AttendResponse response;
  ASSERT_TRUE(ToProto(heads, ProblemOf(request), kTiming, &response).ok());
  const std::string& data = response.output().data();
  EXPECT_EQ(data[0], '\0');
  EXPECT_EQ(static_cast<unsigned char>(data[1]), 0xfc);
}

TEST(AttendAnswerTest, MassIsThereOfEveryRowOrOfNone) {
  std::vector<AttendedHead> heads = Heads(4, 5, 6);
  heads[3].captured_mass[4] = std::numeric_limits<double>::quiet_NaN();
  v1::AttendResponse response;
  ASSERT_TRUE(
      ToProto(heads, ProblemOf(test::ValidAttendRequest()), kTiming, &response)
          .ok());
  EXPECT_EQ(response.captured_mass_size(), 0);
  EXPECT_EQ(response.attended_size(), 20);
}

TEST(AttendAnswerTest, AnswersOverTheLimitAreRefusedAndNotHalfFilled) {
  v1::AttendRequest request = test::ValidAttendRequest();
  // 20 rows of 6 numbers and at least a byte each.
  request.set_max_response_bytes(20 * (48 + 1) - 1);
  const absl::Status before = CheckResponseSize(ProblemOf(request));
  EXPECT_EQ(DetailOf(before)->reason, "RESPONSE_TOO_LARGE");
  EXPECT_THAT(std::string(before.message()), HasSubstr("StreamAttend"));
  request.set_max_response_bytes(20 * (48 + 1));
  EXPECT_TRUE(CheckResponseSize(ProblemOf(request)).ok());
  // The whole answer is larger than what is certain before the work.
  v1::AttendResponse response;
  const absl::Status after =
      ToProto(Heads(4, 5, 6), ProblemOf(request), kTiming, &response);
  EXPECT_EQ(DetailOf(after)->reason, "RESPONSE_TOO_LARGE");
  EXPECT_EQ(response.ByteSizeLong(), 0u);
}

TEST(AttendAnswerTest, PartsAreSmallAndMakeTheWhole) {
  const AttendProblem problem = ProblemOf(test::ValidAttendRequest());
  const std::vector<AttendedHead> heads = Heads(4, 5, 6);
  Limits limits;
  for (const std::int64_t chunk : {1 << 20, 700, 300}) {
    limits.chunk_bytes_max = chunk;
    std::vector<v1::StreamAttendResponse> parts;
    ASSERT_TRUE(WriteParts(heads, problem, -7, kTiming, limits,
                           [&](const v1::StreamAttendResponse& part) {
                             parts.push_back(part);
                             return true;
                           })
                    .ok());
    std::vector<double> output, mass;
    std::vector<std::int64_t> attended;
    std::int64_t rows = 0;
    for (const v1::StreamAttendResponse& part : parts) {
      EXPECT_LE(part.ByteSizeLong(), static_cast<std::size_t>(chunk));
      EXPECT_EQ(part.id(), -7);
      EXPECT_EQ(part.first_row(), rows);
      EXPECT_EQ(part.last(), &part == &parts.back());
      EXPECT_EQ(part.part().has_compute_time(), part.last());
      ASSERT_EQ(part.part().output().shape_size(), 2);
      rows += part.part().output().shape(0);
      for (const double x : NumbersOf(part.part().output()))
        output.push_back(x);
      mass.insert(mass.end(), part.part().captured_mass().begin(),
                  part.part().captured_mass().end());
      attended.insert(attended.end(), part.part().attended().begin(),
                      part.part().attended().end());
    }
    EXPECT_EQ(parts.size() > 1, chunk < 1 << 20);
    v1::AttendResponse whole;
    ASSERT_TRUE(ToProto(heads, problem, kTiming, &whole).ok());
    EXPECT_EQ(output, NumbersOf(whole.output()));
    EXPECT_THAT(whole.captured_mass(), testing::ElementsAreArray(mass));
    EXPECT_THAT(whole.attended(), testing::ElementsAreArray(attended));
  }
}

TEST(AttendAnswerTest, ABrokenStreamEndsTheWriting) {
  int writes = 0;
  const absl::Status status =
      WriteParts(Heads(4, 5, 6), ProblemOf(test::ValidAttendRequest()), 1,
                 kTiming, kLimits, [&](const v1::StreamAttendResponse&) {
                   ++writes;
                   return false;
                 });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(writes, 1);
}

TEST(AttendAnswerTest, MemoryGrowsWithTheRowsAndNotBeyondTheLimit) {
  const AttendProblem problem = ProblemOf(test::ValidAttendRequest());
  EXPECT_GE(MemoryOfAttendAnswer(20, problem.terms(), 1e9), 20.0 * 49);
  EXPECT_LE(MemoryOfAttendAnswer(1e9, problem.terms(), 1000), 9000.0);
  EXPECT_GE(MemoryOfParts(problem, kLimits), 20.0 * 8 * 8);
}

}  // namespace
}  // namespace steelyard::server
