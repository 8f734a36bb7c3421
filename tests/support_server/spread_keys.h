// Keys for streams: many of norm about sqrt(d), a few that matter.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <random>

namespace steelyard::test {

using RowMajorFloats =
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Normal, n x d; 24 rows, evenly spread, are 5, 10, ..., 120 times as long:
// some of them reach epsilon 0.1 and some do not.
inline RowMajorFloats SpreadKeys(std::int64_t n, std::int64_t d,
                                 std::uint64_t seed) {
  constexpr std::int64_t kLong = 24;
  std::mt19937_64 bits(seed);
  std::normal_distribution<float> normal;
  RowMajorFloats keys(n, d);
  for (float& number : keys.reshaped()) number = normal(bits);
  for (std::int64_t k = 0; k < kLong; ++k) {
    keys.row((2 * k + 1) * n / (2 * kLong)) *= 5.0F * static_cast<float>(k + 1);
  }
  return keys;
}

}  // namespace steelyard::test
