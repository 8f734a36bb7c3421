#include "tests/support_server/query_caller.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/rpc_method.h>

#include <chrono>

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

// The detail whose type ends like this, if there is one.
template <typename Message>
Message DetailNamed(const grpc::Status& status, const std::string& ending) {
  v1::RpcStatus details;
  Message message;
  if (!details.ParseFromString(status.error_details())) return message;
  for (const google::protobuf::Any& any : details.details()) {
    const std::string& url = any.type_url();
    if (url.size() >= ending.size() &&
        url.compare(url.size() - ending.size(), ending.size(), ending) == 0) {
      (void)message.ParseFromString(any.value());
    }
  }
  return message;
}

}  // namespace

struct QueryCaller::Stub {
  explicit Stub(const std::string& address)
      : channel(OwnConnection(address)), sets(channel) {}
  std::shared_ptr<grpc::Channel> channel;
  v1::UniversalSetService::Stub sets;
};

QueryCaller::QueryCaller(const std::string& address)
    : stub_(std::make_unique<Stub>(address)) {}

QueryCaller::~QueryCaller() = default;

grpc::Status QueryCaller::QueryHeavy(const v1::QueryHeavyRequest& request,
                                     v1::QueryHeavyResponse* response) const {
  grpc::ClientContext context;
  return stub_->sets.QueryHeavy(&context, request, response);
}

grpc::Status QueryCaller::Attend(const v1::AttendRequest& request,
                                 v1::AttendResponse* response) const {
  grpc::ClientContext context;
  return stub_->sets.Attend(&context, request, response);
}

std::unique_ptr<HeavyStream> QueryCaller::StreamQueryHeavy(
    grpc::ClientContext* context) const {
  return stub_->sets.StreamQueryHeavy(context);
}

std::unique_ptr<AttendStream> QueryCaller::StreamAttend(
    grpc::ClientContext* context) const {
  return stub_->sets.StreamAttend(context);
}

grpc::Status QueryCaller::StreamBytes(const std::string& first,
                                      const std::string& second) const {
  grpc::ClientContext context;
  const grpc::internal::RpcMethod method(
      "/steelyard.v1.UniversalSetService/StreamQueryHeavy",
      grpc::internal::RpcMethod::BIDI_STREAMING, stub_->channel);
  const std::unique_ptr<
      grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>>
      stream(grpc::internal::ClientReaderWriterFactory<
             grpc::ByteBuffer, grpc::ByteBuffer>::Create(stub_->channel.get(),
                                                         method, &context));
  for (const std::string& bytes : {first, second}) {
    const grpc::Slice slice(bytes);
    stream->Write(grpc::ByteBuffer(&slice, 1));
  }
  stream->WritesDone();
  grpc::ByteBuffer answer;
  while (stream->Read(&answer)) continue;
  return stream->Finish();
}

std::string ReasonOf(const grpc::Status& status) {
  return DetailNamed<v1::ErrorInfo>(status, ".ErrorInfo").reason();
}

std::string FieldOf(const grpc::Status& status) {
  const auto bad = DetailNamed<v1::BadRequest>(status, ".BadRequest");
  return bad.field_violations_size() == 1 ? bad.field_violations(0).field()
                                          : "";
}

}  // namespace steelyard::test
