// What the tool ends with. Documented in `steelyard help` and the README:
// scripts rely on the numbers.
#pragma once

namespace steelyard::cli {

enum class ExitCode {
  kOk = 0,
  kCertificateBroken = 1,  // --verify found a rule that does not hold.
  kUsage = 2,              // Wrong flags or arguments.
  kFile = 3,               // A file cannot be read, understood or written.
  kRefused = 4,       // The request breaks a rule or a limit of the server.
  kUnavailable = 5,   // No server, busy, draining, or out of time.
  kNotConverged = 6,  // The solve ended with another termination.
  kInternal = 7,      // A bug, of the server or of this tool.
};

}  // namespace steelyard::cli
