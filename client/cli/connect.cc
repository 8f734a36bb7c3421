#include "client/cli/connect.h"

#include <fstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace steelyard::cli {
namespace {

constexpr char kDefaultServer[] = "127.0.0.1:50551";

// A pipe will do. An empty text would stand for the authorities that the
// system trusts, so it is refused.
absl::StatusOr<std::string> ReadPem(const std::string& path) {
  constexpr std::size_t kBytesMost = std::size_t{1} << 20;
  std::ifstream in(path, std::ios::binary);
  std::string text(kBytesMost, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.empty()) {
    return absl::NotFoundError(
        absl::StrCat(path, ": cannot be read, or is empty"));
  }
  if (text.find("-----BEGIN ") == std::string::npos) {
    return absl::NotFoundError(absl::StrCat(path, ": not a PEM file"));
  }
  return text;
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

// gRPC would take more: without a port it dials 443, and it takes a port modulo
// 65536.
absl::Status CheckAddress(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  int port = 0;
  const bool bracketed =
      host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (colon != std::string::npos && !host.empty() &&
      (bracketed || host.find_first_of(":/") == std::string::npos) &&
      absl::SimpleAtoi(address.substr(colon + 1), &port) && port >= 1 &&
      port <= 65535) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the server is '", address,
                   "'; required is HOST:PORT, PORT 1 to 65535; see --server"));
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
  if (auto good = CheckAddress(address); !good.ok()) return good;
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
    absl::StrAppend(&line, "; this server does not know the call");
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

ExitCode ReportBadArguments(const absl::Status& status,
                            const Console& console) {
  const ExitCode code = status.code() == absl::StatusCode::kNotFound
                            ? ExitCode::kFile
                            : ExitCode::kUsage;
  return ReportError(code, std::string(status.message()), console);
}

}  // namespace steelyard::cli
