#include "query_blocks.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "steelyard/client/error_detail.h"

namespace steelyard::client {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{1} << 20;

// All ones in a NaN and in an infinity, and in no other number.
std::uint64_t ExponentBits(ScalarType type) {
  switch (type) {
    case ScalarType::kFloat64:
      return 0x7ff0'0000'0000'0000;
    case ScalarType::kFloat32:
      return 0x7f80'0000;
    case ScalarType::kFloat16:
      return 0x7c00;
    case ScalarType::kBFloat16:
      return 0x7f80;
  }
  return 0;
}

bool RowIsFinite(const char* row, std::int64_t columns, std::int64_t stride,
                 ScalarType type) {
  const std::uint64_t exponent = ExponentBits(type);
  const std::int64_t bytes = BytesOf(type);
  for (std::int64_t c = 0; c < columns; ++c) {
    std::uint64_t bits = 0;  // Little-endian, as all that is served here.
    std::memcpy(&bits, row + c * stride * bytes,
                static_cast<std::size_t>(bytes));
    if ((bits & exponent) == exponent) return false;
  }
  return true;
}

// Of m x d or G x m x d, head-major.
std::optional<std::int64_t> FirstBadRow(const TensorView& queries) {
  const int rank = queries.rank();
  const std::int64_t heads = rank == 3 ? queries.extent(0) : 1;
  const std::int64_t rows = queries.extent(rank - 2);
  for (std::int64_t r = 0; r < heads * rows; ++r) {
    const std::int64_t head = rank == 3 ? r / rows * queries.stride(0) : 0;
    const std::int64_t at = head + r % rows * queries.stride(rank - 2);
    if (!RowIsFinite(static_cast<const char*>(queries.data()) +
                         at * BytesOf(queries.type()),
                     queries.extent(rank - 1), queries.stride(rank - 1),
                     queries.type())) {
      return r;
    }
  }
  return std::nullopt;
}

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

absl::Status QueryCutter::Located(const absl::Status& status) const {
  const std::optional<ErrorDetail> detail = DetailOf(status);
  if (!detail.has_value() || detail->reason != "NOT_FINITE" ||
      !absl::StartsWith(detail->field, "block.queries")) {
    return status;
  }
  std::optional<std::int64_t> bad;
  for (std::int64_t number = 0; number < blocks() && !bad; ++number) {
    bad = FirstBadRow(Block(number)->queries);
    if (bad) bad = WholeRow(number, *bad);
  }
  if (!bad) return status;
  absl::Status located(
      status.code(),
      absl::StrCat(
          status.message(), "; this is row ", *bad % rows_,
          heads_ == 1 ? std::string() : absl::StrCat(" of head ", *bad / rows_),
          " of the queries"));
  status.ForEachPayload(
      [&located](absl::string_view url, const absl::Cord& payload) {
        located.SetPayload(url, payload);
      });
  return located;
}

}  // namespace steelyard::client
