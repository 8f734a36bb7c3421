#include "query_blocks.h"

#include <algorithm>

namespace steelyard::client {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{1} << 20;

}  // namespace

QueryCutter::QueryCutter(const TensorView& queries,
                         const std::vector<std::int64_t>& positions)
    : queries_(queries), positions_(positions) {
  const int rank = queries.rank();
  if (rank != 2 && rank != 3) return;
  if (rank == 3) heads_ = std::max<std::int64_t>(queries.extent(0), 1);
  rows_ = std::max<std::int64_t>(queries.extent(rank - 2), 1);
  const std::int64_t columns =
      std::max<std::int64_t>(queries.extent(rank - 1), 1);
  // In double: extents may be anything until the call looks at them.
  const double row_bytes = static_cast<double>(heads_) *
                           static_cast<double>(columns) *
                           static_cast<double>(BytesOf(queries.type()));
  const double fit = static_cast<double>(kBlockBytes) / row_bytes;
  rows_per_block_ =
      std::clamp<std::int64_t>(static_cast<std::int64_t>(fit), 1, rows_);
}

std::int64_t QueryCutter::RowsOf(std::int64_t number) const {
  return std::min(rows_per_block_, rows_ - number * rows_per_block_);
}

std::optional<QueryBlock> QueryCutter::Block(std::int64_t number) const {
  if (number >= blocks()) return std::nullopt;
  if (blocks() == 1) return QueryBlock{queries_, positions_};
  const std::int64_t first = number * rows_per_block_;
  const std::int64_t count = RowsOf(number);
  QueryBlock block{queries_.Rows(first, count)};
  const auto size = static_cast<std::int64_t>(positions_.size());
  block.positions.assign(positions_.begin() + std::min(first, size),
                         positions_.begin() + std::min(first + count, size));
  return block;
}

std::int64_t QueryCutter::WholeRow(std::int64_t number,
                                   std::int64_t row) const {
  const std::int64_t count = RowsOf(number);
  return row / count * rows_ + number * rows_per_block_ + row % count;
}

}  // namespace steelyard::client
