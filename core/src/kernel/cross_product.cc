#include "kernel/cross_product.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numbers>
#include <utility>

#include "kernel/exp_tile.h"
#include "kernel/fused_tile.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

// Of a GEMM; of a fused tile, so that they stay in the second cache.
constexpr Index kTileColumns = 256;
constexpr Index kFusedTileStrips = 10;
// Logits that are this far apart leave products with vectors in range: e^-300
// of a number in [0.5, 1) is far above what underflows.
constexpr double kNarrowMax = 300.0;
// Exponents of one key in the vectors of a group, apart.
constexpr std::int64_t kGroupBits = 200;
// Groups that a vector is held against before it opens its own.
constexpr std::size_t kGroupsTried = 8;
// e^ this and what is below is 0: no exponent of 32 bits holds it.
constexpr double kLogScaleMin = -1e10;
// From here a GEMM multiplies a tile faster than dot products do.
constexpr Index kGemmVectors = 8;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

double Shifted(double mantissa, std::int64_t shift) {
  constexpr std::int64_t kShiftMax = 4000;
  return std::ldexp(mantissa,
                    static_cast<int>(std::clamp(shift, -kShiftMax, kShiftMax)));
}

// E V' of a tile of logits; V is vectors x n.
struct TileVectors {
  const double* data = nullptr;
  Index count = 0;
  Index stride = 0;
};

// sums(c, i) += sum_j E_ij v(c, j)
void AddTile(const ExpTile<double>& tile, const TileVectors& v,
             Block<double> sums) {
  if (v.count < kGemmVectors) {
    MultiplyExpTile(tile, {.vectors = v.count,
                           .right = v.data,
                           .right_stride = v.stride,
                           .row_sums = sums.data,
                           .row_stride = sums.stride});
    return;
  }
  ExponentiateTile(tile);
  Gemm(1.0, Block<const double>{v.data, v.count, tile.cols, v.stride},
       Transposed(
           Block<const double>{tile.logits, tile.rows, tile.cols, tile.stride}),
       1.0, sums);
}

// The largest logit + offset of a row so far; its sums follow.
void RaiseTop(const double* logits, const double* offset, Index count,
              double& top, Block<double> sums, Index row) {
  double most = top;
  for (Index j = 0; j < count; ++j) {
    most = std::max(most, logits[j] + offset[j]);
  }
  if (most == top) return;
  const double factor = std::exp(top - most);
  for (Index c = 0; c < sums.rows; ++c) sums(c, row) *= factor;
  top = most;
}

}  // namespace

// Of a tile of queries: the sum of (i, c) is sums(c, i) e^top 2^exponent.
struct CrossProduct::Sums {
  Sums(Index vectors, Index rows)
      : sums(vectors, rows), top(vectors, rows), exponents(At(vectors)) {}
  Matrix<double> sums;
  Matrix<double> top;
  std::vector<std::int64_t> exponents;
};

CrossProduct::CrossProduct(const KernelRows& keys,
                           KernelNormalization normalization, Matrix<double> x,
                           std::vector<int> x_exponents)
    : keys_(keys),
      normalization_(normalization),
      vectors_(x.rows()),
      ones_(normalization == KernelNormalization::kSoftmaxRows ? 1 : 0),
      strips_((x.cols() + kFusedStrip<double> - 1) / kFusedStrip<double>),
      z_(ones_ + x.rows(), strips_ * kFusedStrip<double>),
      exponents_(At(ones_ + x.rows())),
      entry_exponents_(std::move(x_exponents)),
      x_(std::move(x)),
      offset_(keys.centre_logit) {
  if (normalization == KernelNormalization::kUnitDiagonal) {
    std::transform(keys.centred_square.begin(), keys.centred_square.end(),
                   offset_.begin(), [](double q) { return -0.5 * q; });
  }
  const auto [least, most] =
      std::minmax_element(offset_.begin(), offset_.end());
  offset_least_ = *least;
  offset_most_ = *most;
  square_most_ =
      *std::max_element(keys.centred_square.begin(), keys.centred_square.end());
  packed_.resize(At(z_.cols() * keys.cols()));
  packed_offset_.resize(At(z_.cols()), kNoRow);
  std::transform(offset_.begin(), offset_.end(), packed_offset_.begin(),
                 [](double offset) { return offset * std::numbers::log2e; });
}

absl::StatusOr<CrossProduct> CrossProduct::Make(
    const KernelRows& keys, KernelNormalization normalization, Matrix<double> x,
    std::vector<int> x_exponents, const ComputeContext& context) {
  CrossProduct product(keys, normalization, std::move(x),
                       std::move(x_exponents));
  context.workers.ParallelFor(product.z_.rows(), context.stop,
                              [&](Index vector) { product.Scale(vector); });
  constexpr Index kTogether = 16;
  context.workers.ParallelFor((product.strips_ + kTogether - 1) / kTogether,
                              context.stop, [&](Index task) {
                                const Index last = std::min(
                                    product.strips_, (task + 1) * kTogether);
                                for (Index s = task * kTogether; s < last; ++s)
                                  product.PackStrip(s);
                              });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  return product;
}

void CrossProduct::Scale(Index vector) {
  const Index n = keys_.rows();
  std::int64_t most = std::numeric_limits<std::int64_t>::min();
  for (Index j = 0; j < n; ++j) {
    const ScaledNumber entry = Entry(vector, j);
    if (!entry.zero()) most = std::max(most, entry.exponent);
  }
  exponents_[At(vector)] = most;
  for (Index j = 0; j < n; ++j) {
    const ScaledNumber entry = Entry(vector, j);
    z_(vector, j) =
        entry.zero() ? 0.0 : Shifted(entry.mantissa, entry.exponent - most);
  }
}

void CrossProduct::PackStrip(Index strip) {
  const Index d = keys_.cols();
  const Index first = strip * kFusedStrip<double>;
  PackFusedStrip(keys_.centred.row(first), d,
                 std::min(kFusedStrip<double>, keys_.rows() - first), d,
                 packed_.data() + first * d);
}

ScaledNumber CrossProduct::Entry(Index vector, Index key) const {
  if (vector < ones_) return {0.5, 1};
  const Index c = vector - ones_;
  return MakeScaled(x_(c, key), entry_exponents_.empty()
                                    ? 0
                                    : entry_exponents_[At(key * vectors_ + c)]);
}

double CrossProduct::TopBound(double centred_square) const {
  return std::sqrt(centred_square) * std::sqrt(square_most_) + offset_most_;
}

bool CrossProduct::Wide(const QueryRows& queries) const {
  return std::any_of(
      queries.centred_square.begin(), queries.centred_square.end(),
      [&](double square) {
        const double top = TopBound(square);
        return !(2.0 * (top - offset_most_) + offset_most_ - offset_least_ <=
                 kNarrowMax);
      });
}

bool CrossProduct::Joins(const Group& group, Index vector) const {
  const Index first = group.vectors.front();
  for (Index j = 0; j < keys_.rows(); ++j) {
    const ScaledNumber theirs = Entry(first, j);
    const ScaledNumber ours = Entry(vector, j);
    if (theirs.zero() != ours.zero()) return false;
    if (!ours.zero() &&
        std::abs(theirs.exponent - ours.exponent) > kGroupBits) {
      return false;
    }
  }
  return true;
}

CrossProduct::Group CrossProduct::OpenGroup(Index vector) const {
  const Index n = keys_.rows();
  Group group;
  group.vectors = {vector};
  group.offset.resize(At(n));
  for (Index j = 0; j < n; ++j) {
    const ScaledNumber entry = Entry(vector, j);
    group.offset[At(j)] =
        entry.zero() ? kLogOfZero
                     : offset_[At(j)] + static_cast<double>(entry.exponent) *
                                            std::numbers::ln2;
  }
  return group;
}

absl::Status CrossProduct::PrepareWide(const ComputeContext& context) {
  const Index n = keys_.rows();
  for (Index v = 0; v < ones_ + vectors_; ++v) {
    if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
    std::size_t at = groups_.size() - std::min(groups_.size(), kGroupsTried);
    while (at < groups_.size() && !Joins(groups_[at], v)) ++at;
    if (at == groups_.size()) {
      groups_.push_back(OpenGroup(v));
    } else {
      groups_[at].vectors.push_back(v);
    }
  }
  for (Group& group : groups_) {
    const Index first = group.vectors.front();
    group.z = Matrix<double>(static_cast<Index>(group.vectors.size()), n);
    context.workers.ParallelFor(group.z.rows(), context.stop, [&](Index v) {
      for (Index j = 0; j < n; ++j) {
        const ScaledNumber entry = Entry(group.vectors[At(v)], j);
        if (entry.zero()) continue;
        group.z(v, j) =
            Shifted(entry.mantissa, entry.exponent - Entry(first, j).exponent);
      }
    });
  }
  return CheckStop(context.stop);
}

void CrossProduct::MultiplyNarrow(const QueryRows& queries,
                                  const StopToken& stop, Sums& sums) const {
  constexpr Index kStrip = kFusedStrip<double>;
  const Index d = keys_.cols();
  const Index count = queries.centred.rows();
  const Index query_strips = (count + kStrip - 1) / kStrip;
  const Index rows = query_strips * kStrip;
  AlignedVector<double> packed(At(rows * d));
  std::vector<double> row_offset(At(rows), kNoRow);
  for (Index strip = 0; strip < query_strips; ++strip) {
    const Index first = strip * kStrip;
    PackFusedStrip(queries.centred.row(first), d,
                   std::min(kStrip, count - first), d,
                   packed.data() + first * d);
  }
  for (Index i = 0; i < count; ++i) {
    const double top = TopBound(queries.centred_square[At(i)]);
    row_offset[At(i)] = -top * std::numbers::log2e;
    for (Index v = 0; v < sums.top.rows(); ++v) sums.top(v, i) = top;
  }
  sums.exponents = exponents_;
  AlignedVector<double> partial(
      d > kFusedDepth ? At(rows * kFusedTileStrips * kStrip) : 0);
  AlignedVector<double> row_sums(At(kFusedVectorsMax * rows));
  for (Index v = 0; v < z_.rows(); v += kFusedVectorsMax) {
    const Index vectors = std::min(kFusedVectorsMax, z_.rows() - v);
    std::fill(row_sums.begin(), row_sums.end(), 0.0);
    for (Index strip = 0; strip < strips_; strip += kFusedTileStrips) {
      if (stop.stop_requested()) return;
      MultiplyFusedTile(
          FusedTile<double>{
              .rows = packed.data(),
              .cols = packed_.data() + strip * kStrip * d,
              .row_strips = query_strips,
              .col_strips = std::min(kFusedTileStrips, strips_ - strip),
              .d = d,
              .scale = keys_.scale * std::numbers::log2e,
              .row_offset = row_offset.data(),
              .col_offset = packed_offset_.data() + strip * kStrip,
              .partial = partial.data()},
          {.vectors = vectors,
           .right = z_.row(v) + strip * kStrip,
           .right_stride = z_.cols(),
           .row_sums = row_sums.data(),
           .row_stride = rows});
    }
    for (Index c = 0; c < vectors; ++c) {
      std::copy_n(row_sums.data() + c * rows, count, sums.sums.row(v + c));
    }
  }
}

void CrossProduct::MultiplyWide(const QueryRows& queries, const StopToken& stop,
                                Sums& sums) const {
  const Index n = keys_.rows();
  const Index d = keys_.cols();
  const Index count = queries.centred.rows();
  const Index width = std::min(n, kTileColumns);
  AlignedVector<double> logits(At(count * width));
  AlignedVector<double> entries(At(count * width));
  // Rows of `grouped` and `tops` follow the groups.
  Matrix<double> grouped(ones_ + vectors_, count);
  Matrix<double> tops(static_cast<Index>(groups_.size()), count);
  std::fill(tops.data(), tops.data() + tops.size(),
            std::numeric_limits<double>::lowest());
  std::vector<double> row_offset(At(count));
  for (Index first = 0; first < n; first += kTileColumns) {
    const Index cols = std::min(kTileColumns, n - first);
    Gemm(keys_.scale, Operand<double>(BlockOf(queries.centred)),
         Transposed(BlockOf(keys_.centred).Part(first, 0, cols, d)), 0.0,
         Block<double>{logits.data(), count, cols, cols});
    Index row = 0;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      if (stop.stop_requested()) return;
      const Group& group = groups_[g];
      double* top = tops.row(static_cast<Index>(g));
      const Block<double> out =
          BlockOf(grouped).Part(row, 0, group.z.rows(), count);
      row += group.z.rows();
      for (Index i = 0; i < count; ++i) {
        RaiseTop(logits.data() + i * cols, group.offset.data() + first, cols,
                 top[i], out, i);
        row_offset[At(i)] = -top[i];
      }
      std::copy(logits.begin(), logits.end(), entries.begin());
      AddTile({.logits = entries.data(),
               .rows = count,
               .cols = cols,
               .stride = cols,
               .row_offset = row_offset.data(),
               .col_offset = group.offset.data() + first},
              {group.z.data() + first, group.z.rows(), n}, out);
    }
  }
  Index row = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    for (const Index v : groups_[g].vectors) {
      std::copy_n(grouped.row(row++), count, sums.sums.row(v));
      std::copy_n(tops.row(static_cast<Index>(g)), count, sums.top.row(v));
    }
  }
}

void CrossProduct::Multiply(const QueryRows& queries, const StopToken& stop,
                            ScaledNumber* out) const {
  const Index count = queries.centred.rows();
  Sums sums(ones_ + vectors_, count);
  if (Wide(queries)) {
    MultiplyWide(queries, stop, sums);
  } else {
    MultiplyNarrow(queries, stop, sums);
  }
  if (stop.stop_requested()) return;
  const bool softmax = ones_ != 0;
  for (Index i = 0; i < count; ++i) {
    // What the keys' sums leave out; SOFTMAX_ROWS: what they are divided by.
    double outside = queries.centre_logit[At(i)] + keys_.centre_square;
    double divisor = 1.0;
    if (normalization_ == KernelNormalization::kUnitDiagonal) {
      outside = -0.5 * queries.centred_square[At(i)];
    }
    if (softmax) {
      outside = -sums.top(0, i);
      divisor =
          std::ldexp(sums.sums(0, i), static_cast<int>(sums.exponents[0]));
    }
    for (Index c = 0; c < vectors_; ++c) {
      const Index v = ones_ + c;
      const double sum = sums.sums(v, i) / divisor;
      ScaledNumber& y = out[i * vectors_ + c];
      y = {};
      if (sum == 0.0) continue;
      const double log_scale = sums.top(v, i) + outside;
      if (log_scale < kLogScaleMin) continue;
      y = TimesExp(MakeScaled(sum, sums.exponents[At(v)]), log_scale);
    }
  }
}

double CrossProduct::Bytes(Index n, Index d, Index k) {
  const double vectors = static_cast<double>(k) + 1.0;
  // Packed keys; x, z, offsets; groups: z and an offset each.
  return 8.0 * static_cast<double>(n + kFusedStrip<double>) *
         (static_cast<double>(d) + 4.5 * vectors + 2.0);
}

double CrossProduct::WorkBytes(Index d, Index k) {
  const double vectors = static_cast<double>(k) + 1.0;
  // Queries twice; logits and entries, with room for those between two rounds
  // of coordinates; sums.
  return 8.0 * static_cast<double>(kCrossTileRows) *
         (2.0 * static_cast<double>(d) +
          2.0 * static_cast<double>(kTileColumns) + 7.0 * vectors + 24.0);
}

}  // namespace steelyard
