#include "server/convert/heavy_answer.h"

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

HeavyProblem ProblemOf(const v1::QueryHeavyRequest& request) {
  auto problem = HeavyProblemFromProto(request, nullptr, kLimits);
  EXPECT_TRUE(problem.ok()) << problem.status();
  return *std::move(problem);
}

HeavyRow FullRow() {
  return {.indices = {2, 3},
          .scores = {0.25, 0.5},
          .scores_upper = {0.375, 0.625},
          .normalizer = 1.5,
          .normalizer_exponent = -2000,
          .captured_mass = 0.75,
          .undefined = true,
          .keys_scored = 17};
}

TEST(HeavyAnswerTest, EveryFieldOfTheAnswerIsFilled) {
  v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  const HeavyProblem as_rows = ProblemOf(request);
  v1::QueryHeavyResponse response;
  ASSERT_TRUE(ToProto({FullRow()}, as_rows, kTiming, &response).ok());
  request.set_packed(true);
  v1::QueryHeavyResponse packed;
  ASSERT_TRUE(ToProto({FullRow()}, ProblemOf(request), kTiming, &packed).ok());

  auto unset = test::UnsetFields(std::vector{response, packed});
  unset.erase("steelyard.v1.Tensor.values");  // never in answers
  EXPECT_THAT(unset, IsEmpty());
  EXPECT_EQ(packed.rows_size(), 0);
  const v1::HeavyRow& row = response.rows(0);
  EXPECT_THAT(row.indices(), ElementsAre(2, 3));
  EXPECT_THAT(row.scores(), ElementsAre(0.25, 0.5));
  EXPECT_THAT(row.scores_upper(), ElementsAre(0.375, 0.625));
  EXPECT_EQ(row.normalizer(), 1.5);
  EXPECT_EQ(row.normalizer_exponent(), -2000);
  EXPECT_EQ(row.captured_mass(), 0.75);
  EXPECT_TRUE(row.undefined());
  EXPECT_EQ(row.keys_scored(), 17);
  EXPECT_EQ(response.queue_time().nanos(), 2);
  EXPECT_EQ(packed.compute_time().seconds(), 3);
}

TEST(HeavyAnswerTest, RowsAloneCanBeTooManyBeforeAnyWork) {
  v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  EXPECT_TRUE(CheckResponseSize(ProblemOf(request)).ok());
  request.set_max_response_bytes(79);  // 20 rows of at least 4 bytes
  const absl::Status status = CheckResponseSize(ProblemOf(request));
  EXPECT_EQ(DetailOf(status)->reason, "RESPONSE_TOO_LARGE");
  EXPECT_THAT(std::string(status.message()), HasSubstr("StreamQueryHeavy"));
  request.set_max_response_bytes(80);
  EXPECT_TRUE(CheckResponseSize(ProblemOf(request)).ok());
  request.set_packed(true);  // 41 numbers of 8 bytes
  EXPECT_FALSE(CheckResponseSize(ProblemOf(request)).ok());
  request.set_max_response_bytes(41 * 8);
  EXPECT_TRUE(CheckResponseSize(ProblemOf(request)).ok());
}

TEST(HeavyAnswerTest, AnswersOverTheLimitAreRefusedAndNotHalfFilled) {
  v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  for (const bool packed : {false, true}) {
    request.set_packed(packed);
    request.clear_max_response_bytes();
    v1::QueryHeavyResponse response;
    ASSERT_TRUE(
        ToProto({FullRow()}, ProblemOf(request), kTiming, &response).ok());
    const auto bytes = static_cast<std::int64_t>(response.ByteSizeLong());
    for (const std::int64_t less : {std::int64_t{1}, bytes - 5}) {
      request.set_max_response_bytes(bytes - less);
      response.Clear();
      const absl::Status status =
          ToProto({FullRow()}, ProblemOf(request), kTiming, &response);
      EXPECT_EQ(DetailOf(status)->reason, "RESPONSE_TOO_LARGE");
      EXPECT_EQ(response.ByteSizeLong(), 0u);
    }
    request.set_max_response_bytes(bytes);
    response.Clear();
    EXPECT_TRUE(
        ToProto({FullRow()}, ProblemOf(request), kTiming, &response).ok());
  }
}

// A row of so many keys, told apart by their numbers.
HeavyRow RowOf(std::size_t entries, bool intervals) {
  HeavyRow row;
  for (std::size_t i = 0; i < entries; ++i) {
    row.indices.push_back(static_cast<Index>(i) << 33);
    row.scores.push_back(1.0 / static_cast<double>(i + 1));
    if (intervals) row.scores_upper.push_back(2.0 / static_cast<double>(i + 1));
  }
  row.captured_mass = 0.5;
  return row;
}

using Parts = std::vector<v1::StreamQueryHeavyResponse>;

Parts Written(const std::vector<HeavyRow>& rows, const HeavyProblem& problem,
              const Limits& limits) {
  Parts parts;
  const absl::Status status =
      WriteParts(rows, problem, 42, kTiming, limits,
                 [&](const v1::StreamQueryHeavyResponse& part) {
                   EXPECT_LE(part.ByteSizeLong(),
                             static_cast<std::size_t>(limits.chunk_bytes_max));
                   parts.push_back(part);
                   return true;
                 });
  EXPECT_TRUE(status.ok()) << status;
  return parts;
}

// The rows again, by the rule that the contract gives to callers.
std::vector<HeavyRow> Joined(const Parts& parts) {
  std::vector<HeavyRow> rows;
  for (const auto& part : parts) {
    const auto first = static_cast<std::size_t>(part.first_row());
    EXPECT_TRUE(first == rows.size() || first + 1 == rows.size());
    for (int r = 0; r < part.part().rows_size(); ++r) {
      const v1::HeavyRow& piece = part.part().rows(r);
      if (first + static_cast<std::size_t>(r) == rows.size())
        rows.push_back({});
      HeavyRow& row = rows.back();
      row.indices.insert(row.indices.end(), piece.indices().begin(),
                         piece.indices().end());
      row.scores.insert(row.scores.end(), piece.scores().begin(),
                        piece.scores().end());
      row.scores_upper.insert(row.scores_upper.end(),
                              piece.scores_upper().begin(),
                              piece.scores_upper().end());
      row.captured_mass = piece.captured_mass();
    }
  }
  return rows;
}

TEST(HeavyAnswerTest, PartsAreSmallAndMakeTheWhole) {
  const v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  const HeavyProblem problem = ProblemOf(request);
  Limits limits;
  limits.chunk_bytes_max = 4096;
  // Empty rows, small ones, one that fills a part, some that need many parts.
  const std::vector<std::size_t> sizes = {0, 3,   100, 134, 135, 136, 0,
                                          1, 900, 0,   2,   137, 1000};
  for (const bool intervals : {false, true}) {
    std::vector<HeavyRow> rows;
    for (const std::size_t size : sizes) rows.push_back(RowOf(size, intervals));
    const Parts parts = Written(rows, problem, limits);
    const std::vector<HeavyRow> joined = Joined(parts);
    ASSERT_EQ(joined.size(), rows.size());
    for (std::size_t r = 0; r < rows.size(); ++r) {
      EXPECT_EQ(joined[r].indices, rows[r].indices) << r;
      EXPECT_EQ(joined[r].scores, rows[r].scores) << r;
      EXPECT_EQ(joined[r].scores_upper, rows[r].scores_upper) << r;
      EXPECT_EQ(joined[r].captured_mass, 0.5);
    }
    for (std::size_t p = 0; p < parts.size(); ++p) {
      const bool last = p + 1 == parts.size();
      EXPECT_EQ(parts[p].id(), 42);
      EXPECT_EQ(parts[p].last(), last);
      EXPECT_EQ(parts[p].part().has_compute_time(), last);
    }
  }
}

TEST(HeavyAnswerTest, PackedPartsAreSmallToo) {
  v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  request.set_packed(true);
  const HeavyProblem problem = ProblemOf(request);
  Limits limits;
  limits.chunk_bytes_max = 4096;
  const std::vector<HeavyRow> rows = {RowOf(500, true), RowOf(0, true),
                                      RowOf(60, false)};
  std::size_t entries = 0;
  for (const auto& part : Written(rows, problem, limits)) {
    EXPECT_EQ(part.part().rows_size(), 0);
    entries += part.part().packed().indices().data().size() / 8;
  }
  EXPECT_EQ(entries, 560u);
}

TEST(HeavyAnswerTest, ABrokenStreamEndsTheWriting) {
  const v1::QueryHeavyRequest request = test::ValidQueryHeavyRequest();
  Limits limits;
  limits.chunk_bytes_max = 4096;
  int written = 0;
  const absl::Status status =
      WriteParts({RowOf(1000, false)}, ProblemOf(request), 1, kTiming, limits,
                 [&](const auto&) { return ++written < 3; });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(written, 3);
}

TEST(HeavyAnswerTest, MemoryGrowsWithTheRowsAndEndsAtTheLimit) {
  EXPECT_GT(MemoryOfHeavyAnswer(100, 10, false, 1e9),
            MemoryOfHeavyAnswer(10, 10, false, 1e9));
  EXPECT_EQ(MemoryOfHeavyAnswer(1e9, 1e9, false, 1000),
            MemoryOfHeavyAnswer(1e9, 1e12, false, 1000));
  EXPECT_GE(MemoryOfParts({RowOf(1000, true)}, kLimits), 24e3);
}

}  // namespace
}  // namespace steelyard::server
