#include "server/factors/regression_factor.h"

#include "absl/hash/hash.h"

namespace steelyard::server {

bool CanPrepare(const RegressionOptions& options) {
  const auto* const power = std::get_if<PowerRegressionOptions>(&options);
  return power == nullptr || steelyard::CanPrepare(*power);
}

std::int64_t BytesOf(const RegressionFactor& factor) {
  return std::visit([](const auto& prepared) { return prepared.bytes(); },
                    factor);
}

bool Serves(const RegressionFactor& factor, const RegressionOptions& options) {
  if (const auto* const kernel = std::get_if<PreparedKernel>(&factor)) {
    const auto* const asked = std::get_if<AttentionKernelOptions>(&options);
    return asked != nullptr && kernel->Serves(*asked);
  }
  const auto* const asked = std::get_if<PowerRegressionOptions>(&options);
  return asked != nullptr && std::get<PreparedMatrix>(factor).Serves(*asked);
}

FactorKey::FactorKey(const RegressionOptions& options)
    : key_(std::visit(
          [](const auto& of_family) -> std::variant<Power, Kernel> {
            return KeyOf(of_family);
          },
          options)) {}

FactorKey::Power FactorKey::KeyOf(const PowerRegressionOptions& options) {
  return {.exponential = options.family == PowerFamily::kMatrixExponential,
          .ridge = options.ridge,
          .method = options.method,
          .sketch = options.sketch.kind,
          .sketch_rows = options.sketch.rows,
          .seed = options.seed.value};
}

FactorKey::Kernel FactorKey::KeyOf(const AttentionKernelOptions& options) {
  return {.scale = options.scale,
          .normalization = options.normalization,
          .ridge = options.ridge,
          .row_ridge_hash = absl::HashOf(options.row_ridge),
          .method = options.method,
          .preconditioner = options.preconditioner,
          .rank = options.preconditioner_rank,
          .seed = options.seed};
}

}  // namespace steelyard::server
