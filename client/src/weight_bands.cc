#include "weight_bands.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "tensor_codec.h"

namespace steelyard::client {
namespace {

constexpr std::int64_t kBandWidth = 1024;
// Of a band that is added to a larger one: below that nothing is left of it.
constexpr std::int64_t kShiftMin = -4096;

// floor(a / kBandWidth).
std::int64_t BandOf(std::int64_t size) {
  const std::int64_t quotient = size / kBandWidth;
  return size % kBandWidth < 0 ? quotient - 1 : quotient;
}

// mantissa * 2^exponent, the mantissa 0 or in [0.5, 1).
struct Scaled {
  double mantissa = 0.0;
  std::int64_t exponent = 0;
};

Scaled ScaledOf(double number, std::int64_t exponent) {
  if (number == 0.0 || !std::isfinite(number)) return {number, 0};
  int own = 0;
  const double mantissa = std::frexp(number, &own);
  return {mantissa, exponent + own};
}

Scaled Sum(const Scaled& a, const Scaled& b) {
  if (a.mantissa == 0.0) return b;
  if (b.mantissa == 0.0) return a;
  const Scaled& large = a.exponent >= b.exponent ? a : b;
  const Scaled& small = a.exponent >= b.exponent ? b : a;
  const std::int64_t shift =
      std::max(small.exponent - large.exponent, kShiftMin);
  return ScaledOf(
      large.mantissa + std::ldexp(small.mantissa, static_cast<int>(shift)),
      large.exponent);
}

bool FitsFloat64(const Scaled& number) {
  return number.mantissa == 0.0 ||
         (number.exponent >= std::numeric_limits<double>::min_exponent &&
          number.exponent <= std::numeric_limits<double>::max_exponent);
}

absl::StatusOr<RowMajorMatrix> NumbersOf(const TensorView& x,
                                         std::int64_t bytes_max) {
  v1::Tensor tensor;
  absl::Status status = ToProto(x, "x", bytes_max, &tensor);
  if (!status.ok()) return status;
  absl::StatusOr<RowMajorMatrix> numbers = RowsFromProto(tensor, "x");
  if (numbers.ok() && x.rank() == 1) {
    return RowMajorMatrix(numbers->transpose());
  }
  return numbers;
}

}  // namespace

absl::StatusOr<WeightBands> WeightBands::Cut(
    const TensorView& x, const std::vector<std::int32_t>& exponents,
    std::int64_t bytes_max) {
  const absl::StatusOr<RowMajorMatrix> numbers = NumbersOf(x, bytes_max);
  if (!numbers.ok()) return numbers.status();
  if (!std::cmp_equal(numbers->size(), exponents.size())) {
    return LocalError(absl::StatusCode::kInvalidArgument,
                      absl::StrCat("x has ", numbers->size(), " entries and ",
                                   exponents.size(), " exponents"),
                      {.reason = "WRONG_SIZE", .field = "x_exponents"});
  }
  // By column of x, then by band: the place among the columns sent.
  std::map<std::pair<Eigen::Index, std::int64_t>, Eigen::Index> places;
  const auto band_of = [&](Eigen::Index i, Eigen::Index k) {
    const auto at = static_cast<std::size_t>(i * numbers->cols() + k);
    return BandOf(std::int64_t{exponents[at]} + std::ilogb((*numbers)(i, k)));
  };
  const auto counts = [&](Eigen::Index i, Eigen::Index k) {
    const double number = (*numbers)(i, k);
    return number != 0.0 && std::isfinite(number);
  };
  for (Eigen::Index k = 0; k < numbers->cols(); ++k) {
    bool any = false;
    for (Eigen::Index i = 0; i < numbers->rows(); ++i) {
      if (!counts(i, k)) continue;
      places[{k, band_of(i, k)}] = 0;
      any = true;
    }
    if (!any) places[{k, 0}] = 0;
  }
  WeightBands cut;
  cut.width_ = numbers->cols();
  for (auto& [key, place] : places) {
    place = static_cast<Eigen::Index>(cut.bands_.size());
    cut.bands_.push_back({key.first, kBandWidth * key.second});
  }
  cut.columns_.setZero(numbers->rows(),
                       static_cast<Eigen::Index>(cut.bands_.size()));
  for (Eigen::Index k = 0; k < numbers->cols(); ++k) {
    for (Eigen::Index i = 0; i < numbers->rows(); ++i) {
      const double number = (*numbers)(i, k);
      if (!counts(i, k)) {
        // What is not finite goes along: the server names it.
        const auto first = places.lower_bound({k, INT64_MIN});
        if (number != 0.0) cut.columns_(i, first->second) = number;
        continue;
      }
      const std::int64_t band = band_of(i, k);
      const auto at = static_cast<std::size_t>(i * numbers->cols() + k);
      cut.columns_(i, places[{k, band}]) = std::ldexp(
          number, static_cast<int>(exponents[at] - kBandWidth * band));
    }
  }
  return cut;
}

Prediction WeightBands::Joined(const Prediction& part) const {
  Prediction joined;
  joined.y.setZero(part.y.rows(), width_);
  std::vector<Scaled> sums(static_cast<std::size_t>(joined.y.size()));
  for (Eigen::Index i = 0; i < part.y.rows(); ++i) {
    for (std::size_t b = 0; b < bands_.size(); ++b) {
      const auto column = static_cast<Eigen::Index>(b);
      std::int64_t exponent = bands_[b].exponent;
      if (!part.y_exponents.empty()) {
        exponent += part.y_exponents[static_cast<std::size_t>(
            i * part.y.cols() + column)];
      }
      Scaled& sum =
          sums[static_cast<std::size_t>(i * width_ + bands_[b].column)];
      sum = Sum(sum, ScaledOf(part.y(i, column), exponent));
    }
  }
  const bool plain = std::all_of(sums.begin(), sums.end(), FitsFloat64);
  for (std::size_t at = 0; at < sums.size(); ++at) {
    double& entry = joined.y.data()[at];
    entry = plain ? std::ldexp(sums[at].mantissa,
                               static_cast<int>(sums[at].exponent))
                  : sums[at].mantissa;
    if (!plain) {
      joined.y_exponents.push_back(
          static_cast<std::int32_t>(sums[at].exponent));
    }
  }
  return joined;
}

}  // namespace steelyard::client
