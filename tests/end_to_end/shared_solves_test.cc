// Solves on one stored matrix that wait together, over the wire: each caller
// gets what it would get alone, with limits of its own.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/convert/sparse_requests.h"
#include "tests/server/storage/store_fixture.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/matrix_caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;

server::ServerConfig ConfigOn(const std::string& directory) {
  server::ServerConfig config = TestConfig();
  config.matrix_directory = directory;
  return config;
}

// As long as nothing comes, the test waits; its label has a time limit.
void Await(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::sleep_for(milliseconds(1));
}

// One caller on a thread of its own.
class Call {
 public:
  Call(const std::string& address, v1::SolveRequest request,
       milliseconds deadline = std::chrono::minutes(5))
      : caller_(address), request_(std::move(request)) {
    context_.set_deadline(system_clock::now() + deadline);
    thread_ = std::thread([this] {
      status_ = caller_.StreamSolve(
          &context_, request_, [this](const v1::SolveEvent& event) {
            if (event.has_result()) result_ = event.result();
            if (event.has_progress() && event.progress().phase() != "queue") {
              works_ = true;
            }
            told_ = true;
            return true;
          });
      ended_ = true;
    });
  }
  ~Call() {
    context_.TryCancel();
    if (thread_.joinable()) thread_.join();
  }
  bool told() const { return told_; }
  bool works() const { return works_; }
  bool ended() const { return ended_; }
  void Cancel() { context_.TryCancel(); }
  const grpc::Status& Status() {
    if (thread_.joinable()) thread_.join();
    return status_;
  }
  const v1::SolveResponse& Result() {
    EXPECT_TRUE(Status().ok()) << status_.error_message();
    return result_;
  }

 private:
  const Caller caller_;
  const v1::SolveRequest request_;
  grpc::ClientContext context_;
  grpc::Status status_;
  v1::SolveResponse result_;
  std::atomic<bool> told_{false};
  std::atomic<bool> works_{false};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

class SharedSolvesTest : public testing::Test {
 protected:
  void Store(std::int64_t rows, std::int64_t cols) {
    v1::Matrix matrix;
    ASSERT_TRUE(
        matrices_.Send(UploadOf("a", NormalTensor(rows, cols)), &matrix).ok());
  }
  // Least squares with k right-hand sides of this seed.
  static v1::SolveRequest Request(std::int64_t rows, int k,
                                  std::uint64_t seed) {
    v1::SolveRequest request;
    request.mutable_a()->set_matrix("matrices/a");
    *request.mutable_b() = NormalTensor(rows, k, seed);
    request.mutable_left_gram_power()->set_exponent(0);
    request.set_seed(7);
    return request;
  }
  v1::SolveResponse Solved(const v1::SolveRequest& request) const {
    grpc::ClientContext context;
    v1::SolveResponse response;
    const grpc::Status status = caller_.Solve(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  std::int64_t FactorBytes() const {
    grpc::ClientContext context;
    v1::ServerInfo info;
    EXPECT_TRUE(caller_.GetServerInfo(&context, &info).ok());
    return info.factor_memory_reserved_bytes();
  }

  const server::TemporaryDirectory directory_{/*in_memory=*/true};
  RunningServer running_{ConfigOn(directory_.path())};
  const Caller caller_{running_.address()};
  const MatrixCaller matrices_{running_.address()};
};

TEST_F(SharedSolvesTest, WhoWaitsTogetherGetsTheBitsOfALoneCall) {
  // 6 n d^2 flops: large work, one at a time.
  constexpr std::int64_t kRows = 3000;
  Store(kRows, 256);
  Call holder(running_.address(), EndlessRequest());
  Await([&] { return holder.works() || holder.ended(); });
  ASSERT_FALSE(holder.ended()) << holder.Status().error_message();

  std::vector<v1::SolveRequest> requests;
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 5; ++i) {
    requests.push_back(
        Request(kRows, 1 + i % 3, 20 + static_cast<unsigned>(i)));
    calls.push_back(std::make_unique<Call>(running_.address(), requests[i]));
  }
  // Its time passes while it waits, and it takes nobody along.
  Call late(running_.address(), Request(kRows, 1, 31), milliseconds(300));
  // No work at all is left to it, and it gets that of nobody else.
  v1::SolveRequest brief_request = Request(kRows, 2, 32);
  brief_request.mutable_time_limit()->set_nanos(1);
  Call brief(running_.address(), brief_request);
  // Enough.
  v1::SolveRequest patient_request = Request(kRows, 2, 33);
  patient_request.mutable_time_limit()->set_seconds(300);
  Call patient(running_.address(), patient_request);

  for (const auto& call : calls) Await([&] { return call->told(); });
  Await([&] { return brief.told() && patient.told(); });
  EXPECT_EQ(late.Status().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  for (const auto& call : calls) EXPECT_FALSE(call->ended());
  holder.Cancel();

  int computed = 0;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const v1::SolveResponse& answer = calls[i]->Result();
    EXPECT_EQ(answer.report().termination(), v1::TERMINATION_CONVERGED);
    computed += answer.report().factor_cache_hit() ? 0 : 1;
    const v1::SolveResponse alone = Solved(requests[i]);
    EXPECT_TRUE(alone.report().factor_cache_hit());
    EXPECT_FALSE(alone.x().data().empty());
    EXPECT_EQ(answer.x().data(), alone.x().data()) << i;
  }
  // One of the group, or the one that had a time limit and came before it.
  EXPECT_LE(computed, 1);
  EXPECT_EQ(brief.Result().report().termination(), v1::TERMINATION_TIME_LIMIT);
  EXPECT_EQ(patient.Result().report().termination(), v1::TERMINATION_CONVERGED);
  patient_request.clear_time_limit();
  EXPECT_EQ(patient.Result().x().data(), Solved(patient_request).x().data());
}

TEST_F(SharedSolvesTest, ADeletedMatrixTakesItsFactorsAlong) {
  Store(400, 16);
  const v1::SolveRequest request = Request(400, 1, 20);
  EXPECT_FALSE(Solved(request).report().factor_cache_hit());
  EXPECT_GT(FactorBytes(), 0);
  EXPECT_TRUE(Solved(request).report().factor_cache_hit());
  ASSERT_TRUE(matrices_.Delete("matrices/a").ok());
  EXPECT_EQ(FactorBytes(), 0);
  // The same bytes under the same name are another matrix.
  Store(400, 16);
  EXPECT_FALSE(Solved(request).report().factor_cache_hit());
  EXPECT_TRUE(Solved(request).report().factor_cache_hit());
}

// Numbers may be cut by the end of a chunk, and lie anywhere in one.
TEST_F(SharedSolvesTest, SparseArraysMayBeCutAnywhere) {
  v1::CsrMatrix csr;
  csr.set_rows(3);
  csr.set_columns(2);
  csr.set_dtype(v1::DTYPE_FLOAT64);
  csr.set_row_offsets(BytesOf(std::vector<std::int64_t>{0, 2, 3, 4}));
  csr.set_column_indices(BytesOf(std::vector<std::int32_t>{0, 1, 1, 0}));
  csr.set_values(BytesOf(std::vector<double>{2.0, 1.0, 3.0, 1.0}));
  v1::SolveRequest request;
  *request.mutable_b() = NormalTensor(3, 1, 5);
  request.mutable_left_gram_power()->set_exponent(0);
  std::set<std::string> solutions;
  for (const std::int64_t chunk : {1, 3, 13, 64, 1000}) {
    v1::Matrix matrix;
    ASSERT_TRUE(
        matrices_.Send(MessagesOf(UploadOf("s", csr), 0, chunk), &matrix).ok());
    request.mutable_a()->set_matrix("matrices/s");
    solutions.insert(Solved(request).x().data());
    ASSERT_TRUE(matrices_.Delete("matrices/s").ok());
  }
  EXPECT_EQ(solutions.size(), 1U);
}

}  // namespace
}  // namespace steelyard::test
