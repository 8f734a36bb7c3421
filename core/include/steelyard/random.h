// Counter-based random numbers: element i of stream s is a pure function of
// (seed, s, i), so that answers do not depend on order or threads.
//
// SOURCE  Salmon et al., Parallel random numbers: as easy as 1, 2, 3. SC 2011.
//   Philox2x64-10 from Random123.
#pragma once

#include <cstdint>

namespace steelyard {

struct Seed {
  std::uint64_t value = 0;
};

// 128 uniform bits.
struct RandomBits {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};

// One independent sequence of a seed.
struct RandomStream {
  Seed seed;
  std::uint64_t stream = 0;

  // 64 uniform bits.
  std::uint64_t Bits(std::uint64_t index) const;
  // Those, and 64 more.
  RandomBits BitPair(std::uint64_t index) const;
  // Uniform in (0, 1).
  double Uniform(std::uint64_t index) const;
  // -1 or +1.
  double Sign(std::uint64_t index) const;
  // Standard normal (Box-Muller of the two halves of element `index`).
  double Normal(std::uint64_t index) const;
};

}  // namespace steelyard
