// consumer ADDRESS: asks a server what it is, with an installed client library,
// and fails unless both have the same version.
#include <iostream>

#include "steelyard/client/client.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: consumer ADDRESS\n";
    return 2;
  }
  const auto client = steelyard::client::Client::Create(argv[1]);
  if (!client.ok()) {
    std::cerr << client.status() << "\n";
    return 1;
  }
  const auto info = client->GetServerInfo();
  if (!info.ok()) {
    std::cerr << info.status() << "\n";
    return 1;
  }
  std::cout << "client " << STEELYARD_VERSION << ", server " << info->version
            << "\n";
  return info->version == STEELYARD_VERSION ? 0 : 1;
}
