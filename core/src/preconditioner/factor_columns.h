// F of a low-rank preconditioner, as F' in blocks of rows that are shared and
// never change, each in float or double.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "linalg/block.h"
#include "steelyard/matrix.h"

namespace steelyard {

template <typename T>
using SharedMatrix = std::shared_ptr<const Matrix<T>>;

using FactorBlock = std::variant<SharedMatrix<double>, SharedMatrix<float>>;

Index RowsOf(const FactorBlock& block);

struct FactorColumns {
  Index size = 0;  // n
  Index rank = 0;  // r: of the last block only some rows may count
  std::vector<FactorBlock> blocks;

  // body(j, part of a block): rows [j, j + part.rows) of F' among
  // [first_factor, first_factor + factors), columns [first, first + count); a
  // Block<const double> or a Block<const float>.
  template <class Body>
  void ForParts(Index first_factor, Index factors, Index first, Index count,
                const Body& body) const {
    const Index last = std::min(rank, first_factor + factors);
    Index row = 0;
    for (const FactorBlock& block : blocks) {
      if (row >= last) return;
      const Index begin = std::max(row, first_factor);
      const Index end = std::min(row + RowsOf(block), last);
      if (begin < end) {
        std::visit(
            [&](const auto& matrix) {
              body(begin, BlockOf(*matrix).Part(begin - row, first, end - begin,
                                                count));
            },
            block);
      }
      row += RowsOf(block);
    }
  }

  // Columns [first, first + count) of rows [first_factor, first_factor +
  // factors) of F', copied.
  template <typename T>
  void CopyPart(Index first_factor, Index factors, Index first, Index count,
                T* out) const {
    ForParts(first_factor, factors, first, count,
             [&](Index row, const auto& part) {
               for (Index j = 0; j < part.rows; ++j) {
                 T* const to = out + (row + j - first_factor) * count;
                 for (Index i = 0; i < count; ++i) {
                   to[i] = static_cast<T>(part(j, i));
                 }
               }
             });
  }

  // These rows are kept in float.
  bool IsFloat32(Index first_factor, Index factors) const;
  std::int64_t bytes() const;
};

}  // namespace steelyard
