// A regression of core and what is kept of its matrix, whatever its family.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>

#include "steelyard/attention_kernel_regression.h"
#include "steelyard/power_regression.h"
#include "steelyard/prepared_kernel.h"
#include "steelyard/prepared_matrix.h"

namespace steelyard::server {

using RegressionOptions =
    std::variant<PowerRegressionOptions, AttentionKernelOptions>;
// R of a power regression; the Cholesky factor or preconditioner of a kernel.
using RegressionFactor = std::variant<PreparedMatrix, PreparedKernel>;

// Whether there is something to keep.
bool CanPrepare(const RegressionOptions& options);
std::int64_t BytesOf(const RegressionFactor& factor);
bool Serves(const RegressionFactor& factor, const RegressionOptions& options);

// What Serves tells apart, for maps. Two kernels whose row ridges have one hash
// share a key: whoever finds a factor by its key asks Serves, too.
class FactorKey {
 public:
  FactorKey() : FactorKey(RegressionOptions()) {}
  explicit FactorKey(const RegressionOptions& options);
  auto operator<=>(const FactorKey&) const = default;

 private:
  struct Power {
    bool exponential = false;
    double ridge = 0.0;
    std::optional<PowerMethod> method;
    std::optional<SketchKind> sketch;
    std::optional<Index> sketch_rows;
    std::uint64_t seed = 0;
    auto operator<=>(const Power&) const = default;
  };
  struct Kernel {
    double scale = 1.0;
    KernelNormalization normalization = KernelNormalization::kNone;
    double ridge = 0.0;
    std::size_t row_ridge_hash = 0;
    std::optional<KernelMethod> method;
    std::optional<KernelPreconditioner> preconditioner;
    std::optional<Index> rank;
    std::uint64_t seed = 0;
    auto operator<=>(const Kernel&) const = default;
  };
  static Power KeyOf(const PowerRegressionOptions& options);
  static Kernel KeyOf(const AttentionKernelOptions& options);

  std::variant<Power, Kernel> key_;
};

}  // namespace steelyard::server
