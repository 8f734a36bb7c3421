// The server that the flags name, and what to say when it does not answer.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/arguments.h"
#include "client/cli/console.h"
#include "steelyard/client/client.h"

namespace steelyard::cli {

struct ServerAccess {
  client::Client client;
  std::string address;
  client::CallOptions call;
};

// Makes the client; sends nothing. `attempts` where --attempts is not given.
//
// ERRORS  InvalidArgument: flags that do not go together, an address that is
//   not HOST:PORT. NotFound: a certificate file that cannot be read.
absl::StatusOr<ServerAccess> Connect(const Arguments& arguments,
                                     const Console& console, int attempts = 4);

// One line to console.err, and the exit code that goes with the status of a
// call.
ExitCode ReportCallError(const absl::Status& status, const std::string& address,
                         const Console& console);

// One line to console.err: "steelyard: MESSAGE".
ExitCode ReportError(ExitCode code, const std::string& message,
                     const Console& console);
ExitCode ReportUsage(const std::string& message, const Console& console);

// The same for a status of Connect: kFile where it is NotFound, else kUsage.
ExitCode ReportBadArguments(const absl::Status& status, const Console& console);

}  // namespace steelyard::cli
