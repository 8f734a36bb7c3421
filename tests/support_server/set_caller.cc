#include "tests/support_server/set_caller.h"

#include <google/protobuf/empty.pb.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>

#include "steelyard/v1/error_details.pb.h"
#include "steelyard/v1/universal_set_service.grpc.pb.h"

namespace steelyard::test {
namespace {

std::shared_ptr<grpc::Channel> OwnConnection(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  std::shared_ptr<grpc::Channel> channel = grpc::CreateCustomChannel(
      address, grpc::InsecureChannelCredentials(), arguments);
  (void)channel->WaitForConnected(std::chrono::system_clock::now() +
                                  std::chrono::seconds(10));
  return channel;
}

template <typename Message>
void Append(const google::protobuf::RepeatedField<Message>& from,
            google::protobuf::RepeatedField<Message>* to) {
  to->MergeFrom(from);
}

}  // namespace

struct SetCaller::Stub {
  explicit Stub(const std::string& address) : stub(OwnConnection(address)) {}
  v1::UniversalSetService::Stub stub;
};

SetCaller::SetCaller(const std::string& address)
    : stub_(std::make_unique<Stub>(address)) {}

SetCaller::~SetCaller() = default;

grpc::Status SetCaller::Find(const v1::FindUniversalSetRequest& request,
                             v1::FindUniversalSetResponse* response) const {
  grpc::ClientContext context;
  return stub_->stub.FindUniversalSet(&context, request, response);
}

grpc::Status SetCaller::StreamFind(
    const v1::FindUniversalSetRequest& request,
    std::vector<v1::FindUniversalSetEvent>* events) const {
  grpc::ClientContext context;
  const auto reader = stub_->stub.StreamFindUniversalSet(&context, request);
  v1::FindUniversalSetEvent event;
  while (reader->Read(&event)) events->push_back(event);
  return reader->Finish();
}

grpc::Status SetCaller::Get(const std::string& name,
                            v1::UniversalSetInfo* info) const {
  grpc::ClientContext context;
  v1::GetUniversalSetRequest request;
  request.set_name(name);
  return stub_->stub.GetUniversalSet(&context, request, info);
}

grpc::Status SetCaller::List(const v1::ListUniversalSetsRequest& request,
                             v1::ListUniversalSetsResponse* response) const {
  grpc::ClientContext context;
  return stub_->stub.ListUniversalSets(&context, request, response);
}

grpc::Status SetCaller::Delete(const std::string& name) const {
  grpc::ClientContext context;
  v1::DeleteUniversalSetRequest request;
  request.set_name(name);
  google::protobuf::Empty response;
  return stub_->stub.DeleteUniversalSet(&context, request, &response);
}

grpc::Status SetCaller::Read(const v1::ReadUniversalSetRequest& request,
                             std::vector<v1::UniversalSet>* parts) const {
  grpc::ClientContext context;
  const auto reader = stub_->stub.ReadUniversalSet(&context, request);
  v1::UniversalSet part;
  while (reader->Read(&part)) parts->push_back(part);
  return reader->Finish();
}

std::unique_ptr<KeyStream> SetCaller::StreamKeys(
    grpc::ClientContext* context) const {
  return stub_->stub.StreamKeys(context);
}

grpc::Status SetCaller::Export(const std::string& name,
                               std::vector<v1::StateChunk>* chunks) const {
  grpc::ClientContext context;
  v1::ExportStateRequest request;
  request.set_name(name);
  const auto reader = stub_->stub.ExportState(&context, request);
  v1::StateChunk chunk;
  while (reader->Read(&chunk)) chunks->push_back(chunk);
  return reader->Finish();
}

grpc::Status SetCaller::Merge(
    const std::vector<v1::MergeStatesRequest>& messages,
    v1::MergeStatesResponse* response) const {
  grpc::ClientContext context;
  const auto writer = stub_->stub.MergeStates(&context, response);
  for (const v1::MergeStatesRequest& message : messages) {
    if (!writer->Write(message)) break;
  }
  writer->WritesDone();
  return writer->Finish();
}

std::string SetCaller::ReasonOf(const grpc::Status& status) {
  v1::RpcStatus details;
  if (!details.ParseFromString(status.error_details())) return "";
  for (const google::protobuf::Any& detail : details.details()) {
    v1::ErrorInfo info;
    if (detail.type_url() == "type.googleapis.com/google.rpc.ErrorInfo" &&
        info.ParseFromString(detail.value())) {
      return info.reason();
    }
  }
  return "";
}

std::vector<v1::UniversalSet> Joined(
    const std::vector<v1::UniversalSet>& parts) {
  std::vector<v1::UniversalSet> sets;
  bool more = false;
  for (const v1::UniversalSet& part : parts) {
    if (!more) {
      sets.push_back(part);
    } else {
      v1::UniversalSet& set = sets.back();
      Append(part.indices(), set.mutable_indices());
      Append(part.sensitivities(), set.mutable_sensitivities());
      Append(part.upper_bounds(), set.mutable_upper_bounds());
      Append(part.undecided(), set.mutable_undecided());
      Append(part.new_direction(), set.mutable_new_direction());
    }
    more = part.more_follows();
    sets.back().clear_more_follows();
  }
  return sets;
}

}  // namespace steelyard::test
