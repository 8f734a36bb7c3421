// find_universal_set ADDRESS
//
// Which of 2,000 keys can ever get a quarter of some query's attention? Then:
// who does, for three queries.
#include <Eigen/Core>
#include <algorithm>
#include <iostream>

#include "steelyard/client/client.h"

namespace client = steelyard::client;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: find_universal_set HOST:PORT\n";
    return 2;
  }
  const auto server = client::Client::Create(argv[1]);
  if (!server.ok()) {
    std::cerr << server.status() << "\n";
    return 1;
  }

  // Small keys everywhere, and two long ones along axes of their own: only
  // those can stand out. Float32, column-major: any Eigen matrix will do.
  Eigen::MatrixXf keys = 0.01F * Eigen::MatrixXf::Random(2000, 16);
  keys.row(7) = 3.0F * Eigen::RowVectorXf::Unit(16, 0);
  keys.row(1234) = 5.0F * Eigen::RowVectorXf::Unit(16, 3);

  const auto sets = server->FindUniversalSet(keys, {.epsilon = 0.25});
  if (!sets.ok()) {
    std::cerr << sets.status() << "\n";
    return 1;
  }
  const client::UniversalSet& set = sets->heads.front();
  std::cout << set.indices.size() << " of " << set.keys
            << " keys can reach a score of " << set.epsilon
            << " (no more than rank / epsilon = " << set.size_bound
            << " ever could); no other key gets above " << set.effective_epsilon
            << "\n";
  for (std::size_t i = 0; i < set.indices.size(); ++i) {
    std::cout << "  key " << set.indices[i] << " up to " << set.sensitivities[i]
              << "\n";
  }

  // Double queries against float keys: types may be mixed.
  Eigen::MatrixXd queries = Eigen::MatrixXd::Ones(3, 16);
  queries.row(1) = Eigen::RowVectorXd::Unit(16, 3);
  queries.row(2) = Eigen::RowVectorXd::Unit(16, 9);
  const auto heavy = server->QueryHeavy(keys, queries, {.epsilon = 0.25});
  if (!heavy.ok()) {
    std::cerr << heavy.status() << "\n";
    return 1;
  }
  for (std::size_t i = 0; i < heavy->rows.size(); ++i) {
    const client::HeavyRow& row = heavy->rows[i];
    std::cout << "query " << i << ":";
    for (std::size_t k = 0; k < row.indices.size(); ++k) {
      std::cout << " key " << row.indices[k] << " scores " << row.scores[k];
      // The promise of a universal set: every heavy key is one of its members.
      if (!std::binary_search(set.indices.begin(), set.indices.end(),
                              row.indices[k])) {
        std::cerr << "key " << row.indices[k] << " is not in the set\n";
        return 1;
      }
    }
    std::cout << (row.indices.empty() ? " nobody\n" : "\n");
  }
}
