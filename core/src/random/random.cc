#include "steelyard/random.h"

#include <cmath>
#include <numbers>

#include <Random123/philox.h>

namespace steelyard {
namespace {

// The top 53 bits as a number in (0, 1): never 0, never 1.
double ToUniform(std::uint64_t bits) {
  return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53;
}

}  // namespace

std::uint64_t RandomStream::Bits(std::uint64_t index) const {
  return BitPair(index).first;
}

RandomBits RandomStream::BitPair(std::uint64_t index) const {
  using Philox = r123::Philox2x64;
  const Philox::ctr_type counter = {{index, stream}};
  const Philox::key_type key = {{seed.value}};
  const Philox::ctr_type bits = Philox()(counter, key);
  return {bits[0], bits[1]};
}

double RandomStream::Uniform(std::uint64_t index) const {
  return ToUniform(Bits(index));
}

double RandomStream::Sign(std::uint64_t index) const {
  return (Bits(index) & 1) != 0 ? 1.0 : -1.0;
}

double RandomStream::Normal(std::uint64_t index) const {
  const RandomBits bits = BitPair(index);
  const double radius = std::sqrt(-2.0 * std::log(ToUniform(bits.first)));
  return radius * std::cos(2.0 * std::numbers::pi * ToUniform(bits.second));
}

}  // namespace steelyard
