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

// Called on threads of the server; the ones left empty answer UNIMPLEMENTED.
struct FakeHandlers {
  FakeHandler<v1::FindUniversalSetRequest, v1::FindUniversalSetResponse>
      find_universal_set = {};
  FakeHandler<v1::QueryHeavyRequest, v1::QueryHeavyResponse> query_heavy = {};
  FakeHandler<v1::SolveRequest, v1::SolveResponse> solve = {};
  FakeHandler<v1::GetServerInfoRequest, v1::ServerInfo> get_server_info = {};
  // `write` returns false once the client is gone.
  std::function<FakeReply(
      const FakeCall&, const v1::SolveRequest&,
      const std::function<bool(const v1::SolveEvent&)>& write)>
      stream_solve = {};
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
