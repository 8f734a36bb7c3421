// A server in this process that answers what a test tells it to: refusals,
// broken answers, slowness, none of which a real server gives on demand.
//
//     FakeServer server({.solve = [](const FakeCall& call, const auto& request,
//                                    v1::SolveResponse* response) {
//       return call.number < 3 ? Refusal(14, "busy") : FakeReply{};
//     }});
//     auto client = Client::Create(server.address());
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "steelyard/client/options.h"
#include "steelyard/v1/matrix_service.pb.h"
#include "steelyard/v1/regression_service.pb.h"
#include "steelyard/v1/server_service.pb.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::client::test {

// What the server sees of a call.
struct FakeCall {
  int number = 0;  // Of this server, over all methods, from 1.
  std::string request_id;
  Seconds deadline_left{0.0};
  std::function<bool()> cancelled;
};

// How a call ends. code 0: OK.
struct FakeReply {
  int code = 0;
  std::string message = {};
  std::string details = {};  // google.rpc.Status, serialised.
};

// A reply with code and message, and RetryInfo where `retry_delay` is set.
FakeReply Refusal(int code, const std::string& message,
                  std::optional<Seconds> retry_delay = std::nullopt);

template <typename Request, typename Response>
using FakeHandler =
    std::function<FakeReply(const FakeCall&, const Request&, Response*)>;

template <typename Request, typename Message>
using FakeStreamHandler =
    std::function<FakeReply(const FakeCall&, const Request&,
                            // Returns false once the client is gone.
                            const std::function<bool(const Message&)>& write)>;

// Both ends of a call whose messages go both ways.
template <typename Request, typename Response>
struct FakeStream {
  std::function<bool(Request*)> read;  // False after the last one.
  std::function<bool(const Response&)> write;
};
template <typename Request, typename Response>
using FakeDuplexHandler = std::function<FakeReply(
    const FakeCall&, const FakeStream<Request, Response>&)>;

// Called on threads of the server; the ones left empty answer UNIMPLEMENTED.
struct FakeHandlers {
  FakeHandler<v1::FindUniversalSetRequest, v1::FindUniversalSetResponse>
      find_universal_set = {};
  FakeHandler<v1::QueryHeavyRequest, v1::QueryHeavyResponse> query_heavy = {};
  FakeHandler<v1::SolveRequest, v1::SolveResponse> solve = {};
  FakeHandler<v1::GetServerInfoRequest, v1::ServerInfo> get_server_info = {};
  FakeStreamHandler<v1::SolveRequest, v1::SolveEvent> stream_solve = {};
  FakeStreamHandler<v1::PredictRequest, v1::PredictResponse> predict = {};
  FakeStreamHandler<v1::FindUniversalSetRequest, v1::FindUniversalSetEvent>
      stream_find_universal_set = {};
  FakeStreamHandler<v1::ReadUniversalSetRequest, v1::UniversalSet>
      read_universal_set = {};
  FakeStreamHandler<v1::ExportStateRequest, v1::StateChunk> export_state = {};
  FakeHandler<v1::AttendRequest, v1::AttendResponse> attend = {};
  FakeHandler<v1::GetUniversalSetRequest, v1::UniversalSetInfo>
      get_universal_set = {};
  FakeHandler<v1::ListUniversalSetsRequest, v1::ListUniversalSetsResponse>
      list_universal_sets = {};
  FakeHandler<v1::DeleteUniversalSetRequest, google::protobuf::Empty>
      delete_universal_set = {};
  // `read` gives the requests.
  std::function<FakeReply(
      const FakeCall&, const std::function<bool(v1::MergeStatesRequest*)>& read,
      v1::MergeStatesResponse*)>
      merge_states = {};
  // `read` gives the requests.
  std::function<FakeReply(
      const FakeCall&,
      const std::function<bool(v1::UploadMatrixRequest*)>& read, v1::Matrix*)>
      upload_matrix = {};
  FakeHandler<v1::GetUploadStatusRequest, v1::UploadStatus> get_upload_status =
      {};
  FakeHandler<v1::GetMatrixRequest, v1::Matrix> get_matrix = {};
  FakeHandler<v1::ListMatricesRequest, v1::ListMatricesResponse> list_matrices =
      {};
  FakeHandler<v1::DeleteMatrixRequest, google::protobuf::Empty> delete_matrix =
      {};
  FakeDuplexHandler<v1::StreamKeysRequest, v1::StreamKeysResponse> stream_keys =
      {};
  FakeDuplexHandler<v1::StreamQueryHeavyRequest, v1::StreamQueryHeavyResponse>
      stream_query_heavy = {};
  FakeDuplexHandler<v1::StreamAttendRequest, v1::StreamAttendResponse>
      stream_attend = {};
};

// PEM text. With `client_root`, clients must prove themselves.
struct FakeTls {
  std::string certificate_chain;
  std::string private_key;
  std::string client_root = {};
};

class FakeServer {
 public:
  explicit FakeServer(FakeHandlers handlers,
                      const std::optional<FakeTls>& tls = std::nullopt);
  ~FakeServer();

  // "127.0.0.1:PORT".
  const std::string& address() const { return address_; }
  // How many calls have arrived. Health checks are not counted.
  int calls() const;
  // For grpc.health.v1; "" is the whole server, SERVING from the start.
  void SetServing(const std::string& service, bool serving);

 private:
  class Services;
  std::unique_ptr<Services> services_;
  std::string address_;
};

}  // namespace steelyard::client::test
