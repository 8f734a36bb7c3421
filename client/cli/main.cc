#include <cblas.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "client/cli/tool.h"

int main(int argc, char** argv) {
  // The checks of --verify run in one thread: the server may be beside us.
  openblas_set_num_threads(1);
  // Errors are one line, and it is ours; gRPC's own log stays off unless asked
  // for.
  ::setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  const std::vector<std::string> words(argv + 1, argv + argc);
  const char* server = std::getenv("STEELYARD_SERVER");
  std::ios::sync_with_stdio(false);
  return steelyard::cli::RunTool(
      words, {.out = std::cout,
              .err = std::cerr,
              .err_is_terminal = ::isatty(STDERR_FILENO) == 1,
              .server_from_environment = server == nullptr ? "" : server});
}
