// The table of malformed requests over gRPC: each ends in the status that the
// contract promises, with details that any language's helpers read, and leaves
// no memory reserved.
#include <chrono>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/v1/error_details.pb.h"
#include "tests/server/convert/malformed_requests_table.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/query_caller.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

// gRPC refuses headers above 8 KB; the contract keeps below this.
constexpr std::size_t kStatusBytesMax = 4000;

// What the details of a status say.
struct Details {
  std::string domain;
  std::string reason;
  std::map<std::string, std::string> metadata;
  std::string field;
  bool retry = false;
};

Details DetailsOf(const grpc::Status& status) {
  Details result;
  // Codes that say it all have none.
  if (status.error_details().empty()) return result;
  v1::RpcStatus rpc_status;
  EXPECT_TRUE(rpc_status.ParseFromString(status.error_details()));
  EXPECT_EQ(rpc_status.code(), static_cast<int>(status.error_code()));
  for (const google::protobuf::Any& any : rpc_status.details()) {
    const std::string type = any.type_url().substr(any.type_url().rfind('.'));
    if (type == ".ErrorInfo") {
      v1::ErrorInfo info;
      EXPECT_TRUE(info.ParseFromString(any.value()));
      result.domain = info.domain();
      result.reason = info.reason();
      result.metadata = {info.metadata().begin(), info.metadata().end()};
    } else if (type == ".BadRequest") {
      v1::BadRequest bad_request;
      EXPECT_TRUE(bad_request.ParseFromString(any.value()));
      EXPECT_EQ(bad_request.field_violations_size(), 1);
      result.field = bad_request.field_violations(0).field();
    } else if (type == ".RetryInfo") {
      result.retry = true;
    }
  }
  return result;
}

class Sender {
 public:
  // The address is that of `caller`.
  Sender(const Caller& caller, const std::string& address)
      : caller_(caller), queries_(address) {}

  grpc::Status operator()(const v1::FindUniversalSetRequest& request) const {
    grpc::ClientContext context;
    v1::FindUniversalSetResponse response;
    return caller_.FindUniversalSet(Deadline(&context), request, &response);
  }
  grpc::Status operator()(const v1::QueryHeavyRequest& request) const {
    grpc::ClientContext context;
    v1::QueryHeavyResponse response;
    return caller_.QueryHeavy(Deadline(&context), request, &response);
  }
  grpc::Status operator()(const v1::AttendRequest& request) const {
    v1::AttendResponse response;
    return queries_.Attend(request, &response);
  }
  grpc::Status operator()(const v1::SolveRequest& request) const {
    grpc::ClientContext context;
    v1::SolveResponse response;
    return caller_.Solve(Deadline(&context), request, &response);
  }
  grpc::Status operator()(const v1::PredictRequest& request) const {
    grpc::ClientContext context;
    int messages = 0;
    const grpc::Status status =
        caller_.Predict(Deadline(&context), request,
                        [&](const v1::PredictResponse&) { return ++messages; });
    // Nothing comes before the refusal.
    EXPECT_EQ(messages > 0, status.ok());
    return status;
  }

 private:
  static grpc::ClientContext* Deadline(grpc::ClientContext* context) {
    context->set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(30));
    return context;
  }

  const Caller& caller_;
  const QueryCaller queries_;
};

void ExpectPromisedStatus(const RequestCase& expected,
                          const grpc::Status& status) {
  EXPECT_EQ(static_cast<int>(status.error_code()),
            static_cast<int>(expected.code))
      << status.error_message();
  if (expected.code == absl::StatusCode::kOk || status.ok()) return;
  EXPECT_THAT(status.error_message(), testing::HasSubstr(expected.text));
  EXPECT_LT(status.error_message().size() + status.error_details().size(),
            kStatusBytesMax);
  const Details details = DetailsOf(status);
  EXPECT_EQ(details.reason, expected.reason);
  EXPECT_EQ(details.domain, expected.reason.empty() ? "" : "steelyard");
  EXPECT_EQ(details.field, expected.field);
  // None of them may be tried again as it stands.
  EXPECT_FALSE(details.retry);
  if (expected.reason == "NOT_FINITE") {
    EXPECT_EQ(details.metadata.count("index"), 1u);
  }
  if (expected.code == absl::StatusCode::kResourceExhausted) {
    EXPECT_EQ(details.metadata.count("limit"), 1u);
    EXPECT_EQ(details.metadata.count("value"), 1u);
    EXPECT_EQ(details.metadata.count("max"), 1u);
  }
}

void ExpectPromisedStatuses(const std::vector<RequestCase>& cases) {
  RunningServer running;
  const Caller caller(running.address());
  const Sender send(caller, running.address());
  for (const RequestCase& each : cases) {
    SCOPED_TRACE(each.name);
    ExpectPromisedStatus(each, std::visit(send, each.request));
    EXPECT_EQ(caller.MemoryReserved(), 0);
  }
}

TEST(MalformedRequestsEndToEndTest, Tensors) {
  ExpectPromisedStatuses(TensorCases());
}

TEST(MalformedRequestsEndToEndTest, FindUniversalSet) {
  ExpectPromisedStatuses(UniversalSetCases());
}

TEST(MalformedRequestsEndToEndTest, QueryHeavy) {
  ExpectPromisedStatuses(HeavyCases());
}

TEST(MalformedRequestsEndToEndTest, Attend) {
  ExpectPromisedStatuses(AttendCases());
}

// The same as the open of a stream and its first block.
TEST(MalformedRequestsEndToEndTest, StreamAttend) {
  RunningServer running;
  const Caller caller(running.address());
  const QueryCaller queries(running.address());
  for (const RequestCase& each : AttendCases()) {
    SCOPED_TRACE(each.name);
    v1::StreamAttendRequest open, block;
    *open.mutable_open() = std::get<v1::AttendRequest>(each.request);
    if (open.open().has_queries()) {
      *block.mutable_block()->mutable_queries() = open.open().queries();
    }
    *block.mutable_block()->mutable_positions() = open.open().positions();
    open.mutable_open()->clear_queries();
    open.mutable_open()->clear_positions();
    grpc::ClientContext context;
    const auto stream = queries.StreamAttend(&context);
    if (stream->Write(open)) stream->Write(block);
    stream->WritesDone();
    v1::StreamAttendResponse response;
    int answers = 0;
    while (stream->Read(&response)) ++answers;
    const grpc::Status status = stream->Finish();
    if (each.reason == "RESPONSE_TOO_LARGE") {
      EXPECT_TRUE(status.ok()) << status.error_message();
    } else {
      RequestCase expected = each;
      const bool of_block = each.field.rfind("queries", 0) == 0 ||
                            each.field.rfind("positions", 0) == 0;
      if (!each.field.empty()) {
        expected.field = (of_block ? "block." : "open.") + each.field;
      }
      ExpectPromisedStatus(expected, status);
    }
    EXPECT_EQ(answers, status.ok() ? 1 : 0);
  }
  EXPECT_EQ(caller.MemoryReserved(), 0);
}

TEST(MalformedRequestsEndToEndTest, Solve) {
  ExpectPromisedStatuses(SolveCases());
}

TEST(MalformedRequestsEndToEndTest, Predict) {
  ExpectPromisedStatuses(PredictCases());
}

TEST(MalformedRequestsEndToEndTest, SketchesAndSparseMatrices) {
  ExpectPromisedStatuses(SketchCases());
}

TEST(MalformedRequestsEndToEndTest, StoredMatrices) {
  ExpectPromisedStatuses(StoredInputCases());
}

// The same refusals on the stream; limits of one message do not hold there.
TEST(MalformedRequestsEndToEndTest, StreamSolve) {
  RunningServer running;
  const Caller caller(running.address());
  for (const RequestCase& each : SolveCases()) {
    SCOPED_TRACE(each.name);
    grpc::ClientContext context;
    int results = 0;
    const grpc::Status status =
        caller.StreamSolve(&context, std::get<v1::SolveRequest>(each.request),
                           [&](const v1::SolveEvent& event) {
                             results += event.has_result() ? 1 : 0;
                             return true;
                           });
    if (each.reason == "RESPONSE_TOO_LARGE") {
      EXPECT_TRUE(status.ok()) << status.error_message();
    } else {
      ExpectPromisedStatus(each, status);
    }
    EXPECT_EQ(results, status.ok() ? 1 : 0) << "nothing partial";
  }
  EXPECT_EQ(caller.MemoryReserved(), 0);
}

}  // namespace
}  // namespace steelyard::test
