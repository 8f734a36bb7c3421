// The keys that a block of queries is multiplied with, and the products.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "factor/row_loader.h"
#include "queries/query_block.h"
#include "queries/queryable_set_data.h"

namespace steelyard {

// Keys taken at a time.
inline constexpr Index kKeyBlock = 256;

// Some keys of one head by scaled rows: those of a set, whose rows are there,
// or rows of a matrix that are read when they are needed. Safe from several
// threads; keeps references.
class ScoredKeys {
 public:
  explicit ScoredKeys(const QueryableSetData& set)
      : indices_(&set.indices),
        stored_(&set.keys),
        count_(static_cast<Index>(set.indices.size())) {}

  // Rows of scaled keys and their indices.
  ScoredKeys(const Matrix<double>& rows, const std::vector<Index>& indices)
      : indices_(&indices), stored_(&rows), count_(rows.rows()) {}

  // The rows `indices` of `keys`, which ascend; nullptr: all of them. Columns
  // are scaled by 2^-exponents.
  ScoredKeys(const AnyMatrixView& keys, const std::vector<int>& exponents,
             const std::vector<Index>* indices)
      : indices_(indices),
        rows_(std::in_place, keys, exponents),
        count_(indices == nullptr ? Rows(keys)
                                  : static_cast<Index>(indices->size())) {}

  Index count() const { return count_; }
  Index index(Index u) const {
    return indices_ == nullptr ? u : (*indices_)[static_cast<std::size_t>(u)];
  }

  // Rows first, first + 1, ... where they are, or in `work`, count x d.
  Block<const double> Load(Index first, Index count, double* work) const;

 private:
  const std::vector<Index>* indices_;
  const Matrix<double>* stored_ = nullptr;
  std::optional<RowLoader> rows_;
  Index count_;
};

// |q_s' k_s| of the block's queries with `count` keys from `first` on.
struct ProductBlock {
  Index first = 0;
  Index count = 0;
  const double* products = nullptr;   // queries x count, signed
  const double* key_norms = nullptr;  // of the scaled keys

  double product(Index query, Index u) const {
    return products[query * count + u];
  }
};

// Numbers of scratch that ForEachProduct needs.
Index ProductScratch(Index d);

// Calls body for the keys [first, last), kKeyBlock at a time, in order. Looks
// at `stop` before each.
// COST  2 d flops a product.
void ForEachProduct(const ScoredKeys& keys, Index first, Index last,
                    const QueryBlock& block, Index d, const StopToken& stop,
                    double* work,
                    absl::FunctionRef<void(const ProductBlock&)> body);

// What rounding may have taken from |<q, k>|, both scaled: (d + 2) u |q| |k|.
double ProductRounding(Index d);

}  // namespace steelyard
