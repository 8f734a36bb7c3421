// attention_kernel ADDRESS
//
// Solves (K + l I) x = b with the attention kernel K = exp(A A' / sqrt(d)) of
// 200 tokens: first without a ridge, and if the server says that this cannot be
// solved, with one. Shows progress, and stops on Ctrl-C.
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <csignal>
#include <iostream>
#include <stop_token>
#include <thread>

#include "steelyard/client/client.h"

namespace client = steelyard::client;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: attention_kernel HOST:PORT\n";
    return 2;
  }
  // A thread of its own waits for Ctrl-C and stops the call that is under way.
  // The mask comes first: threads that the client starts inherit it.
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);
  std::stop_source stop;
  std::thread([interrupt, stop]() mutable {
    int signal = 0;
    sigwait(&interrupt, &signal);
    stop.request_stop();
  }).detach();

  client::ClientOptions options;
  options.deadlines.stream_solve = client::Seconds(120.0);
  const auto server = client::Client::Create(argv[1], options);
  if (!server.ok()) {
    std::cerr << server.status() << "\n";
    return 1;
  }

  Eigen::MatrixXf tokens = Eigen::MatrixXf::Random(200, 32);
  tokens.row(199) = tokens.row(0);  // A token twice: K is singular.
  const Eigen::VectorXd b = Eigen::VectorXd::Random(200);
  const client::AttentionKernel kernel{.scale = 1.0 / std::sqrt(32.0)};

  client::SolveOptions solve{.tolerance = 1e-9};
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto answer = server->StreamSolve(
        tokens, b, kernel, solve,
        [](const client::Progress& progress) {
          std::cerr << progress.phase << " " << progress.iteration << ", "
                    << 100.0 * progress.fraction.value_or(0.0) << " %\n";
        },
        {.stop = stop.get_token()});
    if (!answer.ok()) {
      std::cerr << answer.status() << "\n";
      return 1;
    }
    const client::SolveReport& report = answer->report;
    std::cout << client::Name(report.termination) << " after "
              << report.iterations << " iterations: relative residual "
              << report.relative_residual.front() << ", ridge "
              << solve.ridge.value_or(0.0) << "\n";
    if (report.termination == client::Termination::kConverged) return 0;
    if (report.termination != client::Termination::kIllConditioned) return 1;
    const double smallest = std::exp(report.log_smallest_ridge);
    std::cout << "  not without a ridge of at least " << smallest << "\n";
    // Just enough would be solved, but with no digits to spare.
    solve.ridge = std::max(1e-3, 2.0 * smallest);
  }
  return 1;
}
