// Uploads of the client library to a server, over connections that are cut.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "steelyard/client/client.h"
#include "tests/support_server/cutting_proxy.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kChunk = std::int64_t{1} << 16;
constexpr std::int64_t kRows = 1 << 13;  // 512 KiB of float64, 8 columns.

class UploadReconnectsTest : public testing::Test {
 protected:
  UploadReconnectsTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("steelyard-upload-" + std::to_string(::getpid()))),
        server_(ConfigFor(folder_)) {
    for (std::size_t i = 0; i < numbers_.size(); ++i) {
      numbers_[i] = static_cast<double>(i % 1009) / 7.0;
    }
  }
  ~UploadReconnectsTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  static server::ServerConfig ConfigFor(const std::filesystem::path& folder) {
    std::filesystem::create_directories(folder);
    server::ServerConfig config = TestConfig();
    config.matrix_directory = folder.string();
    return config;
  }

  client::TensorView view() const { return {numbers_, {kRows, 8}}; }
  static client::Client ClientOf(const std::string& address, int attempts) {
    return *client::Client::Create(
        address, {.retry = {.attempts_max = attempts, .first_delay = 20ms}});
  }

  const std::filesystem::path folder_;
  RunningServer server_;
  std::vector<double> numbers_ = std::vector<double>(kRows * 8);
};

TEST_F(UploadReconnectsTest, ACutAnywhereIsMended) {
  const std::uint32_t checksum = *client::ChecksumOf(view());
  // In the header, between chunks, in a chunk, near the end; and twice.
  const std::vector<std::vector<std::int64_t>> cases = {
      {60}, {kChunk + 300}, {200'001}, {515'000}, {100'000, 150'000}};
  for (std::size_t i = 0; i < cases.size(); ++i) {
    std::deque<Cut> cuts;
    for (const std::int64_t bytes : cases[i]) {
      cuts.push_back({.way = Cut::Way::kToServer, .bytes = bytes});
    }
    CuttingProxy proxy(server_.server().port(), cuts);
    const std::string id = "cut-" + std::to_string(i);
    const auto uploaded =
        ClientOf(proxy.address(), 6)
            .UploadMatrix(id, view(), {.chunk_bytes = kChunk});
    ASSERT_TRUE(uploaded.ok()) << uploaded.status();
    EXPECT_EQ(uploaded->info.crc32c, checksum);
    EXPECT_EQ(proxy.cuts_made(), static_cast<int>(cases[i].size()));
    EXPECT_GE(uploaded->reconnects, 1);
  }
}

TEST_F(UploadReconnectsTest, AtMostOneChunkThatArrivedIsSentAgain) {
  constexpr std::int64_t kArrived = 300'000;
  // Frames and headers of HTTP/2 around 300,000 bytes.
  constexpr std::int64_t kFrames = 4096;
  CuttingProxy proxy(server_.server().port(),
                     {{.way = Cut::Way::kToServer, .bytes = kArrived}});
  // Slowly: what the server has not read yet when a connection is reset is lost
  // in its kernel, and did not arrive.
  const auto cut =
      ClientOf(proxy.address(), 1)
          .UploadMatrix("cut", view(),
                        {.chunk_bytes = kChunk,
                         .on_progress = [](const client::UploadProgress& p) {
                           if (p.phase == "upload") {
                             std::this_thread::sleep_for(60ms);
                           }
                         }});
  ASSERT_FALSE(cut.ok());
  const client::Client client = ClientOf(server_.address(), 6);
  // The server has still to notice.
  std::int64_t committed = 0;
  for (int look = 0; look < 100; ++look) {
    const auto status = client.GetUploadStatus("cut");
    if (status.ok()) {
      EXPECT_FALSE(status->complete);
      committed = status->committed_size;
    } else {
      ASSERT_TRUE(absl::IsNotFound(status.status())) << status.status();
    }
    if (committed >= kArrived - kFrames - kChunk) break;
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_GE(committed, kArrived - kFrames - kChunk);
  EXPECT_LE(committed, kArrived);
  const auto uploaded =
      client.UploadMatrix("cut", view(), {.chunk_bytes = kChunk});
  ASSERT_TRUE(uploaded.ok()) << uploaded.status();
  EXPECT_GE(uploaded->resumed_at, committed);
  EXPECT_EQ(uploaded->bytes_sent + uploaded->resumed_at,
            uploaded->info.size_bytes);
  EXPECT_EQ(uploaded->info.crc32c, *client::ChecksumOf(view()));
}

}  // namespace
}  // namespace steelyard::test
