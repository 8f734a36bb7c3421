// How much memory a piece of code really takes. The tests' operator new counts.
#pragma once

#include <cstdint>

namespace steelyard::test {

// Bytes held through operator new beyond those held when this was made; one at
// a time, and nothing else may run meanwhile. LAPACK's and TBB's own buffers do
// not go through operator new.
class AllocationPeak {
 public:
  AllocationPeak();
  // The most that was held at once since then.
  std::int64_t bytes() const;

 private:
  std::int64_t start_;
};

}  // namespace steelyard::test
