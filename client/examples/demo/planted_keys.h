// A million keys of which we know the ones that matter.
//
// n keys of N(0, I / d), among them d orthogonal ones: eight just above the
// norm at which a key reaches epsilon, for each epsilon of 0.1, 0.2 and 0.4,
// and eight just below that of 0.1.
//
//     rho*^2 = epsilon nu / (1 - epsilon),  nu = n / d
//
// RANDOMNESS  Counter-based: entry i depends on the seed and i alone.
// SOURCE      NUMERICS N9.
#pragma once

#include <cstdint>
#include <vector>

#include <Eigen/Core>

#include "client/tensor_files/stored_tensor.h"

namespace steelyard::demo {

inline constexpr int64_t kPlantedColumns = 32;
inline constexpr int64_t kPlantedEach = 8;

struct PlantedKeys {
  tensor_files::StoredTensor keys;  // n x 32, float16.
  std::vector<int64_t> positions;   // Of the planted keys; the last 8 below.
};

// n >= 1000 d.
PlantedKeys MakePlantedKeys(int64_t n, uint64_t seed);

// How many of the planted keys reach epsilon, one of 0.1, 0.2, 0.4.
int64_t PlantedAbove(double epsilon);

// Standard normal number `counter` of the sequence of `seed`.
double NormalAt(uint64_t seed, uint64_t counter);

}  // namespace steelyard::demo
