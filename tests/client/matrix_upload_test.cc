// Uploads against a server that breaks them off.
#include "client/src/matrix_upload.h"

#include <numeric>
#include <string>
#include <vector>

#include "client/src/crc32c.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/client.h"
#include "tests/client/support/fake_matrices.h"

namespace steelyard::client {
namespace {

using test::FakeMatrices;
using test::FakeServer;
using test::Refusal;
using testing::ElementsAre;
using namespace std::chrono_literals;

constexpr int kUnavailable = 14;
constexpr int kAborted = 10;
constexpr std::int64_t kChunk = 256;

std::vector<double> Numbers(int count) {
  std::vector<double> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0.25);
  return numbers;
}

std::string BytesOfNumbers(const std::vector<double>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), 8 * numbers.size()};
}

Client ClientOf(const FakeServer& server) {
  return *Client::Create(
      server.address(),
      {.retry = {.attempts_max = 3, .first_delay = 1ms, .delay_max = 10ms}});
}

TEST(MatrixUploadTest, EveryByteArrivesWithItsChecksum) {
  const FakeMatrices matrices;
  const FakeServer server(matrices.Handlers());
  const std::vector<double> numbers = Numbers(300);
  const auto uploaded = ClientOf(server).UploadMatrix("a", {numbers, {100, 3}},
                                                      {.chunk_bytes = kChunk});
  ASSERT_TRUE(uploaded.ok()) << uploaded.status();
  const FakeMatrices::Upload there = matrices.upload("a");
  EXPECT_EQ(there.bytes, BytesOfNumbers(numbers));
  EXPECT_EQ(there.header.crc32c(), Crc32c(there.bytes));
  EXPECT_EQ(uploaded->info.name, "matrices/a");
  EXPECT_EQ(uploaded->info.crc32c, Crc32c(there.bytes));
  EXPECT_EQ(uploaded->resumed_at, 0);
  EXPECT_EQ(uploaded->bytes_sent, 2400);
  EXPECT_EQ(uploaded->reconnects, 0);
  EXPECT_EQ(*ChecksumOf({numbers, {100, 3}}), uploaded->info.crc32c);
}

TEST(MatrixUploadTest, AfterABreakOnlyWhatIsMissingIsSent) {
  // Three breaks, each after progress, with two attempts more than one: the
  // count begins anew with what the server has.
  const FakeMatrices matrices({{.chunks = 2, .reply = Refusal(14, "gone")},
                               {.chunks = 1, .reply = Refusal(14, "gone")},
                               {.chunks = 3, .reply = Refusal(14, "gone")},
                               {.chunks = 1, .reply = Refusal(14, "gone")}});
  const FakeServer server(matrices.Handlers());
  const std::vector<double> numbers = Numbers(400);
  const auto uploaded = ClientOf(server).UploadMatrix("a", {numbers, {100, 4}},
                                                      {.chunk_bytes = kChunk});
  ASSERT_TRUE(uploaded.ok()) << uploaded.status();
  EXPECT_EQ(matrices.upload("a").bytes, BytesOfNumbers(numbers));
  EXPECT_THAT(matrices.first_offsets(),
              ElementsAre(0, 2 * kChunk, 3 * kChunk, 6 * kChunk, 7 * kChunk));
  // What arrived once is not sent again.
  EXPECT_EQ(matrices.bytes_received(), 3200);
  EXPECT_EQ(uploaded->reconnects, 4);
}

TEST(MatrixUploadTest, AnotherProgramGoesOnWhereTheFirstStopped) {
  const FakeMatrices matrices;
  const FakeServer server(matrices.Handlers());
  const std::vector<double> numbers = Numbers(300);
  ASSERT_TRUE(ClientOf(server).UploadMatrix("a", {numbers, {300, 1}}).ok());
  FakeMatrices::Upload half = matrices.upload("a");
  half.complete = false;
  half.bytes.resize(1001);  // In the middle of a chunk, and of a number.
  matrices.Put("a", half);
  const auto uploaded = ClientOf(server).UploadMatrix(
      "a", TensorView(numbers, {300}), {.chunk_bytes = kChunk});
  ASSERT_TRUE(uploaded.ok()) << uploaded.status();
  EXPECT_EQ(matrices.upload("a").bytes, BytesOfNumbers(numbers));
  EXPECT_EQ(uploaded->resumed_at, 1001);
  EXPECT_EQ(uploaded->bytes_sent, 1399);
  // Once more: everything is there.
  const auto again =
      ClientOf(server).UploadMatrix("matrices/a", {numbers, {300, 1}});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->resumed_at, 2400);
  EXPECT_EQ(again->bytes_sent, 0);
}

TEST(MatrixUploadTest, BytesThatArriveLateAreAskedForAgain) {
  // The first stream's last bytes come to be there after the client asked.
  const FakeMatrices matrices({{.chunks = 2, .reply = Refusal(14, "gone")},
                               {.chunks = 9, .late_bytes = 64}});
  const FakeServer server(matrices.Handlers());
  const std::vector<double> zeros(200, 0.0);
  const auto uploaded = ClientOf(server).UploadMatrix("a", {zeros, {200, 1}},
                                                      {.chunk_bytes = kChunk});
  ASSERT_TRUE(uploaded.ok()) << uploaded.status();
  EXPECT_EQ(matrices.upload("a").bytes, std::string(1600, '\0'));
}

TEST(MatrixUploadTest, WithoutProgressItGivesUp) {
  const FakeMatrices matrices(
      std::vector<FakeMatrices::Break>(9, {.reply = Refusal(14, "gone")}));
  const FakeServer server(matrices.Handlers());
  const std::vector<double> numbers = Numbers(300);
  const auto uploaded = ClientOf(server).UploadMatrix("a", {numbers, {300, 1}});
  EXPECT_TRUE(absl::IsUnavailable(uploaded.status())) << uploaded.status();
  EXPECT_EQ(DetailOf(uploaded.status())->attempts, 3);
  EXPECT_EQ(DetailOf(uploaded.status())->request_id.size(), 32U);
}

TEST(MatrixUploadTest, RefusalsAreNotTriedAgain) {
  for (const auto& [code, reason] :
       {std::pair{kAborted, "TAKEN_OVER"}, std::pair{3, "CHECKSUM_MISMATCH"},
        std::pair{8, "DISK_FULL"}}) {
    const FakeMatrices matrices(
        {{.chunks = 1, .reply = test::RefusalFor(code, reason)}});
    const FakeServer server(matrices.Handlers());
    const std::vector<double> numbers = Numbers(300);
    const auto uploaded =
        ClientOf(server).UploadMatrix("a", {numbers, {300, 1}});
    ASSERT_FALSE(uploaded.ok());
    EXPECT_EQ(static_cast<int>(uploaded.status().code()), code);
    EXPECT_EQ(DetailOf(uploaded.status())->reason, reason);
    EXPECT_EQ(DetailOf(uploaded.status())->attempts, 1);
  }
}

TEST(MatrixUploadTest, AnIdleStreamGoesOn) {
  const FakeMatrices matrices(
      {{.chunks = 1, .reply = test::RefusalFor(kAborted, "STREAM_IDLE")}});
  const FakeServer server(matrices.Handlers());
  const std::vector<double> numbers = Numbers(300);
  EXPECT_TRUE(
      ClientOf(server)
          .UploadMatrix("a", {numbers, {300, 1}}, {.chunk_bytes = kChunk})
          .ok());
}

TEST(MatrixUploadTest, TheNameOfAnotherMatrixIsRefused) {
  const FakeMatrices matrices;
  const FakeServer server(matrices.Handlers());
  const std::vector<double> numbers = Numbers(300);
  const Client client = ClientOf(server);
  ASSERT_TRUE(client.UploadMatrix("a", {numbers, {300, 1}}).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(
      client.UploadMatrix("a", {numbers, {150, 2}}).status()));
  std::vector<double> other = numbers;
  other[7] = -1.0;
  EXPECT_TRUE(absl::IsAlreadyExists(
      client.UploadMatrix("a", {other, {300, 1}}).status()));
}

TEST(MatrixUploadTest, NumbersThatChangeMeanwhileAreFoundOut) {
  const FakeMatrices matrices;
  const FakeServer server(matrices.Handlers());
  std::vector<double> numbers = Numbers(300);
  const auto uploaded = ClientOf(server).UploadMatrix(
      "a", {numbers, {300, 1}},
      {.chunk_bytes = kChunk, .on_progress = [&](const UploadProgress& p) {
         if (p.phase == "upload" && p.bytes_done == 0) numbers[200] = -1.0;
       }});
  EXPECT_EQ(DetailOf(uploaded.status())->reason, "CHECKSUM_MISMATCH");
  EXPECT_FALSE(matrices.upload("a").complete);
}

TEST(MatrixUploadTest, ProgressCoversBothPassesAndWhatWasThere) {
  const FakeMatrices matrices({{.chunks = 2, .reply = Refusal(14, "gone")}});
  const FakeServer server(matrices.Handlers());
  const std::vector<double> numbers = Numbers(128);  // Four chunks.
  std::vector<std::string> seen;
  const auto uploaded = ClientOf(server).UploadMatrix(
      "a", {numbers, {128, 1}},
      {.chunk_bytes = kChunk, .on_progress = [&](const UploadProgress& p) {
         EXPECT_EQ(p.bytes_total, 1024);
         EXPECT_GE(p.elapsed, Seconds(0.0));
         seen.push_back(p.phase + std::to_string(p.bytes_done) + " " +
                        std::to_string(p.attempt));
       }});
  ASSERT_TRUE(uploaded.ok()) << uploaded.status();
  const std::vector<std::string> first(seen.begin(), seen.begin() + 5);
  EXPECT_THAT(first,
              ElementsAre("checksum256 1", "checksum512 1", "checksum768 1",
                          "checksum1024 1", "upload0 1"));
  const std::vector<std::string> last(seen.end() - 3, seen.end());
  EXPECT_THAT(last, ElementsAre("upload512 2", "upload768 2", "upload1024 2"));
}

TEST(MatrixUploadTest, AStopEndsIt) {
  const FakeMatrices matrices;
  const FakeServer server(matrices.Handlers());
  const std::vector<double> numbers = Numbers(300);
  for (const char* phase : {"checksum", "upload"}) {
    std::stop_source stop;
    const auto uploaded =
        ClientOf(server).UploadMatrix(phase, {numbers, {300, 1}},
                                      {.chunk_bytes = kChunk,
                                       .on_progress =
                                           [&](const UploadProgress& p) {
                                             if (p.phase == phase)
                                               stop.request_stop();
                                           }},
                                      {.stop = stop.get_token()});
    EXPECT_TRUE(absl::IsCancelled(uploaded.status())) << uploaded.status();
    EXPECT_FALSE(matrices.upload(phase).complete);
  }
}

TEST(MatrixUploadTest, TheDeadlineIsOfTheWholeUpload) {
  const FakeMatrices matrices;
  test::FakeHandlers handlers = matrices.Handlers();
  handlers.upload_matrix = [](const test::FakeCall& call, const auto&, auto*) {
    while (!call.cancelled()) std::this_thread::sleep_for(1ms);
    return Refusal(kUnavailable, "too late");
  };
  const FakeServer server(handlers);
  const std::vector<double> numbers = Numbers(8);
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      ClientOf(server)
          .UploadMatrix("a", {numbers, {8, 1}}, {}, {.deadline = 50ms})
          .status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      ClientOf(server)
          .UploadMatrix("a", {numbers, {8, 1}}, {}, {.deadline = 0ms})
          .status()));
}

TEST(MatrixUploadTest, AFeedIsReadTwiceAndItsErrorIsFinal) {
  const FakeMatrices matrices;
  const FakeServer server(matrices.Handlers());
  const std::string bytes = BytesOfNumbers(Numbers(100));
  int reads_of_start = 0;
  bool broken = false;
  const MatrixFeed feed{
      .layout = DenseLayout{.type = ScalarType::kFloat64, .shape = {50, 2}},
      .read = [&](std::int64_t offset, std::span<char> out) -> absl::Status {
        if (offset == 0) ++reads_of_start;
        if (broken) return absl::DataLossError("the file shrank");
        bytes.copy(out.data(), out.size(), static_cast<std::size_t>(offset));
        return absl::OkStatus();
      }};
  const auto uploaded =
      ClientOf(server).UploadMatrix("a", feed, {.chunk_bytes = kChunk});
  ASSERT_TRUE(uploaded.ok()) << uploaded.status();
  EXPECT_EQ(matrices.upload("a").bytes, bytes);
  EXPECT_EQ(reads_of_start, 2);
  broken = true;
  EXPECT_TRUE(
      absl::IsDataLoss(ClientOf(server).UploadMatrix("b", feed).status()));
}

TEST(MatrixUploadTest, WrongOptionsAreNamed) {
  const FakeServer server({});
  const std::vector<double> numbers = Numbers(8);
  for (const std::int64_t bytes : {0, 65, -64, (1 << 20) + 64}) {
    const auto uploaded = ClientOf(server).UploadMatrix("a", {numbers, {8, 1}},
                                                        {.chunk_bytes = bytes});
    EXPECT_TRUE(absl::IsInvalidArgument(uploaded.status()));
    EXPECT_EQ(DetailOf(uploaded.status())->field, "chunk_bytes");
  }
  EXPECT_EQ(server.calls(), 0);
}

}  // namespace
}  // namespace steelyard::client
