// A Steelyard server, from C++.
//
//     auto client = Client::Create("127.0.0.1:50551");
//     if (!client.ok()) return client.status();
//     auto sets = client->FindUniversalSet(keys, {.epsilon = 0.1});
//
// Every call blocks until it has an answer, its deadline passes or its stop
// token is stopped, whichever is first. Every call has a deadline
// (DefaultDeadlines), and is tried again where that can help (RetryPolicy).
//
// THREADS  A Client may be used from any number of threads at once. A copy is
//   cheap and shares the connection.
// MEMORY   A call copies its matrices once, into the request.
// ERRORS   Those of the server, documented at its RPCs, and
//   InvalidArgument: a shape that the numbers do not fill; a CallOptions field
//     out of range. DetailOf(status)->field names it.
//   ResourceExhausted: a request over request_bytes_max; nothing was sent. Or
//     the server is still busy after the last attempt.
//   Unavailable: no server, or it drains, still so at the last attempt.
//   DeadlineExceeded, Cancelled.
//   Internal: an answer that does not keep to the contract.
// How an OK solve ended is SolveReport::termination, not the status.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/client/error_detail.h"
#include "steelyard/client/options.h"
#include "steelyard/client/regression.h"
#include "steelyard/client/server_info.h"
#include "steelyard/client/tensor_view.h"
#include "steelyard/client/universal_set.h"

namespace grpc {
class ChannelInterface;
}  // namespace grpc

namespace steelyard::client {

class Connection;

class Client {
 public:
  // A client of the server at "HOST:PORT" (or any other address of gRPC:
  // "unix:PATH", "dns:///HOST:PORT"). Returns at once: the connection is made
  // by the first call, and made again whenever it broke.
  //
  // ERRORS  InvalidArgument: an option out of range; half of a key pair.
  static absl::StatusOr<Client> Create(const std::string& address,
                                       const ClientOptions& options = {});

  // The same over a channel that the caller made, for credentials,
  // interceptors or transports that ClientOptions do not know. Its limits on
  // message sizes are the caller's; options.credentials is not used.
  static absl::StatusOr<Client> OverChannel(
      std::shared_ptr<grpc::ChannelInterface> channel,
      const ClientOptions& options = {});

  // The keys that some query gives a score >= epsilon.
  //
  // SHAPES  keys: n x d, or H x n x d.
  // COST    2 n d^2 flops a head, in the server.
  absl::StatusOr<UniversalSets> FindUniversalSet(
      const TensorView& keys, const UniversalSetOptions& options,
      const CallOptions& call = {}) const;

  // For each query, every key whose score is >= epsilon, and no other.
  //
  // SHAPES  keys: n x d, or H x n x d; queries: m x d, or G x m x d, G a
  //         multiple of H. Query head g reads key head floor(g H / G).
  // COST    that of FindUniversalSet, then d (d + |U|) flops a query.
  absl::StatusOr<HeavyScores> QueryHeavy(const TensorView& keys,
                                         const TensorView& queries,
                                         const HeavyOptions& options,
                                         const CallOptions& call = {}) const;

  // min |M x - b|.
  //
  // SHAPES  a: n x d; b: rows(M), or rows(M) x k.
  absl::StatusOr<Solution> Solve(const TensorView& a, const TensorView& b,
                                 const Problem& problem,
                                 const SolveOptions& options = {},
                                 const CallOptions& call = {}) const;

  // The same, with progress, and with no limit on the size of the answer.
  // `on_progress` may be empty.
  absl::StatusOr<Solution> StreamSolve(const TensorView& a, const TensorView& b,
                                       const Problem& problem,
                                       const SolveOptions& options,
                                       const ProgressCallback& on_progress,
                                       const CallOptions& call = {}) const;

  // Answered at once, also by a busy server.
  absl::StatusOr<ServerInfo> GetServerInfo(const CallOptions& call = {}) const;

  // Health of the whole server, or of one service
  // ("steelyard.v1.RegressionService").
  //
  // ERRORS  NotFound: no such service.
  absl::StatusOr<ServingStatus> Check(const std::string& service = "",
                                      const CallOptions& call = {}) const;

 private:
  explicit Client(std::shared_ptr<const Connection> connection);

  std::shared_ptr<const Connection> connection_;
};

}  // namespace steelyard::client
