// The whole server under random damage: it lives, every call ends in a status
// that the contract names, and the reserved memory returns to where it was.
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/sync_stream.h>

#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/v1/error_details.pb.h"
#include "tests/fuzz/request_mutations.h"
#include "tests/server/convert/valid_requests.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

// Sanitizers are ten times slower; they look for other things.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kMutations = 500;
#else
constexpr int kMutations = 5000;
#endif

// A request of this size takes microseconds; what takes longer hangs.
constexpr std::chrono::seconds kDeadline{30};

grpc::ByteBuffer BufferOf(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.DumpToSingleSlice(&slice).ok()) return "";
  return std::string(reinterpret_cast<const char*>(slice.begin()),
                     slice.size());
}

// Sends bytes as they are, message or not.
class RawCaller {
 public:
  explicit RawCaller(const std::string& address)
      : channel_(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials())) {
    (void)channel_->WaitForConnected(std::chrono::system_clock::now() +
                                     kDeadline);
  }

  // The answer's bytes are in `answer` when the status is OK; of a stream the
  // last message's.
  grpc::Status Call(const char* method, bool stream, const std::string& bytes,
                    std::string* answer) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    const grpc::ByteBuffer request = BufferOf(bytes);
    grpc::ByteBuffer response;
    if (!stream) {
      const grpc::Status status = grpc::internal::BlockingUnaryCall(
          channel_.get(),
          grpc::internal::RpcMethod(method,
                                    grpc::internal::RpcMethod::NORMAL_RPC),
          &context, request, &response);
      *answer = BytesOf(response);
      return status;
    }
    const std::unique_ptr<grpc::ClientReader<grpc::ByteBuffer>> reader(
        grpc::internal::ClientReaderFactory<grpc::ByteBuffer>::Create(
            channel_.get(),
            grpc::internal::RpcMethod(
                method, grpc::internal::RpcMethod::SERVER_STREAMING),
            &context, request));
    while (reader->Read(&response)) *answer = BytesOf(response);
    return reader->Finish();
  }

 private:
  std::shared_ptr<grpc::Channel> channel_;
};

bool HasErrorInfo(const grpc::Status& status) {
  v1::RpcStatus details;
  if (!details.ParseFromString(status.error_details())) return false;
  v1::ErrorInfo info;
  return details.details_size() > 0 &&
         info.ParseFromString(details.details(0).value()) &&
         info.domain() == "steelyard" && !info.reason().empty();
}

// No number of an answer is NaN.
void ExpectNumbers(const google::protobuf::Message& message) {
  using Field = google::protobuf::FieldDescriptor;
  const auto* const reflection = message.GetReflection();
  std::vector<const Field*> fields;
  reflection->ListFields(message, &fields);
  for (const Field* field : fields) {
    const int size =
        field->is_repeated() ? reflection->FieldSize(message, field) : 0;
    if (field->cpp_type() == Field::CPPTYPE_DOUBLE) {
      for (int i = 0; i < size; ++i) {
        EXPECT_FALSE(
            std::isnan(reflection->GetRepeatedDouble(message, field, i)))
            << field->full_name();
      }
      if (!field->is_repeated()) {
        EXPECT_FALSE(std::isnan(reflection->GetDouble(message, field)))
            << field->full_name();
      }
    } else if (field->cpp_type() == Field::CPPTYPE_MESSAGE) {
      for (int i = 0; i < size; ++i) {
        ExpectNumbers(reflection->GetRepeatedMessage(message, field, i));
      }
      if (!field->is_repeated()) {
        ExpectNumbers(reflection->GetMessage(message, field));
      }
    }
  }
}

// Whether protobuf takes the bytes; what it does not take ends in gRPC's own
// INTERNAL.
template <typename Request, typename Response>
void CheckOutcome(const grpc::Status& status, const std::string& bytes,
                  const std::string& answer) {
  Request request;
  if (!request.ParseFromString(bytes)) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL)
        << status.error_message();
    return;
  }
  switch (status.error_code()) {
    case grpc::StatusCode::OK: {
      Response response;
      EXPECT_TRUE(response.ParseFromString(answer));
      ExpectNumbers(response);
      break;
    }
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
    case grpc::StatusCode::ABORTED:
      EXPECT_TRUE(HasErrorInfo(status)) << status.error_message();
      EXPECT_FALSE(status.error_message().empty());
      break;
    // Names, which have no reason.
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::FAILED_PRECONDITION:
      EXPECT_FALSE(status.error_message().empty());
      break;
    default:
      ADD_FAILURE() << "code " << status.error_code() << ": "
                    << status.error_message() << "\n"
                    << request.ShortDebugString().substr(0, 2000);
  }
}

class ServerMutationsTest : public testing::Test {
 protected:
  template <typename Request, typename Response>
  void SendMutated(const char* method, bool stream,
                   const std::vector<Request>& valid) {
    const std::int64_t reserved_before = caller_.MemoryReserved();
    ASSERT_GE(reserved_before, 0);
    RequestMutator mutator(20261122);
    std::map<grpc::StatusCode, int> codes;
    for (int i = 0; i < kMutations && !HasFailure(); ++i) {
      Request request = valid[mutator.Below(valid.size())];
      if (i % 2 == 0) mutator.MutateFields(&request);
      std::string bytes = request.SerializeAsString();
      if (i % 2 == 1) mutator.MutateBytes(&bytes);
      std::string answer;
      const grpc::Status status = raw_.Call(method, stream, bytes, &answer);
      ++codes[status.error_code()];
      CheckOutcome<Request, Response>(status, bytes, answer);
    }
    // Damage must be neither always fatal nor always harmless.
    EXPECT_GT(codes[grpc::StatusCode::OK], kMutations / 50);
    EXPECT_GT(codes[grpc::StatusCode::INVALID_ARGUMENT], kMutations / 20);
    EXPECT_GT(codes[grpc::StatusCode::INTERNAL], kMutations / 50);
    EXPECT_EQ(caller_.MemoryReserved(), reserved_before);
  }

  RunningServer running_;
  const Caller caller_{running_.address()};
  const RawCaller raw_{running_.address()};
};

// Numbers by hand are mutated as numbers, to the edges of float64.
v1::FindUniversalSetRequest KeysByHand() {
  v1::FindUniversalSetRequest request = ValidFindUniversalSetRequest();
  WriteByHand(request.mutable_keys()->mutable_dense());
  return request;
}

// Every option that may stand beside the others.
v1::FindUniversalSetRequest RaggedKeys() {
  v1::FindUniversalSetRequest request = ValidFindUniversalSetRequest();
  SetPlainTensor({2, 10, 3}, request.mutable_keys()->mutable_dense());
  request.mutable_function()->mutable_power()->set_p(2.0);
  request.add_lengths(10);
  request.add_lengths(4);
  request.mutable_ridge()->set_lambda(0.5);
  request.mutable_ridge()->set_ratio(2.0);
  request.set_selection(v1::SELECTION_DIRECT);
  request.set_top_m(3);
  return request;
}

v1::QueryHeavyRequest QueriesByHand() {
  v1::QueryHeavyRequest request = ValidQueryHeavyRequest();
  WriteByHand(request.mutable_keys()->mutable_dense());
  WriteByHand(request.mutable_queries());
  return request;
}

// Every option that may stand beside the others.
v1::QueryHeavyRequest CausalQueries() {
  v1::QueryHeavyRequest request = ValidQueryHeavyRequest();
  request.mutable_function()->mutable_power()->set_p(3.0);
  request.set_causal(true);
  for (const std::int64_t position : {0, 9, 3, 3, 1}) {
    request.add_positions(position);
  }
  request.set_packed(true);
  request.add_lengths(10);
  request.add_lengths(4);
  return request;
}

v1::QueryHeavyRequest SoftmaxQueries() {
  v1::QueryHeavyRequest request = QueriesByHand();
  request.mutable_function()->mutable_softmax()->set_mode(
      v1::SOFTMAX_MODE_CERTIFIED);
  request.mutable_function()->mutable_softmax()->set_scale(0.5);
  return request;
}

// Each kind of local keys, function and normalization.
std::vector<v1::AttendRequest> ValidAttendRequests() {
  v1::AttendRequest causal = ValidAttendRequest();
  causal.set_causal(true);
  causal.mutable_function()->mutable_power()->set_p(3.0);
  causal.set_normalization(v1::NORMALIZATION_ALL);
  for (const std::int64_t position : {0, 9, 3, 3, 1}) {
    causal.add_positions(position);
  }
  causal.add_lengths(10);
  causal.add_lengths(10);
  v1::AttendRequest grid = ValidAttendRequest();
  WriteByHand(grid.mutable_keys()->mutable_dense());
  WriteByHand(grid.mutable_values()->mutable_dense());
  WriteByHand(grid.mutable_queries());
  grid.mutable_grid()->set_height(2);
  grid.mutable_grid()->set_width(4);
  grid.mutable_grid()->set_radius(1);
  grid.mutable_function()->mutable_softmax()->set_mode(
      v1::SOFTMAX_MODE_HEURISTIC);
  return {ValidAttendRequest(), causal, grid};
}

v1::SolveRequest ByHand(v1::SolveRequest request) {
  WriteByHand(request.mutable_a()->mutable_dense());
  WriteByHand(request.mutable_b());
  return request;
}

TEST_F(ServerMutationsTest, FindUniversalSet) {
  SendMutated<v1::FindUniversalSetRequest, v1::FindUniversalSetResponse>(
      "/steelyard.v1.UniversalSetService/FindUniversalSet", false,
      {ValidFindUniversalSetRequest(), KeysByHand(), RaggedKeys()});
}

TEST_F(ServerMutationsTest, StreamFindUniversalSet) {
  SendMutated<v1::FindUniversalSetRequest, v1::FindUniversalSetEvent>(
      "/steelyard.v1.UniversalSetService/StreamFindUniversalSet", true,
      {ValidFindUniversalSetRequest(), RaggedKeys()});
}

TEST_F(ServerMutationsTest, QueryHeavy) {
  SendMutated<v1::QueryHeavyRequest, v1::QueryHeavyResponse>(
      "/steelyard.v1.UniversalSetService/QueryHeavy", false,
      {ValidQueryHeavyRequest(), QueriesByHand(), CausalQueries(),
       SoftmaxQueries()});
}

TEST_F(ServerMutationsTest, Attend) {
  SendMutated<v1::AttendRequest, v1::AttendResponse>(
      "/steelyard.v1.UniversalSetService/Attend", false, ValidAttendRequests());
}

v1::SolveRequest PreconditionedKernel() {
  v1::SolveRequest request = ValidKernelRequest();
  request.set_method(v1::METHOD_CONJUGATE_GRADIENT);
  request.clear_ridge();
  v1::AttentionKernel* const kernel = request.mutable_attention_kernel();
  SetTensor({10}, std::vector<double>(10, 0.5), kernel->mutable_row_ridge());
  WriteByHand(kernel->mutable_row_ridge());
  kernel->set_preconditioner(v1::PRECONDITIONER_RPCHOLESKY);
  kernel->set_preconditioner_rank(4);
  return request;
}

// Each family: one of them mutates into the other only by luck.
std::vector<v1::SolveRequest> ValidSolveRequests() {
  v1::SolveRequest least_squares = ValidSolveRequest();
  least_squares.mutable_left_gram_power();
  SetPlainTensor({10, 2}, least_squares.mutable_b());
  v1::SolveRequest exponential = ValidSolveRequest();
  exponential.mutable_matrix_exponential();
  return {ValidSolveRequest(),
          least_squares,
          exponential,
          ValidKernelRequest(),
          PreconditionedKernel(),
          ByHand(ValidSolveRequest()),
          ByHand(least_squares),
          ByHand(exponential),
          ByHand(ValidKernelRequest())};
}

TEST_F(ServerMutationsTest, Solve) {
  SendMutated<v1::SolveRequest, v1::SolveResponse>(
      "/steelyard.v1.RegressionService/Solve", false, ValidSolveRequests());
}

TEST_F(ServerMutationsTest, StreamSolve) {
  SendMutated<v1::SolveRequest, v1::SolveEvent>(
      "/steelyard.v1.RegressionService/StreamSolve", true,
      ValidSolveRequests());
}

// Each normalization, numbers as bytes and by hand.
std::vector<v1::PredictRequest> ValidPredictRequests() {
  v1::PredictRequest softmax = ValidPredictRequest();
  softmax.set_normalization(v1::KERNEL_NORMALIZATION_SOFTMAX_ROWS);
  softmax.set_scale(0.5);
  SetPlainTensor({10, 2}, softmax.mutable_x());
  WriteByHand(softmax.mutable_x());
  WriteByHand(softmax.mutable_a()->mutable_dense());
  v1::PredictRequest unit = softmax;
  unit.set_normalization(v1::KERNEL_NORMALIZATION_UNIT_DIAGONAL);
  WriteByHand(unit.mutable_queries()->mutable_dense());
  return {ValidPredictRequest(), softmax, unit};
}

TEST_F(ServerMutationsTest, Predict) {
  SendMutated<v1::PredictRequest, v1::PredictResponse>(
      "/steelyard.v1.RegressionService/Predict", true, ValidPredictRequests());
}

// Has no fields: bytes only, and unknown fields change nothing.
TEST_F(ServerMutationsTest, GetServerInfo) {
  RequestMutator mutator(20261122);
  for (int i = 0; i < kMutations && !HasFailure(); ++i) {
    std::string bytes = ValidFindUniversalSetRequest().SerializeAsString();
    mutator.MutateBytes(&bytes);
    std::string answer;
    const grpc::Status status = raw_.Call(
        "/steelyard.v1.ServerService/GetServerInfo", false, bytes, &answer);
    v1::GetServerInfoRequest request;
    EXPECT_EQ(status.error_code(), request.ParseFromString(bytes)
                                       ? grpc::StatusCode::OK
                                       : grpc::StatusCode::INTERNAL)
        << status.error_message();
  }
}

}  // namespace
}  // namespace steelyard::test
