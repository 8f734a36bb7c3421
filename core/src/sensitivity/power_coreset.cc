#include "sensitivity/power_coreset.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "factor/row_loader.h"
#include "linalg/stopped.h"
#include "one_pass/candidate_buffer.h"
#include "sensitivity/certificate.h"
#include "sensitivity/lewis_bounds.h"
#include "sensitivity/whitened_keys.h"
#include "steelyard/status.h"
#include "universal_set/keys.h"
#include "universal_set/leverage.h"

namespace steelyard {
namespace {

// Newton steps from above; each doubles the digits after the first few.
constexpr int kNewtonSteps = 64;
// Rounding of weights, powers and bounds, outward.
constexpr double kOutward = 1e-11;
// p > 2: smaller factors of a key are raised to this; any weight is allowed.
constexpr double kLeastFactor = 0x1p-200;
// Bounds on arrival: the first panels are this short.
constexpr Index kLeastArrivalRows = 16;
// Rows that are weighted at a time.
constexpr Index kFoldRows = 4096;

constexpr std::uint32_t kFormatVersion = 1;
// Of a float64 column's norm, and of its entries once scaled.
constexpr int kMostExponent = 1100;
constexpr double kMostEntry = 0x1p64;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

absl::Status Corrupt(absl::string_view what) {
  return ErrorWithDetail(absl::StatusCode::kInvalidArgument, std::string(what),
                         {.reason = "STATE_CORRUPT", .field = "coreset"});
}

void AppendBits(std::uint64_t bits, std::string* out) {
  for (int shift = 0; shift < 64; shift += 8) {
    out->push_back(static_cast<char>((bits >> shift) & 0xff));
  }
}

void AppendNumber(double x, std::string* out) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  AppendBits(bits, out);
}

// Eight bytes off the front; false: there are fewer.
bool TakeBits(absl::string_view* in, std::uint64_t* bits) {
  if (in->size() < sizeof *bits) return false;
  *bits = 0;
  for (int i = 7; i >= 0; --i) {
    *bits = (*bits << 8) |
            static_cast<unsigned char>((*in)[static_cast<std::size_t>(i)]);
  }
  in->remove_prefix(sizeof *bits);
  return true;
}

bool TakeNumber(absl::string_view* in, double* x) {
  std::uint64_t bits = 0;
  if (!TakeBits(in, &bits)) return false;
  std::memcpy(x, &bits, sizeof *x);
  return std::isfinite(*x);
}

// R row by row from the diagonal on, then the exponents.
bool TakeTriangle(absl::string_view* in, Index d, Triangle* triangle) {
  const auto numbers = At(d) * (At(d) + 1) / 2 + At(d);
  if (in->size() / sizeof(double) < numbers) return false;
  triangle->r = Matrix<double>(d, d);
  for (Index i = 0; i < d; ++i) {
    for (Index j = i; j < d; ++j) {
      if (!TakeNumber(in, &triangle->r(i, j)) ||
          std::abs(triangle->r(i, j)) > kMostEntry) {
        return false;
      }
    }
  }
  for (Index c = 0; c < d; ++c) {
    std::uint64_t bits = 0;
    if (!TakeBits(in, &bits)) return false;
    const auto exponent = static_cast<std::int64_t>(bits);
    if (exponent < -kMostExponent || exponent > kMostExponent) return false;
    triangle->scales.exponents.push_back(static_cast<int>(exponent));
  }
  return true;
}

bool IsCertified(const Factor& factor) {
  return factor.rank > 0 && std::isfinite(factor.delta);
}

// 1 for keys with a number in a column that is zero in R: in the scales of R it
// may be so small that it seems to be rounding.
void RaiseNewColumns(const AnyMatrixView& keys, const Factor& factor,
                     std::vector<double>* upper) {
  if (factor.rank == factor.r.cols()) return;
  constexpr Index kPiece = 256;
  double piece[kPiece];
  const RowLoader rows(keys, {});
  for (const Index c : ZeroColumns(factor.r)) {
    for (Index first = 0; first < Rows(keys); first += kPiece) {
      const Index count = std::min(kPiece, Rows(keys) - first);
      rows.Load(first, c, {piece, count, 1, 1});
      for (Index i = 0; i < count; ++i) {
        if (piece[i] != 0.0) (*upper)[At(first + i)] = 1.0;
      }
    }
  }
}

// tau (1 + delta), 1 where the score is clipped or the key leaves the rows.
absl::StatusOr<std::vector<double>> UpperScores(const AnyMatrixView& keys,
                                                const Factor& factor,
                                                const ComputeContext& context) {
  const absl::StatusOr<LeverageScores> scores =
      ComputeLeverageScores(keys, factor, context);
  if (!scores.ok()) return scores.status();
  std::vector<double> upper(scores->tau.size());
  for (std::size_t i = 0; i < upper.size(); ++i) {
    const double tau = scores->tau[i];
    upper[i] = tau == 0.0 ? 0.0 : std::min(1.0, tau * (1.0 + scores->delta));
  }
  for (const Index i : scores->new_direction) upper[At(i)] = 1.0;
  RaiseNewColumns(keys, factor, &upper);
  return upper;
}

}  // namespace

double ArrivalWeight(double q, double p) {
  if (q <= 0.0) return 0.0;
  // p < 2 in w, p > 2 in v = w^(2/p): convex and increasing, so Newton from a
  // point above stays above.
  const bool in_w = p < 2.0;
  const double power = in_w ? 2.0 / p : 0.5 * p;
  const double linear = in_w ? q : 1.0;
  const double curved = in_w ? 1.0 : q;
  double x = in_w ? std::pow(q, 0.5 * p) : q;
  for (int step = 0; step < kNewtonSteps; ++step) {
    const double bent = curved * std::pow(x, power);
    const double value = linear * x + bent - q;
    const double next = x - value / (linear + power * bent / x);
    if (!(next < x) || !(next > 0.0)) break;
    x = next;
  }
  const double w = in_w ? x : std::pow(x, 0.5 * p);
  return std::min(1.0, w * (1.0 + kOutward));
}

PowerCoreset::PowerCoreset(double p, Index d) : p_(p), factor_(d) {}

double PowerCoreset::bytes() const {
  const double scorer =
      scorer_ == nullptr
          ? 0.0
          : 8.0 * static_cast<double>(scorer_->r.size() +
                                      scorer_->v_transposed.size());
  return factor_.bytes() + scorer + static_cast<double>(sizeof(*this));
}

void PowerCoreset::AddWeight(double w) {
  const double next = weight_hi_ + w;
  weight_lo_ +=
      weight_hi_ >= w ? (weight_hi_ - next) + w : (w - next) + weight_hi_;
  weight_hi_ = next;
}

double PowerCoreset::BoundOf(double a, double weight_sum) const {
  if (a >= 1.0) return 1.0;
  double bound = std::pow(a, 0.5 * p_);
  if (p_ > 2.0) bound *= std::pow(std::max(1.0, weight_sum), 0.5 * p_ - 1.0);
  // A bound of 0 is for keys of zeros.
  const double least = a > 0.0 ? std::numeric_limits<double>::min() : 0.0;
  return std::clamp(bound * (1.0 + kOutward * p_), least, 1.0);
}

// Lewis weights of the panel itself; w = 1 where none can be certified.
absl::StatusOr<std::vector<double>> PowerCoreset::WeightsOfFirst(
    const AnyMatrixView& keys, const ComputeContext& context) const {
  std::vector<double> weights(At(Rows(keys)), 1.0);
  const absl::StatusOr<FactoredKeys> factored = FactorKeys(keys, 0, context);
  if (!factored.ok()) return factored.status();
  if (factored->factor.rank == 0) return weights;
  const absl::StatusOr<WhitenedKeys> white =
      WhitenKeys(keys, *factored, context);
  if (!white.ok()) return white.status();
  if (!white->certifiable()) return weights;
  const PowerCertificate certificate(*white, p_);
  const absl::StatusOr<LewisBounds> lewis =
      ComputeLewisBounds(*white, certificate, context);
  if (!lewis.ok()) return lewis.status();
  if (lewis->rounds == 0) return weights;
  // p < 2: w^(2/p) >= a_i is proved for w = b_i, the least bound C a_i^(p/2) of
  // all rounds. p > 2: in the scale of arrivals, where Lewis weights add up to
  // the rank.
  double sum = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = p_ < 2.0 ? lewis->upper[i]
                          : std::pow(lewis->weights[i], p_ / (p_ - 2.0));
    sum += weights[i];
  }
  if (p_ > 2.0) {
    const double scale = static_cast<double>(white->rank()) / sum;
    for (double& w : weights) w *= scale;
  }
  for (const Index i : factored->scores.new_direction) weights[At(i)] = 1.0;
  return weights;
}

absl::StatusOr<std::vector<double>> PowerCoreset::WeightsOnArrival(
    const AnyMatrixView& keys, const ComputeContext& context) const {
  std::vector<double> weights(At(Rows(keys)), 1.0);
  if (scorer_ == nullptr || !IsCertified(*scorer_)) return weights;
  const absl::StatusOr<std::vector<double>> q =
      UpperScores(keys, *scorer_, context);
  if (!q.ok()) return q.status();
  for (std::size_t i = 0; i < q->size(); ++i) {
    weights[i] = (*q)[i] < 1.0 ? ArrivalWeight((*q)[i], p_) : 1.0;
  }
  return weights;
}

absl::Status PowerCoreset::Fold(const AnyMatrixView& keys,
                                const std::vector<double>& weights,
                                const ComputeContext& context) {
  const RowLoader rows(keys, {});
  const Index d = Cols(keys);
  for (Index first = 0; first < Rows(keys); first += kFoldRows) {
    const Index count = std::min(kFoldRows, Rows(keys) - first);
    Matrix<double> weighted(count, d);
    rows.Load(first, 0, BlockOf(weighted));
    for (Index i = 0; i < count; ++i) {
      const double w = weights[At(first + i)];
      if (w == 0.0) {
        std::fill_n(weighted.row(i), d, 0.0);
        continue;
      }
      // w^(1/2-1/p)
      const double exponent = 0.5 - 1.0 / p_;
      const double factor = std::max(std::pow(w, exponent), kLeastFactor);
      AddWeight(factor > kLeastFactor ? w
                                      : std::pow(kLeastFactor, 1.0 / exponent));
      for (Index c = 0; c < d; ++c) weighted(i, c) *= factor;
    }
    const absl::Status folded = factor_.Fold(weighted.view(), 0, context);
    if (!folded.ok()) return folded;
  }
  return absl::OkStatus();
}

absl::Status PowerCoreset::Add(const AnyMatrixView& keys,
                               const ComputeContext& context,
                               std::vector<double>* arrival) {
  if (arrival == nullptr) return AddPanel(keys, context, nullptr);
  arrival->clear();
  // Bounds on arrival know the keys before the panel only.
  Index first = 0;
  while (first < Rows(keys)) {
    const Index least = std::max(kLeastArrivalRows, Cols(keys) / 2);
    const Index count = std::min(std::clamp(this->keys() / 4, least, kFoldRows),
                                 Rows(keys) - first);
    const absl::Status added =
        AddPanel(SubView(keys, first, count), context, arrival);
    if (!added.ok()) return added;
    first += count;
  }
  return absl::OkStatus();
}

absl::Status PowerCoreset::AddPanel(const AnyMatrixView& keys,
                                    const ComputeContext& context,
                                    std::vector<double>* arrival) {
  const bool own_weights =
      factor_.keys() == 0 && arrival == nullptr && p_ != 2.0;
  const absl::StatusOr<std::vector<double>> weights =
      own_weights ? WeightsOfFirst(keys, context)
                  : WeightsOnArrival(keys, context);
  if (!weights.ok()) return weights.status();
  if (arrival != nullptr) {
    // a <= w^(2/p) for the M of before and the key itself.
    double sum = weight_sum();
    for (const double w : *weights) {
      sum += w;
      arrival->push_back(
          w >= 1.0 ? 1.0
                   : BoundOf(std::pow(w, 2.0 / p_), sum * (1.0 + kOutward)));
    }
  }
  if (absl::Status s = Fold(keys, *weights, context); !s.ok()) return s;
  // Of the keys so far, a fifth is new; or a column was zero until now.
  if (factor_.keys() / 5 * 4 >= refreshed_at_ || ScorerMissesColumns()) {
    return Refresh(context);
  }
  return absl::OkStatus();
}

bool PowerCoreset::ScorerMissesColumns() const {
  if (scorer_ == nullptr || scorer_->rank == scorer_->r.cols()) return false;
  const std::vector<Index> zero = ZeroColumns(scorer_->r);
  return std::any_of(zero.begin(), zero.end(),
                     [&](Index c) { return !factor_.IsZeroColumn(c); });
}

absl::Status PowerCoreset::Refresh(const ComputeContext& context) {
  if (refreshed_at_ == factor_.keys()) return absl::OkStatus();
  absl::StatusOr<Factor> factor =
      factor_.Refactor(FactorDetail::kScores, context);
  if (!factor.ok()) return factor.status();
  refreshed_at_ = factor_.keys();
  // One that certifies nothing does not replace one that does: scores by fewer
  // keys are larger.
  if (scorer_ != nullptr && IsCertified(*scorer_) && !IsCertified(*factor)) {
    return absl::OkStatus();
  }
  scorer_ = std::make_shared<const Factor>(*std::move(factor));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> PowerCoreset::UpperBounds(
    const AnyMatrixView& keys, const ComputeContext& context) const {
  std::vector<double> bounds(At(Rows(keys)), 1.0);
  if (scorer_ == nullptr || !IsCertified(*scorer_)) return bounds;
  const absl::StatusOr<std::vector<double>> a =
      UpperScores(keys, *scorer_, context);
  if (!a.ok()) return a.status();
  const double sum = weight_sum() * (1.0 + kOutward);
  for (std::size_t i = 0; i < a->size(); ++i) {
    bounds[i] = BoundOf((*a)[i], sum);
  }
  return bounds;
}

absl::Status PowerCoreset::Merge(const PowerCoreset& other,
                                 const ComputeContext& context) {
  if (other.keys() == 0) return absl::OkStatus();
  const absl::StatusOr<Triangle> triangle = other.factor_.Export(context);
  if (!triangle.ok()) return triangle.status();
  if (absl::Status s = factor_.FoldTriangle(*triangle, context); !s.ok()) {
    return s;
  }
  AddWeight(other.weight_hi_);
  weight_lo_ += other.weight_lo_;
  scorer_ = nullptr;
  refreshed_at_ = 0;
  return Refresh(context);
}

absl::StatusOr<std::string> PowerCoreset::Serialize(
    const ComputeContext& context) const {
  const absl::StatusOr<Triangle> triangle = factor_.Export(context);
  if (!triangle.ok()) return triangle.status();
  const Index d = triangle->r.cols();
  std::string out;
  AppendBits(kFormatVersion, &out);
  AppendNumber(p_, &out);
  AppendBits(static_cast<std::uint64_t>(d), &out);
  AppendBits(static_cast<std::uint64_t>(factor_.keys()), &out);
  for (const double x : {weight_hi_, weight_lo_, triangle->error.relative,
                         triangle->error.householder}) {
    AppendNumber(x, &out);
  }
  for (Index i = 0; i < d; ++i) {
    for (Index j = i; j < d; ++j) AppendNumber(triangle->r(i, j), &out);
  }
  for (const int exponent : triangle->scales.exponents) {
    AppendBits(static_cast<std::uint64_t>(std::int64_t{exponent}), &out);
  }
  return out;
}

absl::StatusOr<PowerCoreset> PowerCoreset::Parse(double p, Index d, Index keys,
                                                 const ComputeContext& context,
                                                 absl::string_view* bytes) {
  std::uint64_t version = 0;
  if (!TakeBits(bytes, &version) || version == 0) {
    return Corrupt("the coreset has no version");
  }
  if (version > kFormatVersion) {
    return ErrorWithDetail(
        absl::StatusCode::kInvalidArgument,
        absl::StrCat("the coreset has format ", version, "; this server reads ",
                     kFormatVersion),
        {.reason = "STATE_FORMAT_TOO_NEW", .field = "coreset"});
  }
  double stored_p = 0.0;
  std::uint64_t stored_d = 0;
  std::uint64_t stored_keys = 0;
  if (!TakeNumber(bytes, &stored_p) || stored_p != p ||
      !TakeBits(bytes, &stored_d) ||
      stored_d != static_cast<std::uint64_t>(d) ||
      !TakeBits(bytes, &stored_keys) ||
      stored_keys != static_cast<std::uint64_t>(keys)) {
    return Corrupt("the coreset is of another p, width or number of keys");
  }
  PowerCoreset coreset(p, d);
  Triangle triangle;
  triangle.keys = keys;
  double& hi = coreset.weight_hi_;
  double& lo = coreset.weight_lo_;
  if (!TakeNumber(bytes, &hi) || !TakeNumber(bytes, &lo) ||
      !TakeNumber(bytes, &triangle.error.relative) ||
      !TakeNumber(bytes, &triangle.error.householder) ||
      // A weight is at most 1, and rounding stays far below the sum.
      hi < 0.0 || hi > 2.0 * static_cast<double>(keys) ||
      std::abs(lo) > 0x1p-20 * hi || triangle.error.relative < 0.0 ||
      triangle.error.relative >= 1.0 || triangle.error.householder < 0.0 ||
      !TakeTriangle(bytes, d, &triangle)) {
    return Corrupt("the coreset is cut short or holds what no coreset holds");
  }
  if (keys == 0) return coreset;
  coreset.factor_ = RunningFactor(std::move(triangle));
  if (absl::Status s = coreset.Refresh(context); !s.ok()) return s;
  return coreset;
}

double BytesOfPowerCoreset(Index d) {
  // R or a Gram in two parts, the scorer's R and V.
  return 8.0 * 4.0 * static_cast<double>(d) * static_cast<double>(d) + 4096.0;
}

}  // namespace steelyard
