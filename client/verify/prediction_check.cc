#include "client/verify/prediction_check.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/verify/rows.h"
#include "client/verify/wide_vector.h"

namespace steelyard::verify {
namespace {

constexpr long double kUnit = 0x1p-53L;
constexpr int64_t kRowsMax = 256;
constexpr long double kLn2 = 0.693147180559945309417232121458176568L;

using Normalization = client::KernelNormalization;

// Logits of M_i, with a largest one so that exponentials stay below 1.
struct LogitRow {
  WideVector logits;
  long double size = 1.0L;  // L_i
};

LogitRow LogitsOf(const RowMatrix& a, const RowMatrix& queries, Eigen::Index i,
                  const client::PredictOptions& options) {
  const auto scale = static_cast<long double>(options.scale);
  LogitRow row{.logits = WideVector(a.rows())};
  const WideVector query = queries.row(i).transpose().cast<long double>();
  for (Eigen::Index j = 0; j < a.rows(); ++j) {
    const WideVector key = a.row(j).transpose().cast<long double>();
    row.size = std::max(row.size, scale * query.norm() * key.norm());
    row.logits[j] = options.normalization == Normalization::kUnitDiagonal
                        ? -0.5L * scale * (query - key).squaredNorm()
                        : scale * query.dot(key);
    if (options.normalization == Normalization::kUnitDiagonal) {
      // Centred or not, the squares stand beside the product.
      row.size = std::max(
          row.size, scale * (query.squaredNorm() + key.squaredNorm()) / 2);
    }
  }
  return row;
}

// x as numbers and natural logarithms: e^(log) sign, so that no exponent
// leaves the range.
struct Weights {
  Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic> logs;
  Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic> signs;
};

Weights WeightsOf(const PredictionInputs& inputs, Eigen::Index n) {
  const std::vector<double> numbers = inputs.x.Doubles();
  const auto k = static_cast<Eigen::Index>(numbers.size()) / n;
  Weights weights;
  weights.logs.setZero(n, k);
  weights.signs.setZero(n, k);
  for (Eigen::Index i = 0; i < n; ++i) {
    for (Eigen::Index c = 0; c < k; ++c) {
      const auto at = static_cast<std::size_t>(i * k + c);
      if (numbers[at] == 0.0) continue;
      weights.signs(i, c) = numbers[at] > 0 ? 1.0L : -1.0L;
      weights.logs(i, c) =
          std::log(std::abs(static_cast<long double>(numbers[at])));
      if (!inputs.x_exponents.empty()) {
        weights.logs(i, c) +=
            kLn2 * static_cast<long double>(inputs.x_exponents[at]);
      }
    }
  }
  return weights;
}

// |y - z| / sum_j |M_j x_j|, e^(logits - shift) in place of M.
long double ErrorOf(const LogitRow& row, const Weights& weights,
                    Eigen::Index column, long double divisor_log, double y,
                    int exponent) {
  long double shift = -std::numeric_limits<long double>::infinity();
  for (Eigen::Index j = 0; j < row.logits.size(); ++j) {
    if (weights.signs(j, column) == 0) continue;
    shift = std::max(shift, row.logits[j] + weights.logs(j, column));
  }
  if (std::isinf(shift)) return y == 0.0 ? 0.0L : 1.0L;
  long double sum = 0.0L;
  long double sizes = 0.0L;
  for (Eigen::Index j = 0; j < row.logits.size(); ++j) {
    const long double term =
        weights.signs(j, column) == 0
            ? 0.0L
            : std::exp(row.logits[j] + weights.logs(j, column) - shift);
    sum += weights.signs(j, column) * term;
    sizes += term;
  }
  // z = e^(shift - divisor_log) sum.
  const long double ours =
      y == 0.0 ? 0.0L
               : std::copysign(
                     std::exp(std::log(std::abs(static_cast<long double>(y))) +
                              kLn2 * exponent + divisor_log - shift),
                     static_cast<long double>(y));
  // Of an underflow to 0 no digit is owed.
  const bool underflow = y == 0.0 && shift - divisor_log < -744.0L;
  return underflow ? 0.0L : std::abs(ours - sum) / sizes;
}

}  // namespace

PredictionCheck CheckPrediction(const PredictionInputs& inputs,
                                const client::PredictOptions& options,
                                const client::Prediction& prediction) {
  PredictionCheck check;
  const RowMatrix a = HeadsOf(inputs.a)[0].All();
  const RowMatrix queries = HeadsOf(inputs.queries)[0].All();
  const Weights weights = WeightsOf(inputs, a.rows());
  const bool fit = prediction.y.rows() == queries.rows() &&
                   prediction.y.cols() == weights.logs.cols();
  check.verdict.Add("one row of y a query, one column a column of x", fit,
                    absl::StrFormat("y is %d x %d", prediction.y.rows(),
                                    prediction.y.cols()));
  if (!fit) return check;
  const int64_t count = std::min<int64_t>(queries.rows(), kRowsMax);
  long double worst = 0.0L;  // Of the allowed error.
  for (int64_t r = 0; r < count; ++r) {
    const Eigen::Index i = r * queries.rows() / count;
    const LogitRow row = LogitsOf(a, queries, i, options);
    const long double top = row.logits.maxCoeff();
    const long double divisor_log =
        options.normalization == Normalization::kSoftmaxRows
            ? top + std::log((row.logits.array() - top).exp().sum())
            : 0.0L;
    const long double allowed =
        kUnit * (static_cast<long double>(a.rows()) +
                 static_cast<long double>(a.cols() + 16) * row.size);
    for (Eigen::Index c = 0; c < prediction.y.cols(); ++c) {
      const auto at = static_cast<std::size_t>(i * prediction.y.cols() + c);
      const int exponent =
          prediction.y_exponents.empty() ? 0 : prediction.y_exponents[at];
      const long double error =
          ErrorOf(row, weights, c, divisor_log, prediction.y(i, c), exponent);
      // What is no number is as wrong as can be.
      const long double size =
          std::isnan(error) ? std::numeric_limits<long double>::infinity()
                            : error;
      check.largest_error =
          std::max(check.largest_error, static_cast<double>(size));
      worst = std::max(worst, size / allowed);
    }
  }
  check.verdict.Add(
      "y is what the sums give", worst <= 1.0L,
      absl::StrFormat("%d rows; largest error %.2g of the sum of magnitudes, "
                      "%.2g of what rounding explains",
                      count, check.largest_error, static_cast<double>(worst)));
  return check;
}

}  // namespace steelyard::verify
