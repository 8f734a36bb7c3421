// The planted model of LevAttention: a few keys that matter among many that do
// not.
//
//     s orthogonal keys of norm rho among n keys; the others N(0, sigma^2/d I).
//
//   The others give K'K ~ nu I, nu = n sigma^2 / d, so a planted key has
//   leverage rho^2 / (nu + rho^2): it reaches epsilon at
//       rho* = sqrt(epsilon nu / (1 - epsilon)),
//   while another key has about sigma^2 / nu = d / n.
//
//     const PlantedKeys planted = MakePlantedKeys(
//         {.n = 10000, .d = 64, .planted = 32, .ratio = 1.1, .epsilon = 0.1});
//     FindUniversalSet(planted.keys.view(), {.epsilon = 0.1}, context);
//
// SOURCE  NUMERICS N9. [KBKW25] LevAttention, section 4.
#pragma once

#include <cstdint>
#include <vector>

#include "steelyard/matrix.h"

namespace steelyard::test {

struct PlantedModel {
  Index n = 0;
  Index d = 0;
  Index planted = 0;  // s <= d
  double sigma = 1.0;
  // rho / rho* for this epsilon.
  double ratio = 1.0;
  double epsilon = 0.1;
  std::uint64_t seed = 0;
};

struct PlantedKeys {
  Matrix<double> keys;
  std::vector<Index> positions;  // of the planted keys, ascending
  double rho = 0.0;              // their norm
};

double PlantedThreshold(const PlantedModel& model);  // rho*
PlantedKeys MakePlantedKeys(const PlantedModel& model);

// What a set makes of them.
struct PlantedRecovery {
  double recovered = 0.0;  // share of the planted keys that are members
  Index others = 0;        // members that were not planted
};
PlantedRecovery RecoveryOf(const PlantedKeys& planted,
                           const std::vector<Index>& members);

}  // namespace steelyard::test
