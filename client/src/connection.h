// One channel and the calls over it: deadline, request id, cancellation,
// retries. The only source that sees gRPC.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "message_stream.h"
#include "retry.h"
#include "steelyard/client/options.h"
#include "steelyard/v1/matrix_service.pb.h"
#include "steelyard/v1/regression_service.pb.h"
#include "steelyard/v1/server_service.pb.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace grpc {
class ChannelInterface;
class ClientContext;
}  // namespace grpc

namespace steelyard::client {

class Connection {
 public:
  static absl::StatusOr<std::shared_ptr<const Connection>> Open(
      const std::string& address, const ClientOptions& options);
  static absl::StatusOr<std::shared_ptr<const Connection>> Over(
      std::shared_ptr<grpc::ChannelInterface> channel,
      const ClientOptions& options);
  ~Connection();

  const ClientOptions& options() const { return options_; }

  absl::Status FindUniversalSet(const v1::FindUniversalSetRequest& request,
                                const CallOptions& call,
                                v1::FindUniversalSetResponse* response) const;
  absl::Status QueryHeavy(const v1::QueryHeavyRequest& request,
                          const CallOptions& call,
                          v1::QueryHeavyResponse* response) const;
  absl::Status Solve(const v1::SolveRequest& request, const CallOptions& call,
                     v1::SolveResponse* response) const;
  absl::Status GetServerInfo(const CallOptions& call,
                             v1::ServerInfo* info) const;

  absl::Status Attend(const v1::AttendRequest& request, const CallOptions& call,
                      v1::AttendResponse* response) const;
  absl::Status GetUniversalSet(const v1::GetUniversalSetRequest& request,
                               const CallOptions& call,
                               v1::UniversalSetInfo* info) const;
  absl::Status ListUniversalSets(const v1::ListUniversalSetsRequest& request,
                                 const CallOptions& call,
                                 v1::ListUniversalSetsResponse* response) const;
  absl::Status DeleteUniversalSet(const v1::DeleteUniversalSetRequest& request,
                                  const CallOptions& call) const;

  absl::Status GetMatrix(const v1::GetMatrixRequest& request,
                         const CallOptions& call, v1::Matrix* matrix) const;
  absl::Status ListMatrices(const v1::ListMatricesRequest& request,
                            const CallOptions& call,
                            v1::ListMatricesResponse* response) const;
  absl::Status DeleteMatrix(const v1::DeleteMatrixRequest& request,
                            const CallOptions& call) const;
  absl::Status GetUploadStatus(const v1::GetUploadStatusRequest& request,
                               const CallOptions& call,
                               v1::UploadStatus* status) const;

  // Calls that are answered by a stream. One consumer an attempt: each is given
  // the messages of its stream, and may end the call with an error of its own,
  // which is final.
  template <typename Message>
  using ConsumerOf = std::function<ResponseSink<Message>(int attempt)>;
  absl::Status StreamSolve(const v1::SolveRequest& request,
                           const CallOptions& call,
                           const ConsumerOf<v1::SolveEvent>& consumer_of) const;
  // `request_of` gives the request of an attempt, each beginning where the
  // answers so far end; nullptr: nothing is left to ask.
  absl::Status Predict(
      std::size_t request_bytes, const CallOptions& call,
      const std::function<absl::StatusOr<const v1::PredictRequest*>(
          int attempt)>& request_of,
      const ResponseSink<v1::PredictResponse>& consume) const;
  absl::Status StreamFindUniversalSet(
      const v1::FindUniversalSetRequest& request, const CallOptions& call,
      const ConsumerOf<v1::FindUniversalSetEvent>& consumer_of) const;
  absl::Status ReadUniversalSet(
      const v1::ReadUniversalSetRequest& request, const CallOptions& call,
      const ConsumerOf<v1::UniversalSet>& consumer_of) const;
  absl::Status ExportState(const v1::ExportStateRequest& request,
                           const CallOptions& call,
                           const ConsumerOf<v1::StateChunk>& consumer_of) const;

  // Calls that stream their requests. One source an attempt: it gives all
  // requests from the start.
  absl::Status MergeStates(
      const std::function<RequestSource<v1::MergeStatesRequest>(int attempt)>&
          source_of,
      const CallOptions& call, v1::MergeStatesResponse* response) const;

  // Calls that stream both ways: one conversation an attempt. `first_bytes`: of
  // the opening message.
  template <typename Request, typename Response>
  using Conversation = std::function<absl::Status(
      MessageStream<Request, Response>* stream, int attempt)>;
  using HeavyConversation =
      Conversation<v1::StreamQueryHeavyRequest, v1::StreamQueryHeavyResponse>;
  using AttendConversation =
      Conversation<v1::StreamAttendRequest, v1::StreamAttendResponse>;
  absl::Status StreamQueryHeavy(std::size_t first_bytes,
                                const CallOptions& call,
                                const HeavyConversation& converse) const;
  absl::Status StreamAttend(std::size_t first_bytes, const CallOptions& call,
                            const AttendConversation& converse) const;

  // One attempt at StreamKeys, as long as the object lives. The stop token of
  // `call` cancels it.
  using KeyMessages =
      MessageStream<v1::StreamKeysRequest, v1::StreamKeysResponse>;
  std::unique_ptr<KeyMessages> StreamKeys(const CallOptions& call,
                                          const Deadline& deadline) const;

  // One attempt each at a part of an upload, under the deadline of all of it;
  // `call` is Checked. `next` gives the requests; an error of it ends the call.
  absl::Status TryGetUploadStatus(const v1::GetUploadStatusRequest& request,
                                  const CallOptions& call,
                                  const Deadline& deadline,
                                  v1::UploadStatus* status) const;
  absl::Status TryUploadMatrix(
      const RequestSource<v1::UploadMatrixRequest>& next,
      const CallOptions& call, const Deadline& deadline,
      v1::Matrix* matrix) const;

  // Options of the call in range; request_id filled in where it is empty.
  absl::StatusOr<CallOptions> Checked(const CallOptions& call,
                                      Seconds default_deadline) const;

  // `number`: grpc.health.v1.HealthCheckResponse.ServingStatus.
  absl::Status Check(const std::string& service, const CallOptions& call,
                     int* number) const;

 private:
  struct Stubs;
  class KeyExchange;
  using Attempt = std::function<absl::Status(grpc::ClientContext*, int number)>;

  Connection(std::shared_ptr<grpc::ChannelInterface> channel,
             const ClientOptions& options);

  // Writes all that `next` gives; the answer is where the writer was told.
  template <typename Writer, typename Request>
  static absl::Status WriteAll(grpc::ClientContext* context, Writer* writer,
                               const RequestSource<Request>& next);

  template <typename Reader, typename Message>
  static absl::Status ReadAll(grpc::ClientContext* context, Reader* reader,
                              const ResponseSink<Message>& consume);

  // Runs attempts under one deadline and one request id.
  absl::Status Run(const CallOptions& call, Seconds default_deadline,
                   std::size_t request_bytes, const Attempt& attempt) const;

  const ClientOptions options_;
  const std::unique_ptr<Stubs> stubs_;
};

}  // namespace steelyard::client
