#include "steelyard/attention_kernel_prediction.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/base/macros.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "factor/factor.h"
#include "kernel/cross_product.h"
#include "kernel/logits.h"
#include "linalg/stopped.h"
#include "steelyard/finite.h"
#include "steelyard/status.h"

namespace steelyard {
namespace {

// Tiles of queries between two looks at the sink: enough for the workers, few
// enough to be near the sink's rows.
constexpr Index kStageTiles = 16;
constexpr Index kStageRows = kStageTiles * kCrossTileRows;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

// One vector a row.
Matrix<double> LoadVectors(const AnyMatrixView& x,
                           const ComputeContext& context) {
  const Index n = Rows(x);
  const Index k = Cols(x);
  constexpr Index kPanelRows = 256;
  Matrix<double> vectors(k, n);
  context.workers.ParallelFor(
      (n + kPanelRows - 1) / kPanelRows, context.stop, [&](Index panel) {
        const Index first = panel * kPanelRows;
        const Index count = std::min(kPanelRows, n - first);
        Matrix<double> rows(count, k);
        LoadScaledRows(x, first, count, {}, rows.data());
        for (Index c = 0; c < k; ++c) {
          for (Index j = 0; j < count; ++j) vectors(c, first + j) = rows(j, c);
        }
      });
  return vectors;
}

absl::Status TooLong(Index row, std::string_view what, double value) {
  return ErrorWithDetail(
      absl::StatusCode::kInvalidArgument,
      absl::StrFormat("queries: row %d has %s = %g; it must be at most %g, "
                      "above which float64 logits keep no digit",
                      row, std::string(what), value, kLogitMax),
      {.reason = "FIELD_OUT_OF_RANGE",
       .field = "queries",
       .metadata = {{"row", absl::StrFormat("%d", row)}}});
}

// How far queries may be from these keys.
struct Reach {
  KernelNormalization normalization;
  double longest;          // max sqrt(s)|a|
  double longest_centred;  // max sqrt(s)|a - c|
};

Reach ReachOf(const KernelRows& keys, KernelNormalization normalization) {
  const auto longest = [](const std::vector<double>& squares) {
    return std::sqrt(*std::max_element(squares.begin(), squares.end()));
  };
  return {normalization, std::sqrt(2.0) * longest(keys.half_square),
          longest(keys.centred_square)};
}

absl::Status CheckReach(const QueryRows& queries, Index first,
                        const Reach& reach) {
  for (Index i = 0; i < queries.centred.rows(); ++i) {
    const double distance = queries.centred_square[At(i)];
    if (reach.normalization == KernelNormalization::kUnitDiagonal) {
      if (distance <= kLogitMax) continue;
      return TooLong(first + i, "s|q - c|^2, c the median key,", distance);
    }
    const double logit = std::sqrt(queries.square[At(i)]) * reach.longest;
    if (!(logit <= kLogitMax)) {
      return TooLong(first + i, "s|q||a| for some key", logit);
    }
    const double centred = std::sqrt(distance) * reach.longest_centred;
    if (!(centred <= kLogitMax)) {
      return TooLong(first + i, "s|q - c||a - c| for some key", centred);
    }
  }
  return absl::OkStatus();
}

// The first query that is out of range, and whether some need running maxima.
absl::StatusOr<bool> ScanQueries(const AnyMatrixView& queries,
                                 const KernelRows& keys,
                                 const CrossProduct& product,
                                 const Reach& reach,
                                 const ComputeContext& context) {
  const Index m = Rows(queries);
  const Index tiles = (m + kCrossTileRows - 1) / kCrossTileRows;
  std::atomic<bool> wide = false;
  std::atomic<Index> bad_tile = tiles;
  const auto load = [&](Index tile) {
    const Index first = tile * kCrossTileRows;
    return LoadQueryRows(queries, first, std::min(kCrossTileRows, m - first),
                         keys);
  };
  context.workers.ParallelFor(tiles, context.stop, [&](Index tile) {
    const QueryRows rows = load(tile);
    if (product.Wide(rows)) wide = true;
    if (CheckReach(rows, tile * kCrossTileRows, reach).ok()) return;
    Index known = bad_tile;
    while (tile < known && !bad_tile.compare_exchange_weak(known, tile)) {
    }
  });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  if (bad_tile < tiles) {
    return CheckReach(load(bad_tile), bad_tile * kCrossTileRows, reach);
  }
  return wide.load();
}

// Collects rows of y and hands them over block by block.
class RowBlocks {
 public:
  RowBlocks(Index m, Index k, const KernelPredictionOptions& options,
            const PredictionSink& sink)
      : m_(m),
        k_(k),
        block_rows_(std::min(m, options.block_rows)),
        sink_(sink) {
    Open(options.first_row);
  }

  absl::Status Add(const ScaledNumber* y, Index rows) {
    for (Index i = 0; i < rows; ++i) {
      for (Index c = 0; c < k_; ++c) Set(filled_, c, y[i * k_ + c]);
      if (++filled_ < block_.y.rows()) continue;
      const Index next = block_.first + filled_;
      if (!fits_) block_.exponents = std::move(exponents_);
      if (absl::Status taken = sink_(std::move(block_)); !taken.ok()) {
        return taken;
      }
      Open(next);
    }
    return absl::OkStatus();
  }

 private:
  void Open(Index first) {
    block_ = {.first = first,
              .y = Matrix<double>(std::min(block_rows_, m_ - first), k_)};
    exponents_.assign(At(block_.y.size()), 0);
    filled_ = 0;
    fits_ = true;
  }

  void Set(Index row, Index column, const ScaledNumber& y) {
    if (y.zero() || y.exponent < std::numeric_limits<int>::min()) return;
    if (FitsDouble({y})) {
      block_.y(row, column) =
          std::ldexp(y.mantissa, static_cast<int>(y.exponent));
      return;
    }
    fits_ = false;
    block_.y(row, column) = y.mantissa;
    exponents_[At(row * k_ + column)] = static_cast<int>(y.exponent);
  }

  Index m_;
  Index k_;
  Index block_rows_;
  const PredictionSink& sink_;
  PredictedRows block_;
  std::vector<int> exponents_;
  Index filled_ = 0;
  bool fits_ = true;
};

absl::Status Stream(const AnyMatrixView& queries, Index first_row,
                    const KernelRows& keys, const CrossProduct& product,
                    RowBlocks& blocks, const ComputeContext& context) {
  const Index m = Rows(queries);
  const Index k = product.vectors();
  std::vector<ScaledNumber> y(At(std::min(m, kStageRows) * k));
  // Tiles begin where they would have begun for a prediction of all rows.
  Index skip = first_row % kCrossTileRows;
  for (Index stage = first_row - skip; stage < m; stage += kStageRows) {
    const Index rows = std::min(kStageRows, m - stage);
    context.workers.ParallelFor(
        (rows + kCrossTileRows - 1) / kCrossTileRows, context.stop,
        [&](Index tile) {
          const Index first = tile * kCrossTileRows;
          product.Multiply(
              LoadQueryRows(queries, stage + first,
                            std::min(kCrossTileRows, rows - first), keys),
              context.stop, y.data() + first * k);
        });
    if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
    const absl::Status taken = blocks.Add(y.data() + skip * k, rows - skip);
    if (!taken.ok()) return taken;
    skip = 0;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PredictAttentionKernel(const AnyMatrixView& a,
                                    const AnyMatrixView& x,
                                    const AnyMatrixView& queries,
                                    const KernelPredictionOptions& options,
                                    const PredictionSink& sink,
                                    const ComputeContext& context) {
  ABSL_ASSERT(Rows(a) == Rows(x) && Cols(a) == Cols(queries));
  for (const auto& [matrix, field] : {std::pair{&a, "a"}, std::pair{&x, "x"},
                                      std::pair{&queries, "queries"}}) {
    absl::Status finite = CheckFinite(*matrix, field, context);
    if (!finite.ok()) return finite;
  }
  const absl::StatusOr<KernelRows> keys =
      LoadKernelRows(a, options.scale, options.normalization, context);
  if (!keys.ok()) return keys.status();
  absl::StatusOr<CrossProduct> product =
      CrossProduct::Make(*keys, options.normalization, LoadVectors(x, context),
                         options.x_exponents, context);
  if (!product.ok()) return product.status();

  const absl::StatusOr<bool> wide = ScanQueries(
      queries, *keys, *product, ReachOf(*keys, options.normalization), context);
  if (!wide.ok()) return wide.status();
  if (*wide) {
    absl::Status prepared = product->PrepareWide(context);
    if (!prepared.ok()) return prepared;
  }

  RowBlocks blocks(Rows(queries), Cols(x), options, sink);
  return Stream(queries, options.first_row, *keys, *product, blocks, context);
}

Cost CostOfKernelPrediction(Index n, Index d, Index k, Index m,
                            const KernelPredictionOptions& options,
                            int workers) {
  const auto keys = static_cast<double>(n);
  const auto cols = static_cast<double>(d);
  const auto vectors = static_cast<double>(k);
  const auto rows = static_cast<double>(m);
  Cost cost;
  // An exponential is some 20 flops; the wide road takes one a vector.
  cost.flops =
      rows * keys * (2.0 * cols + 22.0 * (vectors + 1.0)) + 8.0 * keys * cols;
  cost.bytes =
      8.0 * keys * (cols + 3.0) + CrossProduct::Bytes(n, d, k) +
      static_cast<double>(workers) * CrossProduct::WorkBytes(d, k) +
      vectors *
          (16.0 * std::min(rows, static_cast<double>(kStageRows)) +
           12.0 * std::min(rows, static_cast<double>(options.block_rows)));
  return cost;
}

}  // namespace steelyard
