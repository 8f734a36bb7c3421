#include "server/transport/call.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"
#include "server/errors/grpc_status.h"
#include "server/observability/log.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

constexpr char kRequestIdKey[] = "x-request-id";

// Characters. Longer ids, and ids with other than visible ASCII characters, are
// replaced by ours.
constexpr std::size_t kRequestIdMax = 128;

// A deadline further away than this is none: steady_clock must not overflow.
constexpr std::chrono::hours kFarAway{24 * 365};

// When memory is out, a retry makes sense after the work of others has ended.
constexpr std::chrono::milliseconds kOutOfMemoryRetry{1000};

std::string NewRequestId() {
  thread_local absl::BitGen bits;
  return absl::StrCat(
      absl::Hex(absl::Uniform<std::uint64_t>(bits), absl::kZeroPad16));
}

std::string RequestIdOf(const grpc::ServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find(kRequestIdKey);
  if (found == metadata.end()) return NewRequestId();
  std::string id(found->second.data(), found->second.size());
  const bool visible = std::all_of(id.begin(), id.end(),
                                   [](char c) { return c > ' ' && c <= '~'; });
  if (id.empty() || id.size() > kRequestIdMax || !visible) {
    return NewRequestId();
  }
  return id;
}

std::optional<RequestContext::Clock::time_point> DeadlineOf(
    const grpc::ServerContext& context) {
  const auto now = std::chrono::system_clock::now();
  const auto deadline = context.deadline();
  if (deadline > now + kFarAway) return std::nullopt;
  return RequestContext::Clock::now() + (deadline - now);
}

double Milliseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

void LogCall(const RequestContext& context, const absl::Status& status,
             const grpc::Status& sent) {
  const bool our_bug = sent.error_code() == grpc::StatusCode::INTERNAL;
  LogEvent event{
      .level = our_bug ? LogLevel::kError : LogLevel::kInfo,
      .event = "call",
      .fields = {{"request_id", context.request_id()},
                 {"method", context.method()},
                 {"shape", context.shape()},
                 {"queue_ms", Milliseconds(context.timing().queue)},
                 {"compute_ms", Milliseconds(context.timing().compute)},
                 {"total_ms", Milliseconds(RequestContext::Clock::now() -
                                           context.arrival())},
                 {"status", absl::StatusCodeToString(status.code())}}};
  if (!context.termination().empty()) {
    event.fields.push_back({"termination", context.termination()});
  }
  if (!status.ok()) {
    const std::optional<ErrorDetail> detail = DetailOf(status);
    if (detail.has_value()) event.fields.push_back({"reason", detail->reason});
    event.fields.push_back({"message", sent.error_message()});
  }
  Log(event);
}

}  // namespace

RequestContext::Call Describe(const char* method,
                              grpc::ServerContext* context) {
  RequestContext::Call call{
      .method = method,
      .request_id = RequestIdOf(*context),
      .deadline = DeadlineOf(*context),
      .cancelled = [context] { return context->IsCancelled(); }};
  context->AddInitialMetadata(kRequestIdKey, call.request_id);
  return call;
}

void ReturnFreeMemory() { malloc_trim(0); }

grpc::Status Finish(RequestContext& context,
                    absl::FunctionRef<absl::Status()> handle) {
  absl::Status status;
  try {
    status = handle();
  } catch (const std::bad_alloc&) {
    status = OutOfMemoryError(kOutOfMemoryRetry);
  } catch (const std::exception& error) {
    status = absl::InternalError(
        absl::StrCat("unexpected exception: ", error.what()));
  }
  const grpc::Status sent = ToGrpcStatus(status);
  LogCall(context, status, sent);
  return sent;
}

}  // namespace steelyard::server
