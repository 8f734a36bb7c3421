#include "steelyard/client/client.h"

#include <optional>
#include <utility>

#include "connection.h"
#include "regression_codec.h"
#include "server_info_codec.h"
#include "solve_stream.h"

namespace steelyard::client {

Client::Client(std::shared_ptr<const Connection> connection)
    : connection_(std::move(connection)) {}

absl::StatusOr<Client> Client::Create(const std::string& address,
                                      const ClientOptions& options) {
  auto connection = Connection::Open(address, options);
  if (!connection.ok()) return connection.status();
  return Client(*std::move(connection));
}

absl::StatusOr<Client> Client::OverChannel(
    std::shared_ptr<grpc::ChannelInterface> channel,
    const ClientOptions& options) {
  auto connection = Connection::Over(std::move(channel), options);
  if (!connection.ok()) return connection.status();
  return Client(*std::move(connection));
}

absl::StatusOr<Solution> Client::Solve(const MatrixSource& a,
                                       const DenseSource& b,
                                       const Problem& problem,
                                       const SolveOptions& options,
                                       const CallOptions& call) const {
  v1::SolveRequest request;
  absl::Status status =
      ToProto(a, b, problem, options, connection_->options(), &request);
  if (!status.ok()) return status;
  request.set_max_response_bytes(connection_->options().response_bytes_max);
  v1::SolveResponse response;
  status = connection_->Solve(request, call, &response);
  if (!status.ok()) return status;
  return FromProto(response);
}

absl::StatusOr<Solution> Client::StreamSolve(
    const MatrixSource& a, const DenseSource& b, const Problem& problem,
    const SolveOptions& options, const ProgressCallback& on_progress,
    const CallOptions& call) const {
  v1::SolveRequest request;
  absl::Status status =
      ToProto(a, b, problem, options, connection_->options(), &request);
  if (!status.ok()) return status;
  std::optional<SolveStream> stream;  // Of the last attempt.
  status = connection_->StreamSolve(request, call, [&](int attempt) {
    stream.emplace(on_progress, attempt);
    return [&stream](v1::SolveEvent* event) { return stream->Add(event); };
  });
  if (!status.ok()) return status;
  return stream->Finish();
}

absl::StatusOr<ServerInfo> Client::GetServerInfo(
    const CallOptions& call) const {
  v1::ServerInfo info;
  const absl::Status status = connection_->GetServerInfo(call, &info);
  if (!status.ok()) return status;
  return FromProto(info);
}

absl::StatusOr<ServingStatus> Client::Check(const std::string& service,
                                            const CallOptions& call) const {
  int number = 0;
  const absl::Status status = connection_->Check(service, call, &number);
  if (!status.ok()) return status;
  return ServingStatusFromNumber(number);
}

}  // namespace steelyard::client
