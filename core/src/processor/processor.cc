#include "steelyard/processor.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include <cblas.h>
#include <hwy/targets.h>

#include "absl/strings/str_cat.h"

namespace steelyard {
namespace {

// The SIMD targets that a user may force, best first.
struct NamedTarget {
  std::string_view name;
  std::int64_t targets;
};

constexpr NamedTarget kForcedTargets[] = {
    {"avx3", HWY_AVX3 | HWY_AVX2 | HWY_SSE4 | HWY_SSSE3},
    {"avx2", HWY_AVX2 | HWY_SSE4 | HWY_SSSE3},
    {"sse4", HWY_SSE4 | HWY_SSSE3},
};

std::int64_t BestTarget() {
  const std::int64_t supported = hwy::SupportedTargets();
  return supported & -supported;  // lower bits are better targets
}

absl::Status ForceTarget(std::string_view wanted) {
  for (const NamedTarget& target : kForcedTargets) {
    if (target.name != wanted) continue;
    const std::int64_t best = target.targets & -target.targets;
    if ((hwy::SupportedTargets() & best) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("STEELYARD_CPU is ", std::string(wanted),
                       "; this processor does not support it"));
    }
    hwy::SetSupportedTargetsForTest(target.targets & hwy::SupportedTargets());
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("STEELYARD_CPU is ", std::string(wanted),
                   "; it must be avx3, avx2 or sse4"));
}

}  // namespace

absl::Status PrepareProcessor() {
  openblas_set_num_threads(1);
  if (openblas_get_parallel() == 0) {
    return absl::FailedPreconditionError(
        "this OpenBLAS was built without threads and returns wrong numbers "
        "when several threads call it; install libopenblas0-pthread");
  }
  const char* wanted = std::getenv("STEELYARD_CPU");
  if (wanted != nullptr && *wanted != '\0') return ForceTarget(wanted);
  return absl::OkStatus();
}

std::string CpuTarget() { return hwy::TargetName(BestTarget()); }

std::string BlasDescription() {
  return absl::StrCat(openblas_get_config(), " kernel ",
                      openblas_get_corename());
}

}  // namespace steelyard
