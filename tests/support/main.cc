// The main of every test executable: the BLAS must be safe before any thread
// exists.
#include <cstdio>

#include <gmock/gmock.h>

#include "steelyard/processor.h"

int main(int argc, char** argv) {
  const absl::Status ready = steelyard::PrepareProcessor();
  if (!ready.ok()) {
    std::fprintf(stderr, "%s\n", ready.ToString().c_str());
    return 1;
  }
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
