// The RPCs that answer queries, called with plain messages.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <grpcpp/support/sync_stream.h>

#include <memory>
#include <string>

#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::test {

using HeavyStream =
    grpc::ClientReaderWriterInterface<v1::StreamQueryHeavyRequest,
                                      v1::StreamQueryHeavyResponse>;
using AttendStream =
    grpc::ClientReaderWriterInterface<v1::StreamAttendRequest,
                                      v1::StreamAttendResponse>;

class QueryCaller {
 public:
  // Each caller has a connection of its own.
  explicit QueryCaller(const std::string& address);
  ~QueryCaller();
  QueryCaller(const QueryCaller&) = delete;
  QueryCaller& operator=(const QueryCaller&) = delete;

  grpc::Status QueryHeavy(const v1::QueryHeavyRequest& request,
                          v1::QueryHeavyResponse* response) const;
  grpc::Status Attend(const v1::AttendRequest& request,
                      v1::AttendResponse* response) const;
  std::unique_ptr<HeavyStream> StreamQueryHeavy(
      grpc::ClientContext* context) const;
  std::unique_ptr<AttendStream> StreamAttend(
      grpc::ClientContext* context) const;

  // Sends bytes as messages of StreamQueryHeavy, and ends the sending.
  grpc::Status StreamBytes(const std::string& first,
                           const std::string& second) const;

 private:
  struct Stub;
  std::unique_ptr<Stub> stub_;
};

// Of the details of a status; "" for none.
std::string ReasonOf(const grpc::Status& status);
std::string FieldOf(const grpc::Status& status);

}  // namespace steelyard::test
