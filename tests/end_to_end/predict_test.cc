// Kernel regressions from the upload to the prediction: solve on stored rows,
// ask for values at new ones, and how such a stream ends.
#include <chrono>
#include <cmath>
#include <cstring>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/convert/valid_requests.h"
#include "tests/server/storage/store_fixture.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/matrix_caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

constexpr std::int64_t kKeys = 200;
constexpr std::int64_t kColumns = 6;

std::vector<double> NumbersOf(const std::string& bytes) {
  std::vector<double> numbers(bytes.size() / sizeof(double));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return numbers;
}

double Norm(const std::vector<double>& numbers) {
  double squares = 0.0;
  for (const double number : numbers) squares += number * number;
  return std::sqrt(squares);
}

// (G + 0.5 I) x = b.
v1::SolveRequest KernelRequest() {
  v1::SolveRequest request;
  *request.mutable_a()->mutable_dense() = NormalTensor(kKeys, kColumns, 31);
  *request.mutable_b() = NormalTensor(kKeys, 1, 32);
  request.mutable_attention_kernel()->set_scale(0.25);
  request.mutable_attention_kernel()->set_normalization(
      v1::KERNEL_NORMALIZATION_UNIT_DIAGONAL);
  request.set_ridge(0.5);
  request.set_tolerance(1e-10);
  return request;
}

v1::PredictRequest PredictionOf(const v1::SolveRequest& solved,
                                const v1::Tensor& x,
                                const v1::Tensor& queries) {
  v1::PredictRequest request;
  *request.mutable_a() = solved.a();
  *request.mutable_x() = x;
  *request.mutable_queries()->mutable_dense() = queries;
  request.set_scale(solved.attention_kernel().scale());
  request.set_normalization(solved.attention_kernel().normalization());
  return request;
}

// k values at each of m rows, from few keys: a large answer, little work.
v1::PredictRequest LargeAnswer(std::int64_t m, std::int64_t k) {
  v1::PredictRequest request;
  *request.mutable_a()->mutable_dense() = NormalTensor(4, 2, 41);
  *request.mutable_x() = NormalTensor(4, k, 42);
  *request.mutable_queries()->mutable_dense() = NormalTensor(m, 2, 43);
  return request;
}

class PredictTest : public testing::Test {
 protected:
  static server::ServerConfig ConfigOn(const std::string& directory) {
    server::ServerConfig config = TestConfig();
    config.matrix_directory = directory;
    return config;
  }

  v1::SolveResponse Solved(const v1::SolveRequest& request) {
    grpc::ClientContext context;
    v1::SolveResponse response;
    const grpc::Status status = caller_.Solve(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  // All rows; every message is in order and small.
  std::string Predicted(const v1::PredictRequest& request,
                        int* messages = nullptr) {
    std::string y;
    std::int64_t next = 0;
    int count = 0;
    grpc::ClientContext context;
    const grpc::Status status = caller_.Predict(
        &context, request, [&](const v1::PredictResponse& response) {
          EXPECT_EQ(response.offset(), next);
          EXPECT_LE(response.ByteSizeLong(), std::size_t{1} << 20);
          next += response.y().shape(0);
          y += response.y().data();
          ++count;
          return true;
        });
    EXPECT_TRUE(status.ok()) << status.error_message();
    if (messages != nullptr) *messages = count;
    return y;
  }

  void Store(const std::string& id, const v1::Tensor& tensor) {
    v1::Matrix matrix;
    const grpc::Status sent = matrices_.Send(UploadOf(id, tensor), &matrix);
    ASSERT_TRUE(sent.ok()) << sent.error_message();
  }

  std::int64_t FactorMemory() {
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

// At the rows of the regression the values are b - l x - r.
TEST_F(PredictTest, AtTheOldRowsTheValuesAreThoseOfTheRegression) {
  const v1::SolveRequest request = KernelRequest();
  const v1::SolveResponse solved = Solved(request);
  ASSERT_EQ(solved.report().termination(), v1::TERMINATION_CONVERGED);
  const std::vector<double> y = NumbersOf(
      Predicted(PredictionOf(request, solved.x(), request.a().dense())));
  const std::vector<double> x = NumbersOf(solved.x().data());
  const std::vector<double> b = NumbersOf(request.b().data());
  ASSERT_EQ(y.size(), b.size());
  std::vector<double> residual(y.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    residual[i] = y[i] + 0.5 * x[i] - b[i];
  }
  // Beside the residual of the report, the rounding of n terms of size
  // |G||x| <= n |x|: n u n |x|.
  const double n = static_cast<double>(kKeys);
  EXPECT_LE(Norm(residual), 1e-10 * Norm(b) + n * n * std::ldexp(Norm(x), -53));
}

TEST_F(PredictTest, StoredMatricesGiveTheSameRows) {
  const v1::SolveRequest request = KernelRequest();
  const v1::Tensor x = Solved(request).x();
  const v1::Tensor queries = NormalTensor(70, kColumns, 33);
  const v1::PredictRequest sent = PredictionOf(request, x, queries);
  Store("a", request.a().dense());
  Store("queries", queries);
  Store("x", x);
  v1::PredictRequest stored = sent;
  stored.mutable_a()->set_matrix("matrices/a");
  stored.set_x_matrix("matrices/x");
  stored.mutable_queries()->set_matrix("matrices/queries");
  EXPECT_TRUE(Predicted(stored) == Predicted(sent));
  EXPECT_EQ(caller_.MemoryReserved(), 0);
}

TEST_F(PredictTest, AKernelOnStoredRowsIsPreparedOnceAndDroppedWithThem) {
  const v1::SolveRequest sent = KernelRequest();
  Store("a", sent.a().dense());
  Store("b", sent.b());
  v1::SolveRequest stored = sent;
  stored.mutable_a()->set_matrix("matrices/a");
  stored.set_b_matrix("matrices/b");
  stored.set_seed(5);
  std::vector<std::future<v1::SolveResponse>> calls;
  for (int i = 0; i < 4; ++i) {
    calls.push_back(
        std::async(std::launch::async, [&] { return Solved(stored); }));
  }
  int computed = 0;
  const std::string expected = Solved(sent).x().data();
  for (auto& call : calls) {
    const v1::SolveResponse response = call.get();
    EXPECT_EQ(response.x().data(), expected);
    if (!response.report().factor_cache_hit()) ++computed;
  }
  EXPECT_EQ(computed, 1);
  EXPECT_GT(FactorMemory(), 0);
  EXPECT_TRUE(matrices_.Delete("matrices/a").ok());
  EXPECT_EQ(FactorMemory(), 0);
  EXPECT_EQ(caller_.MemoryReserved(), 0);
}

TEST_F(PredictTest, ALargeAnswerComesInSmallMessages) {
  const v1::PredictRequest request = LargeAnswer(300, 2000);
  int messages = 0;
  EXPECT_EQ(Predicted(request, &messages).size(), 300u * 2000u * 8u);
  EXPECT_GE(messages, 5);
  EXPECT_EQ(caller_.MemoryReserved(), 0);
}

TEST_F(PredictTest, ACallerThatLeavesGivesItsMemoryBack) {
  grpc::ClientContext context;
  const grpc::Status status =
      caller_.Predict(&context, LargeAnswer(3000, 2000),
                      [](const v1::PredictResponse&) { return false; });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(caller_.MemoryReservedAtLast(), 0);
}

TEST_F(PredictTest, AnExpiredDeadlineEndsTheStream) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(200));
  const grpc::Status status = caller_.Predict(
      &context, LargeAnswer(3000, 2000), [](const v1::PredictResponse&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        return true;
      });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(caller_.MemoryReservedAtLast(), 0);
}

}  // namespace
}  // namespace steelyard::test
