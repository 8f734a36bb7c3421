#include "kernel/logits.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "absl/strings/str_format.h"
#include "factor/factor.h"
#include "linalg/stopped.h"
#include "steelyard/status.h"

namespace steelyard {
namespace {

constexpr Index kPanelRows = 256;
// Rows that the median looks at: enough to be deaf to a few huge ones.
constexpr Index kMedianRowsMax = 1025;
// A row of s|a|^2 above this leaves float64 when distances are summed.
constexpr double kSquareMax = 1e300;

Index Panels(Index n) { return (n + kPanelRows - 1) / kPanelRows; }

double Dot(const double* x, const double* y, Index d) {
  long double sum = 0.0L;
  for (Index c = 0; c < d; ++c) sum += static_cast<long double>(x[c]) * y[c];
  // Beyond float64 means beyond every limit here: infinity says so.
  if (sum > std::numeric_limits<double>::max()) {
    return std::numeric_limits<double>::infinity();
  }
  return static_cast<double>(sum);
}

// The median of each coordinate over rows spread evenly.
std::vector<double> CoordinateMedians(const Matrix<double>& rows,
                                      const ComputeContext& context) {
  const Index n = rows.rows();
  const Index d = rows.cols();
  const Index taken = std::min(n, kMedianRowsMax);
  constexpr Index kCoordinates = 16;
  std::vector<double> centre(static_cast<std::size_t>(d));
  context.workers.ParallelFor(
      (d + kCoordinates - 1) / kCoordinates, context.stop, [&](Index group) {
        std::vector<double> values(static_cast<std::size_t>(taken));
        const auto middle = values.begin() + (taken - 1) / 2;
        const Index last = std::min(d, (group + 1) * kCoordinates);
        for (Index c = group * kCoordinates; c < last; ++c) {
          for (Index i = 0; i < taken; ++i) {
            values[static_cast<std::size_t>(i)] = rows(i * n / taken, c);
          }
          std::nth_element(values.begin(), middle, values.end());
          centre[static_cast<std::size_t>(c)] = *middle;
        }
      });
  return centre;
}

absl::Status TooLong(Index row, std::string_view what, double value,
                     double max) {
  return ErrorWithDetail(
      absl::StatusCode::kInvalidArgument,
      absl::StrFormat("a: row %d has %s = %g; it must be at most %g, above "
                      "which float64 logits keep no digit",
                      row, std::string(what), value, max),
      {.reason = "FIELD_OUT_OF_RANGE",
       .field = "a",
       .metadata = {{"row", absl::StrFormat("%d", row)}}});
}

absl::Status CheckSquares(const KernelRows& rows,
                          KernelNormalization normalization) {
  const bool distances = normalization == KernelNormalization::kUnitDiagonal;
  const double square_max = distances ? kSquareMax : kLogitMax;
  Index far_rows = 0;
  for (Index i = 0; i < rows.rows(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double square = 2.0 * rows.half_square[at];
    const double distance = rows.centred_square[at];
    if (!(square <= square_max)) {
      return TooLong(i, "s|a|^2", square, square_max);
    }
    // One far row has no near ones, so that its entries of G are exactly 0;
    // between two of them a distance would be noise.
    if (!(distance <= kLogitMax) && (++far_rows > 1 || !distances)) {
      return TooLong(i, "s|a - c|^2, c the median row,", distance, kLogitMax);
    }
  }
  return absl::OkStatus();
}

// Rows times 2^exponent, and h_i, before they are centred.
void LoadPanels(const AnyMatrixView& a, int exponent, KernelRows& rows,
                const ComputeContext& context) {
  const Index n = rows.rows();
  const Index d = rows.cols();
  const std::vector<int> exponents(static_cast<std::size_t>(d), -exponent);
  context.workers.ParallelFor(Panels(n), context.stop, [&](Index panel) {
    const Index first = panel * kPanelRows;
    const Index count = std::min(kPanelRows, n - first);
    LoadScaledRows(a, first, count, exponents, rows.centred.row(first));
    for (Index i = first; i < first + count; ++i) {
      const double* row = rows.centred.row(i);
      rows.half_square[static_cast<std::size_t>(i)] =
          0.5 * rows.scale * Dot(row, row, d);
    }
  });
}

void Centre(KernelRows& rows, const ComputeContext& context) {
  const std::vector<double>& centre = rows.centre;
  const Index n = rows.rows();
  const Index d = rows.cols();
  context.workers.ParallelFor(Panels(n), context.stop, [&](Index panel) {
    const Index first = panel * kPanelRows;
    const Index last = std::min(n, first + kPanelRows);
    for (Index i = first; i < last; ++i) {
      double* row = rows.centred.row(i);
      for (Index c = 0; c < d; ++c) {
        row[c] -= centre[static_cast<std::size_t>(c)];
      }
      const auto at = static_cast<std::size_t>(i);
      rows.centred_square[at] = rows.scale * Dot(row, row, d);
      rows.centre_logit[at] = rows.scale * Dot(row, centre.data(), d);
    }
  });
}

}  // namespace

absl::StatusOr<KernelRows> LoadKernelRows(const AnyMatrixView& a, double scale,
                                          KernelNormalization normalization,
                                          const ComputeContext& context) {
  const Index n = Rows(a);
  const Index d = Cols(a);
  const auto size = static_cast<std::size_t>(n);
  // floor(log2(s) / 2), also for subnormal s.
  const int log2_scale = std::ilogb(scale);
  const int exponent = (log2_scale - (log2_scale % 2 != 0 ? 1 : 0)) / 2;

  KernelRows rows;
  rows.scale = std::ldexp(scale, -2 * exponent);
  rows.exponent = exponent;
  rows.centred = Matrix<double>(n, d);
  rows.half_square.resize(size);
  rows.centred_square.resize(size);
  rows.centre_logit.resize(size);

  LoadPanels(a, exponent, rows, context);
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  rows.centre = CoordinateMedians(rows.centred, context);
  rows.centre_square =
      rows.scale * Dot(rows.centre.data(), rows.centre.data(), d);
  Centre(rows, context);
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;

  if (absl::Status good = CheckSquares(rows, normalization); !good.ok()) {
    return good;
  }
  rows.logit_max =
      std::max(1.0, 2.0 * *std::max_element(rows.half_square.begin(),
                                            rows.half_square.end()));
  return rows;
}

QueryRows LoadQueryRows(const AnyMatrixView& queries, Index first, Index count,
                        const KernelRows& keys) {
  const Index d = keys.cols();
  const std::vector<int> exponents(static_cast<std::size_t>(d), -keys.exponent);
  QueryRows rows;
  rows.centred = Matrix<double>::Unset(count, d);
  LoadScaledRows(queries, first, count, exponents, rows.centred.data());
  for (Index i = 0; i < count; ++i) {
    double* row = rows.centred.row(i);
    rows.square.push_back(keys.scale * Dot(row, row, d));
    for (Index c = 0; c < d; ++c) {
      row[c] -= keys.centre[static_cast<std::size_t>(c)];
    }
    rows.centred_square.push_back(keys.scale * Dot(row, row, d));
    rows.centre_logit.push_back(keys.scale * Dot(row, keys.centre.data(), d));
  }
  return rows;
}

}  // namespace steelyard
