#include "server/transport/services.h"

#include <google/protobuf/descriptor.h>

#include "server/transport/bidi_call.h"
#include "server/transport/call.h"
#include "server/transport/duplex_call.h"
#include "steelyard/v1/matrix_service.grpc.pb.h"
#include "steelyard/v1/regression_service.grpc.pb.h"
#include "steelyard/v1/server_service.grpc.pb.h"
#include "steelyard/v1/universal_set_service.grpc.pb.h"

namespace steelyard::server {
namespace {

class ServerService final : public v1::ServerService::Service {
 public:
  explicit ServerService(const Handlers& handlers) : handlers_(handlers) {}

  grpc::Status GetServerInfo(grpc::ServerContext* context,
                             const v1::GetServerInfoRequest* request,
                             v1::ServerInfo* response) override {
    return UnaryCall("/steelyard.v1.ServerService/GetServerInfo", context,
                     request, response, handlers_.get_server_info);
  }

 private:
  const Handlers& handlers_;
};

// Of a method of a service, as the generated code counts them. `Message`: one
// of the file of the service.
template <typename Message>
int MethodIndex(const char* service, const char* name) {
  return Message::descriptor()
      ->file()
      ->FindServiceByName(service)
      ->FindMethodByName(name)
      ->index();
}

int SetMethodIndex(const char* name) {
  return MethodIndex<v1::FindUniversalSetRequest>("UniversalSetService", name);
}

class UniversalSetService final : public v1::UniversalSetService::Service {
 public:
  UniversalSetService(const Handlers& handlers, const Limits& limits)
      : handlers_(handlers) {
    MarkMethodStreamed(
        SetMethodIndex("StreamKeys"),
        new DuplexMethod<v1::StreamKeysRequest, v1::StreamKeysResponse>(
            limits.stream_queue_bytes,
            [this](grpc::ServerContext* context, KeyStream::Requests& inbox,
                   const KeyStream::Write& write) {
              return DuplexCall<v1::StreamKeysRequest, v1::StreamKeysResponse>(
                  "/steelyard.v1.UniversalSetService/StreamKeys", context,
                  inbox, write, handlers_.stream_keys);
            }));
    MarkMethodStreamed(
        SetMethodIndex("MergeStates"),
        new InboxMethod<v1::MergeStatesRequest, v1::MergeStatesResponse>(
            limits.stream_queue_bytes,
            [this](grpc::ServerContext* context, StateMerge::Requests& inbox,
                   v1::MergeStatesResponse* response) {
              return InboxCall<v1::MergeStatesRequest, v1::MergeStatesResponse>(
                  "/steelyard.v1.UniversalSetService/MergeStates", context,
                  inbox, response, handlers_.merge_states);
            }));
    SetBidiMethod<v1::StreamQueryHeavyRequest, v1::StreamQueryHeavyResponse>(
        "StreamQueryHeavy",
        "/steelyard.v1.UniversalSetService/StreamQueryHeavy",
        handlers.stream_query_heavy);
    SetBidiMethod<v1::StreamAttendRequest, v1::StreamAttendResponse>(
        "StreamAttend", "/steelyard.v1.UniversalSetService/StreamAttend",
        handlers.stream_attend);
  }

  grpc::Status FindUniversalSet(
      grpc::ServerContext* context, const v1::FindUniversalSetRequest* request,
      v1::FindUniversalSetResponse* response) override {
    return UnaryCall("/steelyard.v1.UniversalSetService/FindUniversalSet",
                     context, request, response, handlers_.find_universal_set);
  }

  grpc::Status StreamFindUniversalSet(
      grpc::ServerContext* context, const v1::FindUniversalSetRequest* request,
      grpc::ServerWriter<v1::FindUniversalSetEvent>* writer) override {
    return ServerStreamCall(
        "/steelyard.v1.UniversalSetService/StreamFindUniversalSet", context,
        request, writer, handlers_.stream_find_universal_set);
  }

  grpc::Status ExportState(
      grpc::ServerContext* context, const v1::ExportStateRequest* request,
      grpc::ServerWriter<v1::StateChunk>* writer) override {
    return ServerStreamCall("/steelyard.v1.UniversalSetService/ExportState",
                            context, request, writer, handlers_.export_state);
  }

  grpc::Status GetUniversalSet(grpc::ServerContext* context,
                               const v1::GetUniversalSetRequest* request,
                               v1::UniversalSetInfo* response) override {
    return UnaryCall("/steelyard.v1.UniversalSetService/GetUniversalSet",
                     context, request, response, handlers_.get_universal_set);
  }

  grpc::Status ReadUniversalSet(
      grpc::ServerContext* context, const v1::ReadUniversalSetRequest* request,
      grpc::ServerWriter<v1::UniversalSet>* writer) override {
    return ServerStreamCall(
        "/steelyard.v1.UniversalSetService/ReadUniversalSet", context, request,
        writer, handlers_.read_universal_set);
  }

  grpc::Status ListUniversalSets(
      grpc::ServerContext* context, const v1::ListUniversalSetsRequest* request,
      v1::ListUniversalSetsResponse* response) override {
    return UnaryCall("/steelyard.v1.UniversalSetService/ListUniversalSets",
                     context, request, response, handlers_.list_universal_sets);
  }

  grpc::Status DeleteUniversalSet(grpc::ServerContext* context,
                                  const v1::DeleteUniversalSetRequest* request,
                                  google::protobuf::Empty* response) override {
    return UnaryCall("/steelyard.v1.UniversalSetService/DeleteUniversalSet",
                     context, request, response,
                     handlers_.delete_universal_set);
  }

  grpc::Status Attend(grpc::ServerContext* context,
                      const v1::AttendRequest* request,
                      v1::AttendResponse* response) override {
    return UnaryCall("/steelyard.v1.UniversalSetService/Attend", context,
                     request, response, handlers_.attend);
  }

  grpc::Status QueryHeavy(grpc::ServerContext* context,
                          const v1::QueryHeavyRequest* request,
                          v1::QueryHeavyResponse* response) override {
    return UnaryCall("/steelyard.v1.UniversalSetService/QueryHeavy", context,
                     request, response, handlers_.query_heavy);
  }

 private:
  template <typename Request, typename Response, typename Handler>
  void SetBidiMethod(const char* name, const char* path,
                     const Handler& handler) {
    MarkMethodStreamed(
        SetMethodIndex(name),
        new BidiMethod<Request, Response, Handler>(path, handler));
  }

  const Handlers& handlers_;
};

class RegressionService final : public v1::RegressionService::Service {
 public:
  explicit RegressionService(const Handlers& handlers) : handlers_(handlers) {}

  grpc::Status Solve(grpc::ServerContext* context,
                     const v1::SolveRequest* request,
                     v1::SolveResponse* response) override {
    return UnaryCall("/steelyard.v1.RegressionService/Solve", context, request,
                     response, handlers_.solve);
  }

  grpc::Status StreamSolve(
      grpc::ServerContext* context, const v1::SolveRequest* request,
      grpc::ServerWriter<v1::SolveEvent>* writer) override {
    return ServerStreamCall("/steelyard.v1.RegressionService/StreamSolve",
                            context, request, writer, handlers_.stream_solve);
  }

  grpc::Status Predict(
      grpc::ServerContext* context, const v1::PredictRequest* request,
      grpc::ServerWriter<v1::PredictResponse>* writer) override {
    return ServerStreamCall("/steelyard.v1.RegressionService/Predict", context,
                            request, writer, handlers_.predict);
  }

 private:
  const Handlers& handlers_;
};

class MatrixService final : public v1::MatrixService::Service {
 public:
  MatrixService(const Handlers& handlers, const Limits& limits)
      : handlers_(handlers) {
    MarkMethodStreamed(
        MethodIndex<v1::UploadMatrixRequest>("MatrixService", "UploadMatrix"),
        new InboxMethod<v1::UploadMatrixRequest, v1::Matrix>(
            limits.stream_queue_bytes,
            [this](grpc::ServerContext* context, UploadStream::Requests& inbox,
                   v1::Matrix* response) {
              return InboxCall<v1::UploadMatrixRequest, v1::Matrix>(
                  "/steelyard.v1.MatrixService/UploadMatrix", context, inbox,
                  response, handlers_.upload_matrix);
            }));
  }

  grpc::Status GetUploadStatus(grpc::ServerContext* context,
                               const v1::GetUploadStatusRequest* request,
                               v1::UploadStatus* response) override {
    return UnaryCall("/steelyard.v1.MatrixService/GetUploadStatus", context,
                     request, response, handlers_.get_upload_status);
  }

  grpc::Status GetMatrix(grpc::ServerContext* context,
                         const v1::GetMatrixRequest* request,
                         v1::Matrix* response) override {
    return UnaryCall("/steelyard.v1.MatrixService/GetMatrix", context, request,
                     response, handlers_.get_matrix);
  }

  grpc::Status ListMatrices(grpc::ServerContext* context,
                            const v1::ListMatricesRequest* request,
                            v1::ListMatricesResponse* response) override {
    return UnaryCall("/steelyard.v1.MatrixService/ListMatrices", context,
                     request, response, handlers_.list_matrices);
  }

  grpc::Status DeleteMatrix(grpc::ServerContext* context,
                            const v1::DeleteMatrixRequest* request,
                            google::protobuf::Empty* response) override {
    return UnaryCall("/steelyard.v1.MatrixService/DeleteMatrix", context,
                     request, response, handlers_.delete_matrix);
  }

 private:
  const Handlers& handlers_;
};

}  // namespace

std::vector<NamedService> MakeServices(const Handlers& handlers,
                                       const Limits& limits) {
  std::vector<NamedService> services;
  services.push_back({v1::ServerService::service_full_name(),
                      std::make_unique<ServerService>(handlers)});
  services.push_back({v1::UniversalSetService::service_full_name(),
                      std::make_unique<UniversalSetService>(handlers, limits)});
  services.push_back({v1::RegressionService::service_full_name(),
                      std::make_unique<RegressionService>(handlers)});
  services.push_back({v1::MatrixService::service_full_name(),
                      std::make_unique<MatrixService>(handlers, limits)});
  return services;
}

}  // namespace steelyard::server
