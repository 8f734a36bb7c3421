#include "preconditioner/factor_columns.h"

namespace steelyard {

Index RowsOf(const FactorBlock& block) {
  return std::visit([](const auto& matrix) { return matrix->rows(); }, block);
}

bool FactorColumns::IsFloat32(Index first_factor, Index factors) const {
  bool all = true;
  ForParts(first_factor, factors, 0, 0, [&](Index, const auto& part) {
    all &= sizeof(*part.data) == sizeof(float);
  });
  return all;
}

std::int64_t FactorColumns::bytes() const {
  std::int64_t total = 0;
  for (const FactorBlock& block : blocks) {
    total += std::visit(
        [](const auto& matrix) {
          return matrix->size() *
                 static_cast<std::int64_t>(sizeof(*matrix->data()));
        },
        block);
  }
  return total;
}

}  // namespace steelyard
