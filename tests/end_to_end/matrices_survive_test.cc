// Uploads that are cut anywhere and servers that are killed: what was
// acknowledged is there, what was not can go on.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/storage/store_fixture.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/cutting_proxy.h"
#include "tests/support_server/matrix_caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"
#include "tests/support_server/server_process.h"

namespace steelyard::test {
namespace {

// 64 KiB.
constexpr std::int64_t kChunk = 1 << 16;

std::string DirectoryFlag(const server::TemporaryDirectory& directory) {
  return "--matrix-directory=" + directory.path();
}

// The stored matrix is the one that was sent: A'A x = b has the same bits.
void ExpectUsable(const std::string& address, const std::string& name,
                  const v1::Tensor& sent) {
  const Caller caller(address);
  v1::SolveRequest request;
  request.mutable_gram_power()->set_exponent(1);
  *request.mutable_b() = NormalTensor(sent.shape(1), 1, 7);
  v1::SolveResponse inline_answer, stored_answer;
  {
    grpc::ClientContext context;
    *request.mutable_a()->mutable_dense() = sent;
    ASSERT_TRUE(caller.Solve(&context, request, &inline_answer).ok());
  }
  grpc::ClientContext context;
  request.mutable_a()->set_matrix(name);
  const grpc::Status solved = caller.Solve(&context, request, &stored_answer);
  ASSERT_TRUE(solved.ok()) << solved.error_message();
  EXPECT_EQ(stored_answer.x().data(), inline_answer.x().data());
}

// Sends chunks, each once the one before it is there, until the proxy has cut
// the connection or all is sent. True: it was answered.
bool SendUntilCut(const MatrixUpload& upload, const CuttingProxy& proxy,
                  const MatrixCaller& direct) {
  const std::string name = "matrices/" + upload.header.matrix_id();
  const auto come = [&](std::int64_t committed) {
    while (direct.Committed(name) < committed && proxy.cuts_made() == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return proxy.cuts_made() == 0;
  };
  const MatrixCaller caller(proxy.address());
  grpc::ClientContext context;
  v1::Matrix matrix;
  const auto writer = caller.Upload(&context, &matrix);
  bool whole = writer->Write(HeaderMessage(upload)) && come(0);
  const auto total = static_cast<std::int64_t>(upload.bytes.size());
  for (std::int64_t offset = 0; whole && offset < total; offset += kChunk) {
    whole = writer->Write(ChunkMessage(upload, offset, kChunk)) &&
            come(std::min(offset + kChunk, total));
  }
  writer->WritesDone();
  return writer->Finish().ok();
}

// The bytes of a connection include HTTP/2's own: a cut falls anywhere, also
// into the header and into the middle of a chunk.
TEST(MatricesSurviveTest, ACutAnywhereCostsAtMostAChunk) {
  const server::TemporaryDirectory directory(/*in_memory=*/true);
  server::ServerConfig config = TestConfig();
  config.matrix_directory = directory.path();
  config.factor_memory = 0;  // a kept factor gives other bits
  RunningServer running(config);
  const int port =
      std::stoi(running.address().substr(running.address().rfind(':') + 1));
  const MatrixCaller direct(running.address());
  const v1::Tensor tensor = NormalTensor(2500, 16);  // 320,000 bytes
  int number = 0;
  for (const std::int64_t cut :
       {1, 100, 400, 65'536, 70'000, 131'072, 200'001, 319'999, 321'500}) {
    SCOPED_TRACE(cut);
    const MatrixUpload upload =
        UploadOf("cut-" + std::to_string(++number), tensor);
    const std::string name = "matrices/" + upload.header.matrix_id();
    CuttingProxy proxy(port, {{Cut::Way::kToServer, cut}});
    if (!SendUntilCut(upload, proxy, direct)) {
      const std::int64_t committed = direct.Committed(name);
      // Headers and frames are less than 2000 bytes.
      EXPECT_GE(committed, (cut - 2000) / kChunk * kChunk - (cut < 2000));
      EXPECT_LE(committed, cut);
    }
    v1::Matrix matrix;
    const grpc::Status sent =
        direct.Committed(name) < 0
            ? direct.Send(MessagesOf(upload, 0, kChunk), &matrix)
            : direct.Resume(upload, &matrix);
    ASSERT_TRUE(sent.ok()) << sent.error_message();
    EXPECT_EQ(matrix.crc32c(), upload.header.crc32c());
  }
  ExpectUsable(running.address(), "matrices/cut-5", tensor);
}

TEST(MatricesSurviveTest, AKilledServerKeepsWhatItHadCommitted) {
  const server::TemporaryDirectory directory;
  const v1::Tensor tensor = NormalTensor(2500, 16);
  const MatrixUpload upload = UploadOf("half", tensor);
  {
    ServerProcess server(
        {DirectoryFlag(directory), "--log-level=error", "--factor-memory=0"});
    ASSERT_TRUE(server.WaitUntilServing()) << server.Output();
    const MatrixCaller caller(server.address());
    grpc::ClientContext context;
    v1::Matrix matrix;
    const auto writer = caller.Upload(&context, &matrix);
    for (const auto& message :
         {HeaderMessage(upload), ChunkMessage(upload, 0, kChunk),
          ChunkMessage(upload, kChunk, kChunk)}) {
      ASSERT_TRUE(writer->Write(message));
    }
    while (caller.Committed("matrices/half") != 2 * kChunk) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    server.Signal(SIGKILL);
    (void)server.WaitForExit();
    EXPECT_FALSE(writer->Finish().ok());
  }
  ServerProcess server(
      {DirectoryFlag(directory), "--log-level=error", "--factor-memory=0"});
  ASSERT_TRUE(server.WaitUntilServing()) << server.Output();
  const MatrixCaller caller(server.address());
  EXPECT_EQ(caller.Committed("matrices/half"), 2 * kChunk);
  v1::ListMatricesResponse page;
  ASSERT_TRUE(caller.List({}, &page).ok());
  EXPECT_EQ(page.matrices_size(), 0);
  v1::Matrix matrix;
  const grpc::Status resumed = caller.Resume(upload, &matrix);
  ASSERT_TRUE(resumed.ok()) << resumed.error_message();
  ExpectUsable(server.address(), "matrices/half", tensor);
}

TEST(MatricesSurviveTest, AnAnswerIsAPromise) {
  const server::TemporaryDirectory directory;
  const v1::Tensor tensor = NormalTensor(500, 16);
  const MatrixUpload upload = UploadOf("kept", tensor);
  v1::Matrix answered;
  {
    ServerProcess server(
        {DirectoryFlag(directory), "--log-level=error", "--factor-memory=0"});
    ASSERT_TRUE(server.WaitUntilServing()) << server.Output();
    const MatrixCaller caller(server.address());
    ASSERT_TRUE(caller.Send(upload, &answered).ok());
    server.Signal(SIGKILL);
    (void)server.WaitForExit();
  }
  ServerProcess server(
      {DirectoryFlag(directory), "--log-level=error", "--factor-memory=0"});
  ASSERT_TRUE(server.WaitUntilServing()) << server.Output();
  const MatrixCaller caller(server.address());
  v1::Matrix matrix;
  ASSERT_TRUE(caller.Get("matrices/kept", &matrix).ok());
  EXPECT_EQ(matrix.SerializeAsString(), answered.SerializeAsString());
  ExpectUsable(server.address(), "matrices/kept", tensor);
}

TEST(MatricesSurviveTest, OneServerADirectory) {
  const server::TemporaryDirectory directory;
  ServerProcess first(
      {DirectoryFlag(directory), "--log-level=error", "--factor-memory=0"});
  ASSERT_TRUE(first.WaitUntilServing()) << first.Output();
  ServerProcess second(
      {DirectoryFlag(directory), "--log-level=error", "--factor-memory=0"});
  EXPECT_EQ(second.WaitForExit(), 1);
  EXPECT_NE(second.Output().find("--matrix-directory"), std::string::npos);
  first.Signal(SIGTERM);
  EXPECT_EQ(first.WaitForExit(), 0);
}

// A silent upload does not hold up a drain; it goes on with the next server.
TEST(MatricesSurviveTest, ADrainEndsUploads) {
  const server::TemporaryDirectory directory;
  const MatrixUpload upload = UploadOf("a", NormalTensor(500, 16));
  {
    ServerProcess server(
        {DirectoryFlag(directory), "--log-level=error", "--drain-timeout=30s"});
    ASSERT_TRUE(server.WaitUntilServing()) << server.Output();
    const MatrixCaller caller(server.address());
    grpc::ClientContext context;
    v1::Matrix matrix;
    const auto writer = caller.Upload(&context, &matrix);
    ASSERT_TRUE(writer->Write(HeaderMessage(upload)));
    ASSERT_TRUE(writer->Write(ChunkMessage(upload, 0, 1000)));
    while (caller.Committed("matrices/a") != 1000) std::this_thread::yield();
    server.Signal(SIGTERM);
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(server.WaitForExit(std::chrono::seconds(15)), 0);
  }
  ServerProcess server(
      {DirectoryFlag(directory), "--log-level=error", "--factor-memory=0"});
  ASSERT_TRUE(server.WaitUntilServing()) << server.Output();
  const MatrixCaller caller(server.address());
  EXPECT_EQ(caller.Committed("matrices/a"), 1000);
  v1::Matrix matrix;
  EXPECT_TRUE(caller.Resume(upload, &matrix).ok());
}

}  // namespace
}  // namespace steelyard::test
