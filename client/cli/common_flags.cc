#include "client/cli/common_flags.h"

#include <utility>

namespace steelyard::cli {

std::vector<FlagSpec> CommonFlags() {
  return {
      {.name = "server",
       .kind = FlagKind::kText,
       .value = "HOST:PORT",
       .help = "the server. Default: $STEELYARD_SERVER, else\n"
               "127.0.0.1:50551"},
      {.name = "timeout",
       .kind = FlagKind::kDuration,
       .value = "30s",
       .help = "of the whole call, retries included: 500ms, 30s, 5m.\n"
               "Default: 60s; solve, predict, matrices upload: 1h; info\n"
               "and health: 5s",
       .least = 0.0,
       .least_is_open = true},
      {.name = "attempts",
       .kind = FlagKind::kInteger,
       .value = "N",
       .help = "how often a busy or absent server is tried, with a\n"
               "growing pause between. In [1, 100]. Default: 4",
       .least = 1,
       .most = 100},
      {.name = "json",
       .help = "one JSON object on standard output, keys as below"},
      {.name = "tls",
       .help = "encrypt; the server's certificate must be signed by\n"
               "an authority that the system trusts"},
      {.name = "tls-ca",
       .kind = FlagKind::kText,
       .value = "FILE",
       .help = "PEM certificates to trust instead; implies --tls"},
      {.name = "tls-cert",
       .kind = FlagKind::kText,
       .value = "FILE",
       .help = "PEM certificate of the client, with --tls-key"},
      {.name = "tls-key",
       .kind = FlagKind::kText,
       .value = "FILE",
       .help = "PEM key of that certificate"},
      {.name = "tls-server-name",
       .kind = FlagKind::kText,
       .value = "NAME",
       .help = "name in the server's certificate, where it is not\n"
               "the host of --server"},
  };
}

FlagSpec Output(const char* help) {
  return {
      .name = "output", .kind = FlagKind::kText, .value = "FILE", .help = help};
}

FlagSpec Show(const char* what) {
  return {.name = "show",
          .kind = FlagKind::kInteger,
          .value = "N",
          .help = std::string(what) + "\nIn [0, 1000000]. Default: 10",
          .least = 0,
          .most = 1e6};
}

std::vector<FlagSpec> Joined(std::vector<FlagSpec> own) {
  std::vector<FlagSpec> common = CommonFlags();
  for (FlagSpec& flag : common) own.push_back(std::move(flag));
  return own;
}

}  // namespace steelyard::cli
