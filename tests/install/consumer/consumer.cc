// consumer ADDRESS: asks a server what it is and solves one small system, with
// an installed client library. Fails unless both have the same version and the
// answer is right.
#include <Eigen/Core>
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
  if (info->version != STEELYARD_VERSION) return 1;

  // A'A = diag(4, 9), so that x = (1, 2) for b = (4, 18).
  Eigen::MatrixXd a(3, 2);
  a << 2, 0, 0, 3, 0, 0;
  const auto solution =
      client->Solve(a, Eigen::Vector2d(4, 18), steelyard::client::GramPower{1});
  if (!solution.ok()) {
    std::cerr << solution.status() << "\n";
    return 1;
  }
  std::cout << "x = " << solution->x.transpose() << "\n";
  // Condition number 9/4: a few units of the last place, 2^-52 each.
  return (solution->x - Eigen::Vector2d(1, 2)).norm() < 0x1p-48 ? 0 : 1;
}
