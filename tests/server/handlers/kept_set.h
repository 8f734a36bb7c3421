// A universal set in a registry, found from normal keys.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/sets/set_registry.h"
#include "steelyard/queryable_set.h"
#include "steelyard/random.h"

namespace steelyard::test {

struct KeptKeys {
  Index n = 40;
  Index d = 3;
  Index heads = 1;
  std::uint64_t seed = 5;
  UniversalSetOptions options = {.epsilon = 0.05};
};

inline std::vector<Matrix<double>> NormalKeys(const KeptKeys& kept) {
  const RandomStream random{.seed = {kept.seed}};
  std::vector<Matrix<double>> heads;
  std::uint64_t next = 0;
  for (Index h = 0; h < kept.heads; ++h) {
    Matrix<double> keys(kept.n, kept.d);
    for (Index i = 0; i < keys.size(); ++i)
      keys.data()[i] = random.Normal(next++);
    heads.push_back(std::move(keys));
  }
  return heads;
}

inline std::vector<AnyMatrixView> ViewsOf(
    const std::vector<Matrix<double>>& matrices) {
  std::vector<AnyMatrixView> views;
  for (const Matrix<double>& matrix : matrices) views.push_back(matrix.view());
  return views;
}

inline void KeepSet(server::SetRegistry& registry, const std::string& id,
                    const KeptKeys& kept) {
  const Workers workers(1);
  const std::vector<Matrix<double>> keys = NormalKeys(kept);
  auto heads =
      FindQueryableSets(ViewsOf(keys), kept.options, {.workers = workers});
  ASSERT_TRUE(heads.ok()) << heads.status();
  double bytes = 0.0;
  for (const QueryableSet& head : *heads) bytes += head.bytes();
  auto claim =
      registry.Claim({.id = id, .ttl = absl::Minutes(1), .bytes = bytes});
  ASSERT_TRUE(claim.ok()) << claim.status();
  std::move(*claim).Keep(std::make_unique<server::FoundSet>(
      server::SetDescription{.heads = kept.heads,
                             .columns = kept.d,
                             .epsilon = kept.options.epsilon,
                             .top_m = kept.options.top_m,
                             .function = kept.options.function,
                             .causal = kept.options.causal},
      *std::move(heads),
      std::vector<Index>(static_cast<std::size_t>(kept.heads), kept.n)));
}

}  // namespace steelyard::test
