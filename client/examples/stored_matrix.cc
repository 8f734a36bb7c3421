// stored_matrix ADDRESS
//
// Stores a matrix once and solves on it often: the first solve pays for the
// factor, the later ones find it ready.
#include <Eigen/Core>
#include <iostream>

#include "steelyard/client/client.h"

namespace client = steelyard::client;

namespace {

int Fail(const char* what, const absl::Status& status) {
  std::cerr << what << ": " << status << "\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: stored_matrix HOST:PORT\n";
    return 2;
  }
  const auto server = client::Client::Create(argv[1]);
  if (!server.ok()) return Fail("address", server.status());

  const Eigen::MatrixXf a = Eigen::MatrixXf::Random(20000, 32);
  const auto uploaded = server->UploadMatrix(
      "example", a, {.on_progress = [](const client::UploadProgress& progress) {
        if (progress.bytes_done == progress.bytes_total) {
          std::cout << progress.phase << ": " << progress.bytes_total
                    << " bytes\n";
        }
      }});
  // If this program is killed half way, the next run sends the other half.
  if (!uploaded.ok()) return Fail("upload", uploaded.status());
  std::cout << uploaded->info.name << ": " << uploaded->bytes_sent
            << " bytes were sent\n";

  double error = 0.0;
  int hits = 0;
  for (int day = 1; day <= 3; ++day) {
    // Least squares for another target; only the target travels.
    const Eigen::VectorXd x = Eigen::VectorXd::Constant(32, day);
    const Eigen::VectorXd b = a.cast<double>() * x;
    const auto fit = server->Solve(client::StoredMatrix("example"), b,
                                   client::LeftGramPower{.exponent = 0});
    if (!fit.ok()) return Fail("solve", fit.status());
    const client::SolveReport& report = fit->report;
    std::cout << "day " << day << ": " << client::Name(report.termination)
              << " by " << report.method << ", factor "
              << (report.factor_cache_hit ? "found" : "made") << "\n";
    error = std::max(error, (fit->x - x).norm() / x.norm());
    hits += report.factor_cache_hit ? 1 : 0;
  }
  const absl::Status gone = server->DeleteMatrix("example");
  if (!gone.ok()) return Fail("delete", gone);
  return error < 1e-12 && hits == 2 ? 0 : 1;
}
