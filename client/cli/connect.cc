#include "client/cli/connect.h"

#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace steelyard::cli {
namespace {

constexpr char kDefaultServer[] = "127.0.0.1:50551";

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read"));
  }
  return std::string(std::istreambuf_iterator<char>(in), {});
}

absl::Status ReadInto(const Arguments& arguments, const char* flag,
                      std::string* text) {
  const std::optional<std::string> path = arguments.Text(flag);
  if (!path) return absl::OkStatus();
  absl::StatusOr<std::string> pem = ReadPem(*path);
  if (!pem.ok()) return pem.status();
  *text = *std::move(pem);
  return absl::OkStatus();
}

absl::StatusOr<client::Credentials> CredentialsOf(const Arguments& arguments) {
  bool tls = false;
  for (const char* flag :
       {"tls", "tls-ca", "tls-cert", "tls-key", "tls-server-name"}) {
    tls = tls || arguments.Has(flag);
  }
  if (!tls) return client::InsecureCredentials{};
  if (arguments.Has("tls-cert") != arguments.Has("tls-key")) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key go together");
  }
  client::TlsCredentials credentials;
  credentials.server_name = arguments.Text("tls-server-name").value_or("");
  for (const auto& [flag, text] :
       {std::pair("tls-ca", &credentials.root_certificates),
        std::pair("tls-cert", &credentials.certificate_chain),
        std::pair("tls-key", &credentials.private_key)}) {
    if (auto read = ReadInto(arguments, flag, text); !read.ok()) return read;
  }
  return credentials;
}

std::string AddressOf(const Arguments& arguments, const Console& console) {
  if (const auto flag = arguments.Text("server")) return *flag;
  if (!console.server_from_environment.empty()) {
    return console.server_from_environment;
  }
  return kDefaultServer;
}

ExitCode CodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kAborted:
      return ExitCode::kUnavailable;
    case absl::StatusCode::kResourceExhausted: {
      // Busy, and still busy after the last attempt; or over a limit.
      const auto detail = client::DetailOf(status);
      return detail && detail->retry_delay ? ExitCode::kUnavailable
                                           : ExitCode::kRefused;
    }
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss:
      return ExitCode::kInternal;
    default:
      return ExitCode::kRefused;
  }
}

}  // namespace

absl::StatusOr<ServerAccess> Connect(const Arguments& arguments,
                                     const Console& console, int attempts) {
  client::ClientOptions options;
  const absl::StatusOr<client::Credentials> credentials =
      CredentialsOf(arguments);
  if (!credentials.ok()) return credentials.status();
  options.credentials = *credentials;
  options.retry.attempts_max =
      static_cast<int>(arguments.Integer("attempts").value_or(attempts));
  // The server's limit counts: the tool asks for it before it sends much.
  options.request_bytes_max = 0x7fffffff;

  const std::string address = AddressOf(arguments, console);
  absl::StatusOr<client::Client> client =
      client::Client::Create(address, options);
  if (!client.ok()) return client.status();
  client::CallOptions call;
  if (const auto timeout = arguments.Seconds("timeout")) {
    call.deadline = client::Seconds(*timeout);
  }
  return ServerAccess{
      .client = *std::move(client), .address = address, .call = call};
}

ExitCode ReportCallError(const absl::Status& status, const std::string& address,
                         const Console& console) {
  const ExitCode code = CodeOf(status);
  std::string line = absl::StrCat(absl::StatusCodeToString(status.code()),
                                  " from ", address, ": ", status.message());
  if (const auto detail = client::DetailOf(status)) {
    if (!detail->reason.empty()) absl::StrAppend(&line, " [", detail->reason);
    if (!detail->reason.empty() && !detail->field.empty()) {
      absl::StrAppend(&line, " in ", detail->field);
    }
    if (!detail->reason.empty()) absl::StrAppend(&line, "]");
    if (code == ExitCode::kInternal && !detail->request_id.empty()) {
      absl::StrAppend(&line, " (x-request-id ", detail->request_id, ")");
    }
  }
  if (status.code() == absl::StatusCode::kUnavailable) {
    absl::StrAppend(&line, "; is steelyard-server running there? See --server");
  } else if (status.code() == absl::StatusCode::kDeadlineExceeded) {
    absl::StrAppend(&line, "; see --timeout");
  } else if (status.code() == absl::StatusCode::kUnimplemented) {
    absl::StrAppend(&line, "this server does not know the call");
  }
  return ReportError(code, line, console);
}

ExitCode ReportError(ExitCode code, const std::string& message,
                     const Console& console) {
  // One line, whatever the message holds.
  console.err << "steelyard: "
              << absl::StrReplaceAll(message, {{"\n", " "}, {"\r", " "}})
              << "\n";
  return code;
}

ExitCode ReportUsage(const std::string& message, const Console& console) {
  return ReportError(ExitCode::kUsage, message, console);
}

}  // namespace steelyard::cli
