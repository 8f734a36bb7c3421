// kernel_preconditioners ADDRESS TENSOR...
//
// Which preconditioner wins for (G + 0.01 I) x = b, G = exp(-s |a_i - a_j|^2 /
// 2), and why: for each matrix n x d (as keys.npy or
// model.safetensors:layer0.keys[3]) and two scales, the steps to 1e-8 with each
// one, and what the server chooses by trying. Beside it what decides: the
// condition of G + 0.01 I (steps grow like its root, diagonals do not change
// it), what is left of it behind the largest eigenvalues, as many as the factor
// has columns, and how far the rows lie from their centre (beyond 30 no
// sketch).
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include "client/examples/tensor_rows.h"

namespace client = steelyard::client;
using steelyard::examples::MatrixOf;
using steelyard::examples::OrExit;

namespace {

using Matrix = client::RowMajorMatrix;
using client::Preconditioner;
constexpr double kRidge = 0.01;

// Eigenvalues of G + 0.01 I, ascending, and max s |a - centre|^2.
struct Rows {
  Eigen::VectorXd spectrum;
  double radius = 0.0;

  double ConditionBehind(Eigen::Index largest) const {
    const Eigen::Index last = spectrum.size() - 1 - largest;
    return spectrum(std::max<Eigen::Index>(last, 0)) / spectrum(0);
  }
};

Rows Examined(const Matrix& a, double scale) {
  const Matrix centred = a.rowwise() - a.colwise().mean();
  const Eigen::VectorXd h = scale * centred.rowwise().squaredNorm();
  Eigen::MatrixXd g = scale * centred * centred.transpose();
  g.colwise() -= h / 2;
  g.rowwise() -= h.transpose() / 2;
  g = g.array().exp();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(
      g, Eigen::EigenvaluesOnly);
  return {solver.eigenvalues().array().max(0.0) + kRidge, h.maxCoeff()};
}

// Where the report names what was used.
std::string Chosen(const std::string& method) {
  const std::string mark = "preconditioner: ";
  const std::size_t begin = method.find(mark);
  if (begin == std::string::npos) return method;
  const std::size_t end = method.find(", n =", begin);
  return method.substr(begin + mark.size(), end - begin - mark.size());
}

class Kernel {
 public:
  Kernel(const client::Client& server, const Matrix& a, double scale)
      : server_(server), a_(a), b_(a.rows()), scale_(scale) {
    std::mt19937_64 engine(1);
    for (double& entry : b_) entry = double(engine() % 2000) / 1000.0 - 1.0;
  }

  // "31", or "-" where it does not converge or does not fit.
  std::string Steps(Preconditioner one) const {
    const auto answer = Solve(one);
    if (!answer.ok() ||
        answer->report.termination != client::Termination::kConverged) {
      return "-";
    }
    return std::to_string(answer->report.iterations);
  }
  absl::StatusOr<client::Solution> Solve(Preconditioner one) const {
    return server_.Solve(
        a_, b_,
        client::AttentionKernel{
            .scale = scale_,
            .normalization = client::KernelNormalization::kUnitDiagonal,
            .preconditioner = one},
        {.seed = 1,
         .method = client::Method::kConjugateGradient,
         .ridge = kRidge});
  }

 private:
  const client::Client& server_;
  const Matrix& a_;
  Eigen::VectorXd b_;
  double scale_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: kernel_preconditioners HOST:PORT TENSOR...\n";
    return 2;
  }
  const client::Client server = OrExit(client::Client::Create(argv[1]));
  for (int i = 2; i < argc; ++i) {
    const Matrix a = MatrixOf(argv[i]);
    std::cout << argv[i] << ", " << a.rows() << " x " << a.cols() << "\n";
    for (const double factor : {1.0, 8.0}) {
      const double scale = factor / std::sqrt(double(a.cols()));
      const Rows rows = Examined(a, scale);
      const Kernel kernel(server, a, scale);
      const auto chosen = OrExit(kernel.Solve(Preconditioner::kAutomatic));
      Eigen::Index rank = 0;  // The largest that was tried.
      for (const auto& trial : chosen.report.trials) {
        rank = std::max<Eigen::Index>(rank, trial.rank);
      }
      std::printf(
          "  s = %.3f: condition %.3g, behind %d eigenvalues %.3g, farthest "
          "row "
          "%.1f\n"
          "    steps: none %s, jacobi %s, rpcholesky %s, polynomial sketch %s\n"
          "    chosen, %d steps: %s\n",
          scale, rows.ConditionBehind(0), int(rank), rows.ConditionBehind(rank),
          rows.radius, kernel.Steps(Preconditioner::kNone).c_str(),
          kernel.Steps(Preconditioner::kJacobi).c_str(),
          kernel.Steps(Preconditioner::kRpCholesky).c_str(),
          kernel.Steps(Preconditioner::kPolynomialSketch).c_str(),
          chosen.report.iterations, Chosen(chosen.report.method).c_str());
      for (const client::PreconditionerTrial& trial : chosen.report.trials) {
        std::printf("      tried %s, rank %d: residual x %.3g a step\n",
                    client::Name(trial.preconditioner).c_str(), trial.rank,
                    trial.contraction);
      }
    }
  }
}
