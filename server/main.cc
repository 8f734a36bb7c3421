// steelyard-server: reads its configuration, serves, drains on SIGTERM.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/config/command_line.h"
#include "server/handlers/get_server_info_handler.h"
#include "server/observability/log.h"
#include "server/transport/steelyard_server.h"
#include "steelyard/processor.h"

namespace steelyard::server {
namespace {

// The handler writes a byte a signal; main reads them. (sigwait would not do:
// OpenBLAS starts threads before main, which do not block signals.)
int signal_pipe[2];

void OnSignal(int) {
  const int saved = errno;
  [[maybe_unused]] const ssize_t written = write(signal_pipe[1], "", 1);
  errno = saved;
}

bool CatchSignals() {
  if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  return sigaction(SIGTERM, &action, nullptr) == 0 &&
         sigaction(SIGINT, &action, nullptr) == 0 &&
         signal(SIGPIPE, SIG_IGN) != SIG_ERR;
}

// True once a signal has come, false when the time is over before.
bool WaitForSignal(absl::Duration time) {
  const absl::Time end = absl::Now() + time;
  while (true) {
    pollfd ready = {.fd = signal_pipe[0], .events = POLLIN, .revents = 0};
    const absl::Duration left = end - absl::Now();
    // Looks again at least once a minute: poll counts milliseconds in an int.
    const auto wait = static_cast<int>(absl::ToInt64Milliseconds(
        std::min(std::max(left, absl::ZeroDuration()), absl::Minutes(1))));
    if (poll(&ready, 1, wait) > 0) {
      char byte = 0;
      if (read(signal_pipe[0], &byte, 1) == 1) return true;
    }
    if (absl::Now() >= end) return false;
  }
}

// Readers of the file never see half of it.
bool WritePortFile(const std::string& path, int port) {
  const std::string draft = path + ".new";
  std::ofstream file(draft);
  file << port << "\n";
  file.close();
  return file && std::rename(draft.c_str(), path.c_str()) == 0;
}

int Fail(const absl::Status& status) {
  const std::string message(status.message());
  std::fprintf(stderr, "steelyard-server: %s\n", message.c_str());
  return 1;
}

int Serve(const ServerConfig& config) {
  if (!CatchSignals()) return Fail(absl::InternalError("cannot catch signals"));
  auto server = SteelyardServer::Start(config);
  if (!server.ok()) return Fail(server.status());
  if (!config.port_file.empty() &&
      !WritePortFile(config.port_file, (*server)->port())) {
    return Fail(absl::InvalidArgumentError(absl::StrCat(
        "--port-file is ", config.port_file, "; cannot write it")));
  }
  Log({.event = "serving",
       .fields = {{"version", Version()},
                  {"listen", config.listen},
                  {"port", std::int64_t{(*server)->port()}},
                  {"workers", std::int64_t{(*server)->workers()}}}});
  WaitForSignal(absl::InfiniteDuration());
  Log({.event = "draining"});
  const bool ended = (*server)->Drain(WaitForSignal);
  const int abandoned = (*server)->gate().running();
  Log({.event = "stopped",
       .fields = {{"abandoned_work", std::int64_t{abandoned}}}});
  // Nobody waits for work that cannot be stopped; the process does not either.
  if (!ended || abandoned > 0) std::_Exit(0);
  return 0;
}

// A full disk or a closed pipe: the text did not arrive whole.
int Print(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) {
    return 0;
  }
  return Fail(absl::UnavailableError("cannot write to standard output"));
}

int Main(const std::vector<std::string>& arguments) {
  const absl::StatusOr<CommandLine> line =
      ReadCommandLine(arguments, ProcessEnvironment());
  if (!line.ok()) return Fail(line.status());
  switch (line->action) {
    case Action::kPrintHelp:
      return Print(HelpText());
    case Action::kPrintVersion:
      return Print(absl::StrCat("steelyard-server ", Version(), "\n"));
    case Action::kPrintConfig:
      return Print(PrintedConfig(line->config));
    case Action::kServe:
      return Serve(line->config);
  }
  return 1;
}

}  // namespace
}  // namespace steelyard::server

int main(int argc, char** argv) {
  const absl::Status ready = steelyard::PrepareProcessor();
  if (!ready.ok()) return steelyard::server::Fail(ready);
  return steelyard::server::Main({argv + 1, argv + argc});
}
