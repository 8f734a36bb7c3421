// Runs a piece of a test on every SIMD target that this processor has.
#pragma once

#include <hwy/targets.h>

#include <cstdint>

#include "gtest/gtest.h"

namespace steelyard::test {

template <class Body>
void OnEveryTarget(const Body& body) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().DeInit();
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
}

}  // namespace steelyard::test
