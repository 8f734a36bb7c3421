// What this process computes with.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace steelyard {

// Call first thing in every main, before any thread exists: one BLAS thread a
// worker, and a check that this OpenBLAS may be called from several threads.
// FAILED_PRECONDITION when it was built without locks (openblas_get_parallel()
// is 0: such a build returns wrong numbers). Also applies STEELYARD_CPU, which
// forces a SIMD target ("avx3", "avx2", "sse4"); INVALID_ARGUMENT when it is
// unknown or not supported by this processor.
absl::Status PrepareProcessor();

// SIMD target of our kernels: "AVX3", "AVX2", ...
std::string CpuTarget();

// Library, version and kernel of the BLAS.
std::string BlasDescription();

}  // namespace steelyard
