// The RPCs of stored sets and streamed keys, called with plain messages.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <grpcpp/support/sync_stream.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::test {

using KeyStream =
    grpc::ClientReaderWriter<v1::StreamKeysRequest, v1::StreamKeysResponse>;

class SetCaller {
 public:
  // Each caller has a connection of its own.
  explicit SetCaller(const std::string& address);
  ~SetCaller();
  SetCaller(const SetCaller&) = delete;
  SetCaller& operator=(const SetCaller&) = delete;

  grpc::Status Find(const v1::FindUniversalSetRequest& request,
                    v1::FindUniversalSetResponse* response) const;
  grpc::Status StreamFind(const v1::FindUniversalSetRequest& request,
                          std::vector<v1::FindUniversalSetEvent>* events) const;
  grpc::Status Get(const std::string& name, v1::UniversalSetInfo* info) const;
  grpc::Status List(const v1::ListUniversalSetsRequest& request,
                    v1::ListUniversalSetsResponse* response) const;
  grpc::Status Delete(const std::string& name) const;
  // Parts as they come.
  grpc::Status Read(const v1::ReadUniversalSetRequest& request,
                    std::vector<v1::UniversalSet>* parts) const;

  std::unique_ptr<KeyStream> StreamKeys(grpc::ClientContext* context) const;
  // The chunks as they come.
  grpc::Status Export(const std::string& name,
                      std::vector<v1::StateChunk>* chunks) const;
  grpc::Status Merge(const std::vector<v1::MergeStatesRequest>& messages,
                     v1::MergeStatesResponse* response) const;

  // Reason of ErrorInfo in the details of a status; "" for none.
  static std::string ReasonOf(const grpc::Status& status);

 private:
  struct Stub;
  std::unique_ptr<Stub> stub_;
};

// Parts put together: one set a head.
std::vector<v1::UniversalSet> Joined(
    const std::vector<v1::UniversalSet>& parts);

}  // namespace steelyard::test
