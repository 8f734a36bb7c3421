#include "client/src/solve_stream.h"

#include <vector>

#include "gtest/gtest.h"

namespace steelyard::client {
namespace {

std::string Bytes(const std::vector<double>& numbers) {
  return std::string(reinterpret_cast<const char*>(numbers.data()),
                     8 * numbers.size());
}

v1::SolveEvent Chunk(std::int64_t offset, const std::string& bytes) {
  v1::SolveEvent event;
  event.mutable_x_chunk()->set_offset(offset);
  event.mutable_x_chunk()->set_data(bytes);
  return event;
}

void Describe(int numbers, const std::string& data, v1::Tensor* tensor) {
  tensor->set_dtype(v1::DTYPE_FLOAT64);
  tensor->add_shape(numbers);
  tensor->set_data(data);
}

// Feeds the events until one is refused.
absl::StatusOr<Solution> Replay(std::vector<v1::SolveEvent> events,
                                const ProgressCallback& on_progress = {}) {
  SolveStream stream(on_progress, 1);
  for (v1::SolveEvent& event : events) {
    absl::Status status = stream.Add(&event);
    if (!status.ok()) return status;
  }
  return stream.Finish();
}

TEST(SolveStreamTest, ASmallAnswerComesInOneMessage) {
  v1::SolveEvent result;
  Describe(2, Bytes({1, 2}), result.mutable_result()->mutable_x());
  const auto solution = Replay({result});
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->x, Eigen::Vector2d(1, 2));
  EXPECT_EQ(solution->x_low.size(), 0);
}

TEST(SolveStreamTest, ChunksOfXAndThenOfXLowAreJoined) {
  v1::SolveEvent result;
  Describe(3, "", result.mutable_result()->mutable_x());
  Describe(3, "", result.mutable_result()->mutable_x_low());
  const std::string x = Bytes({1, 2, 3});
  const std::string low = Bytes({4, 5, 6});
  // Cut in the middle of a number on purpose.
  const auto solution =
      Replay({Chunk(0, x.substr(0, 11)), Chunk(11, x.substr(11)),
              Chunk(0, low.substr(0, 23)), Chunk(23, low.substr(23)), result});
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->x, Eigen::Vector3d(1, 2, 3));
  EXPECT_EQ(solution->x_low, Eigen::Vector3d(4, 5, 6));
}

TEST(SolveStreamTest, ProgressIsToldInOrder) {
  v1::SolveEvent first;
  first.mutable_progress()->set_phase("queue");
  v1::SolveEvent second;
  second.mutable_progress()->set_phase("factor");
  v1::SolveEvent result;
  Describe(1, Bytes({1}), result.mutable_result()->mutable_x());
  std::vector<std::string> phases;
  const auto solution = Replay({first, second, result}, [&](const Progress& p) {
    phases.push_back(p.phase);
  });
  EXPECT_TRUE(solution.ok());
  EXPECT_EQ(phases, (std::vector<std::string>{"queue", "factor"}));
  EXPECT_TRUE(Replay({first, second, result}).ok());  // Nobody listens.
}

TEST(SolveStreamTest, EventsOfANewerServerAreSkipped) {
  v1::SolveEvent result;
  Describe(1, Bytes({1}), result.mutable_result()->mutable_x());
  EXPECT_TRUE(Replay({v1::SolveEvent(), result}).ok());
}

TEST(SolveStreamTest, StreamsThatBreakTheContractAreRefused) {
  v1::SolveEvent result;
  Describe(2, "", result.mutable_result()->mutable_x());
  const std::string x = Bytes({1, 2});
  const std::vector<std::vector<v1::SolveEvent>> broken = {
      {},                      // No result.
      {Chunk(0, x)},           // No result.
      {result},                // No chunks.
      {Chunk(8, x), result},   // Starts late.
      {Chunk(-8, x), result},  // Starts early.
      {Chunk(0, x.substr(0, 8)), Chunk(9, x.substr(8)), result},  // Gap.
      {Chunk(0, x.substr(0, 8)), result},               // Too few bytes.
      {Chunk(0, x), Chunk(16, x), result},              // Too many bytes.
      {Chunk(0, x), Chunk(0, x), Chunk(0, x), result},  // A third tensor.
      {Chunk(0, x), result, Chunk(0, x)},               // After the result.
      {Chunk(0, x), result, result},                    // Twice.
  };
  for (std::size_t i = 0; i < broken.size(); ++i) {
    EXPECT_EQ(Replay(broken[i]).status().code(), absl::StatusCode::kInternal)
        << "case " << i;
  }
}

}  // namespace
}  // namespace steelyard::client
