// Queries cut into blocks of at most 1 MiB, and where their answers go.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "steelyard/client/heavy_scores.h"
#include "steelyard/client/tensor_view.h"

namespace steelyard::client {

class QueryCutter {
 public:
  // m x d or G x m x d; positions: empty or m of them. Both outlive the cutter.
  QueryCutter(const TensorView& queries,
              const std::vector<std::int64_t>& positions);

  // Rows i of every head, for some i in order; nullopt after the last. A view
  // of another shape is one block, which the call then refuses.
  std::optional<QueryBlock> Block(std::int64_t number) const;

  // The row of the whole answer that row `row` of block `number` is.
  std::int64_t WholeRow(std::int64_t number, std::int64_t row) const;

  // A block does not know its place: NOT_FINITE of a block's queries is told
  // with the row among all of them. Any other status is returned as it is.
  absl::Status Located(const absl::Status& status) const;

  std::int64_t heads() const { return heads_; }
  std::int64_t rows() const { return rows_; }  // Of each head: m.
  std::int64_t blocks() const {
    return (rows_ + rows_per_block_ - 1) / rows_per_block_;
  }

 private:
  std::int64_t RowsOf(std::int64_t number) const;

  const TensorView& queries_;
  const std::vector<std::int64_t>& positions_;
  std::int64_t heads_ = 1;
  std::int64_t rows_ = 1;
  std::int64_t rows_per_block_ = 1;
};

}  // namespace steelyard::client
