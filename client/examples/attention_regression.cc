// attention_regression ADDRESS TENSOR_FILE [HEADS]
//
// What a head computes, learnt: of every head of a real layer, the attention
// outputs of three tokens in four are fitted by kernel regression on their
// queries, and predicted for the fourth. Scale and ridge are chosen on a
// quarter of the training tokens. Beside it the output of the training token
// whose query (key) is nearest, and the mean, whose error is 1.
#include <Eigen/Core>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include "client/examples/tensor_rows.h"

namespace client = steelyard::client;
using steelyard::examples::MatrixOf;
using steelyard::examples::OrExit;

namespace {

using Matrix = client::RowMajorMatrix;

Matrix Head(const std::string& file, const std::string& name, int head) {
  return MatrixOf(file + ":layer3." + name + "[" + std::to_string(head) + "]");
}

// softmax(Q K' / sqrt(d)) V, row by row.
Matrix Attention(const Matrix& q, const Matrix& k, const Matrix& v) {
  Matrix weights = q * k.transpose() / std::sqrt(double(k.cols()));
  for (auto row : weights.rowwise()) {
    row = (row.array() - row.maxCoeff()).exp();
    row /= row.sum();
  }
  return weights * v;
}

// Every fourth row, from row 3 on; or the others.
Matrix Split(const Matrix& all, bool fourth) {
  std::vector<Eigen::Index> rows;
  for (Eigen::Index i = 0; i < all.rows(); ++i) {
    if ((i % 4 == 3) == fourth) rows.push_back(i);
  }
  return all(rows, Eigen::all);
}

struct Fit {
  double scale, ridge;
};

// min over x of |(G + l I) x - (b - mean)|, then its values at `fresh`.
Matrix Predicted(const client::Client& server, const Matrix& rows,
                 const Matrix& b, const Matrix& fresh, const Fit& fit) {
  const auto normalization = client::KernelNormalization::kUnitDiagonal;
  const Eigen::RowVectorXd mean = b.colwise().mean();
  const Matrix target = b.rowwise() - mean;
  const auto solution = OrExit(
      server.Solve(rows, target,
                   client::AttentionKernel{.scale = fit.scale,
                                           .normalization = normalization},
                   {.ridge = fit.ridge}));
  if (solution.report.termination != client::Termination::kConverged) {
    std::cerr << client::Name(solution.report.termination) << "\n";
    std::exit(1);
  }
  const auto values = OrExit(
      server.Predict({.a = rows, .x = solution.x, .queries = fresh},
                     {.scale = fit.scale, .normalization = normalization}));
  return values.y.rowwise() + mean;
}

// Outputs of the training rows that are nearest.
Matrix Nearest(const Matrix& rows, const Matrix& b, const Matrix& fresh) {
  Matrix y(fresh.rows(), b.cols());
  for (Eigen::Index i = 0; i < fresh.rows(); ++i) {
    Eigen::Index nearest = 0;
    (rows.rowwise() - fresh.row(i)).rowwise().norm().minCoeff(&nearest);
    y.row(i) = b.row(nearest);
  }
  return y;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::cerr << "usage: attention_regression HOST:PORT FILE.safetensors "
                 "[HEADS]\n";
    return 2;
  }
  const client::Client server = OrExit(client::Client::Create(argv[1]));
  const int heads = argc == 4 ? std::atoi(argv[3]) : 12;
  std::printf(
      "layer 3, 128 held-out tokens of 512: |y - o| / |o - mean|\n\n"
      "  head  kernel regression  nearest query  nearest key  scale  ridge\n");
  for (int h = 0; h < heads; ++h) {
    const Matrix q = Head(argv[2], "queries", h);
    const Matrix k = Head(argv[2], "keys", h);
    const Matrix o = Attention(q, k, Head(argv[2], "values", h));
    const Matrix rows = Split(q, false);
    const Matrix b = Split(o, false);
    const Matrix truth = Split(o, true);
    Fit best{};
    double least = std::numeric_limits<double>::infinity();
    for (const double scale : {0.01, 0.03, 0.1}) {
      for (const double ridge : {1e-4, 1e-3, 1e-2}) {
        const Matrix y = Predicted(server, Split(rows, false), Split(b, false),
                                   Split(rows, true), {scale, ridge});
        const double error = (y - Split(b, true)).norm();
        if (error < least) best = {scale, ridge};
        least = std::min(least, error);
      }
    }
    const double spread = (truth.rowwise() - b.colwise().mean()).norm();
    const auto error = [&](const Matrix& y) {
      return (y - truth).norm() / spread;
    };
    std::printf("  %4d  %17.3f  %13.3f  %11.3f  %5.2f  %.0e\n", h,
                error(Predicted(server, rows, b, Split(q, true), best)),
                error(Nearest(rows, b, Split(q, true))),
                error(Nearest(Split(k, false), b, Split(k, true))), best.scale,
                best.ridge);
  }
}
