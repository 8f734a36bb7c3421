// solve_power_regression ADDRESS
//
// Solves (A'A)^2 x = b, and fits b by least squares, and reads the
// certificates.
#include <Eigen/Core>
#include <iostream>

#include "steelyard/client/client.h"

namespace client = steelyard::client;

namespace {

// True when there is an answer and it can be relied on.
bool Report(const char* name, const absl::StatusOr<client::Solution>& answer) {
  if (!answer.ok()) {
    // A refusal names the field and the rule; DetailOf takes it apart.
    std::cerr << name << ": " << answer.status().message() << "\n";
    if (const auto detail = client::DetailOf(answer.status())) {
      std::cerr << "  reason " << detail->reason << ", field " << detail->field
                << ", request id " << detail->request_id << "\n";
    }
    return false;
  }
  // OK says that there is an answer. How good it is, says the report.
  const client::SolveReport& report = answer->report;
  std::cout << name << ": " << client::Name(report.termination) << " by "
            << report.method << "\n  relative residual "
            << report.relative_residual.front() << " (float64 can do "
            << report.residual_floor.front() << "), x is right to about "
            << report.forward_error.front() << "\n";
  return report.termination == client::Termination::kConverged;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: solve_power_regression HOST:PORT\n";
    return 2;
  }
  const auto server = client::Client::Create(argv[1]);
  if (!server.ok()) {
    std::cerr << server.status() << "\n";
    return 1;
  }

  const Eigen::MatrixXd a = Eigen::MatrixXd::Random(300, 8);
  const Eigen::VectorXd x = Eigen::VectorXd::LinSpaced(8, 1.0, 8.0);
  const Eigen::MatrixXd gram = a.transpose() * a;
  const Eigen::VectorXd b = gram * (gram * x);

  const auto power = server->Solve(a, b, client::GramPower{.exponent = 2});
  if (!Report("(A'A)^2 x = b", power)) return 1;
  std::cout << "  x = " << power->x.transpose() << "\n";

  // Exponent 0 is least squares: A x should be near A * (1, ..., 8) + noise.
  const Eigen::VectorXd noisy = a * x + 0.01 * Eigen::VectorXd::Random(300);
  const auto fit = server->Solve(a, noisy, client::LeftGramPower{.exponent = 0},
                                 {.ridge = 1e-6});
  if (!Report("min |A x - b|", fit)) return 1;
  std::cout << "  x = " << fit->x.transpose() << "\n";

  // The noise is 0.01 at most, and A far from singular.
  const double error = (fit->x - x).norm() / x.norm();
  return error < 0.01 ? 0 : 1;
}
