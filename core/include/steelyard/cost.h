// What a computation will take, from its shapes alone, before anything is
// allocated.
#pragma once

namespace steelyard {

struct Cost {
  double flops = 0.0;   // floating-point operations, an upper estimate
  double bytes = 0.0;   // memory beyond the inputs, an upper bound

  Cost& operator+=(const Cost& other) {
    flops += other.flops;
    bytes += other.bytes;
    return *this;
  }
};

}  // namespace steelyard
