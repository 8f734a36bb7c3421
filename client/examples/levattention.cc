// levattention ADDRESS TENSOR_FILE
//
// What a smaller KV cache costs: softmax attention of a real layer over U + 4
// sinks + 8 local keys, against full attention, for a sweep of epsilon; beside
// keeping as many keys as U has by norm, at random and by recency.
#include <Eigen/Core>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "client/tensor_files/tensor_file.h"
#include "steelyard/client/client.h"

namespace client = steelyard::client;
namespace files = steelyard::tensor_files;

namespace {

using Matrix = client::RowMajorMatrix;
constexpr Eigen::Index kSinks = 4;
constexpr Eigen::Index kLocal = 8;

template <typename T>
T OrExit(absl::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::cerr << result.status() << "\n";
  std::exit(1);
}

// The heads of one tensor of the file.
std::vector<Matrix> Heads(const std::string& file, const std::string& name) {
  const auto tensor =
      OrExit(files::Load(OrExit(files::ParseTensorSpec(file + ":" + name))));
  const auto numbers = tensor.Doubles();
  const auto& shape = tensor.shape();
  std::vector<Matrix> heads;
  for (std::int64_t h = 0; h < shape[0]; ++h) {
    heads.push_back(Eigen::Map<const Matrix>(
        numbers.data() + h * shape[1] * shape[2], shape[1], shape[2]));
  }
  return heads;
}

// Softmax attention over the kept keys, sinks and local keys (all: every key).
Matrix Attention(const Matrix& k, const Matrix& v, const Matrix& q, bool all,
                 const std::vector<Eigen::Index>& kept) {
  Matrix weights = q * k.transpose() / std::sqrt(double(k.cols()));
  std::vector<bool> member(std::size_t(k.rows()), all);
  for (const Eigen::Index j : kept) member[std::size_t(j)] = true;
  for (Eigen::Index i = 0; i < q.rows(); ++i) {
    const double largest = weights.row(i).maxCoeff();
    for (Eigen::Index j = 0; j < k.rows(); ++j) {
      const bool seen =
          member[std::size_t(j)] || j < kSinks || std::abs(i - j) <= kLocal;
      weights(i, j) = seen ? std::exp(weights(i, j) - largest) : 0.0;
    }
    weights.row(i) /= weights.row(i).sum();
  }
  return weights * v;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: levattention HOST:PORT FILE.safetensors\n";
    return 2;
  }
  const client::Client server = OrExit(client::Client::Create(argv[1]));
  const auto keys = Heads(argv[2], "layer3.keys");
  const auto values = Heads(argv[2], "layer3.values");
  const auto queries = Heads(argv[2], "layer3.queries");
  const Eigen::Index n = keys[0].rows();
  std::cout << "relative error of the attention output, all heads together\n\n"
            << "  epsilon   kept of n          U       norm     random  "
               "recency\n";
  for (const double epsilon : {0.2, 0.1, 0.08, 0.07, 0.06, 0.05, 0.04}) {
    double error[4] = {};
    double whole = 0;
    double kept = 0;
    for (std::size_t h = 0; h < keys.size(); ++h) {
      // Softmax does not see a shift of all keys: without their mean, the set
      // is that of what it does see.
      const Matrix centred = keys[h].rowwise() - keys[h].colwise().mean();
      const auto sets =
          OrExit(server.FindUniversalSet(centred, {.epsilon = epsilon}));
      const auto& members = sets.heads[0].indices;
      std::vector<Eigen::Index> order(static_cast<std::size_t>(n));
      std::iota(order.begin(), order.end(), 0);
      std::vector<std::vector<Eigen::Index>> choices(4, order);
      const Eigen::VectorXd norms = keys[h].rowwise().norm();
      std::stable_sort(choices[1].begin(), choices[1].end(),
                       [&](auto a, auto b) { return norms[a] > norms[b]; });
      std::mt19937_64 engine(h);
      std::shuffle(choices[2].begin(), choices[2].end(), engine);
      std::reverse(choices[3].begin(), choices[3].end());
      choices[0].assign(members.begin(), members.end());
      const Matrix full = Attention(keys[h], values[h], queries[h], true, {});
      for (std::size_t c = 0; c < 4; ++c) {
        choices[c].resize(members.size());
        error[c] +=
            (Attention(keys[h], values[h], queries[h], false, choices[c]) -
             full)
                .squaredNorm();
      }
      whole += full.squaredNorm();
      kept += double(members.size()) / double(keys.size());
    }
    std::printf("  %7.2f %7.1f of %lld", epsilon, kept,
                static_cast<long long>(n));
    for (const double e : error) std::printf(" %10.4f", std::sqrt(e / whole));
    std::printf("\n");
  }
}
