#include "one_pass/arrival_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "factor/row_loader.h"
#include "linalg/blas.h"
#include "linalg/cholesky.h"
#include "linalg/triangular.h"
#include "queries/queryable_set_data.h"
#include "universal_set/leverage.h"
#include "universal_set/membership.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Below, x_j >= ||w_j||^2 / (1 + ||W||^2) has lost no more than a factor of 2.
constexpr double kLargestSquare = 1.0;

double SquaredNorm(const double* x, Index length) {
  double sum = 0.0;
  for (Index c = 0; c < length; ++c) sum += x[c] * x[c];
  return sum;
}

class ArrivalScorer {
 public:
  ArrivalScorer(const AnyMatrixView& keys, Index row_offset,
                const ComputeContext& context, RunningFactor& factor,
                ArrivalScores& arrivals)
      : keys_(keys),
        row_offset_(row_offset),
        context_(context),
        factor_(factor),
        arrivals_(arrivals) {}

  // Rows [first, first + count), all before them folded.
  absl::Status Score(Index first, Index count) {
    const AnyMatrixView rows = Part(first, count);
    const absl::StatusOr<ColumnScales> scales =
        ScanColumns(rows, "keys", context_, row_offset_ + first);
    if (!scales.ok()) return scales.status();
    absl::Status status = factor_.RaiseScales(rows, *scales, context_);
    if (!status.ok()) return status;
    absl::StatusOr<Factor> prefix =
        factor_.Refactor(FactorDetail::kScores, context_);
    if (!prefix.ok()) return prefix.status();
    share_ = EpsilonOfMembers(*prefix, 1.0);
    if (prefix->rank < factor_.d()) {
      const absl::StatusOr<bool> done = ScoreNew(first, count, *prefix);
      if (!done.ok() || *done) return done.status();
    }
    absl::StatusOr<Matrix<double>> w = Whitened(rows, *prefix);
    if (!w.ok()) return w.status();
    const double square = SquaredNorm(w->data(), w->size());
    if (count == 1) {
      Record(square, Error(*prefix, 1));
      return factor_.Fold(rows, row_offset_ + first, context_);
    }
    if (!(square <= kLargestSquare)) return Halve(first, count);
    status = RecordBlock(*w, Error(*prefix, count));
    if (!status.ok()) return status;
    return factor_.Fold(rows, row_offset_ + first, context_);
  }

 private:
  AnyMatrixView Part(Index first, Index count) const {
    return std::visit(
        [&](const auto& view) -> AnyMatrixView {
          using View = std::decay_t<decltype(view)>;
          return View(view.row(first), count, view.cols());
        },
        keys_);
  }

  absl::Status Halve(Index first, Index count) {
    const Index half = count / 2;
    if (absl::Status s = Score(first, half); !s.ok()) return s;
    return Score(first + half, count - half);
  }

  // True: some keys left the row space of rank r < d, and the block is done.
  absl::StatusOr<bool> ScoreNew(Index first, Index count,
                                const Factor& prefix) {
    const AnyMatrixView rows = Part(first, count);
    const absl::StatusOr<LeverageScores> scores =
        ComputeLeverageScores(rows, prefix, context_);
    if (!scores.ok()) return scores.status();
    if (scores->new_direction.empty()) return false;
    // Does every key of the block bring a direction of its own?
    RunningFactor next = factor_;
    absl::Status status = next.Fold(rows, row_offset_ + first, context_);
    if (!status.ok()) return status;
    const absl::StatusOr<Factor> after =
        next.Refactor(FactorDetail::kScores, context_);
    if (!after.ok()) return after.status();
    const bool all_new = after->rank == prefix.rank + count;
    if (!all_new && count > 1) {
      if (status = Halve(first, count); !status.ok()) return status;
      return true;
    }
    // Where keys before were not all independent, that they lie in the row
    // space is a matter of rounding: the score 1 is one by the rank rule.
    const bool certain = all_new && factor_.keys() == prefix.rank;
    for (Index i = 0; i < count; ++i) {
      Record(kInfinity, certain ? 0.0 : kInfinity);
    }
    factor_ = std::move(next);
    return true;
  }

  // W = B R^-1, or B V_r S_r^-1.
  absl::StatusOr<Matrix<double>> Whitened(const AnyMatrixView& rows,
                                          const Factor& prefix) const {
    Matrix<double> loaded(Rows(rows), factor_.d());
    RowLoader(rows, factor_.exponents()).Load(0, 0, BlockOf(loaded));
    if (prefix.rank == factor_.d()) {
      const absl::Status solved = SolveUpperFromRight(
          BlockOf(loaded), BlockOf(prefix.r), context_.stop);
      if (!solved.ok()) return solved;
      return loaded;
    }
    Matrix<double> w(Rows(rows), prefix.rank);
    Gemm(1.0, BlockOf(std::as_const(loaded)),
         Transposed(
             BlockOf(prefix.v_transposed).Part(0, 0, prefix.rank, factor_.d())),
         0.0, BlockOf(w));
    for (Index i = 0; i < w.rows(); ++i) {
      for (Index c = 0; c < w.cols(); ++c) {
        w(i, c) /= prefix.singular_values[static_cast<std::size_t>(c)];
      }
    }
    return w;
  }

  double Error(const Factor& prefix, Index count) const {
    // No keys but zeros before: what stays in the row space is zero itself.
    if (prefix.rank == 0) return 0.0;
    const auto c = static_cast<double>(count);
    const auto d = static_cast<double>(factor_.d());
    return prefix.delta + 6.0 * c * (c + d + 2.0) * kUnitRoundoff;
  }

  absl::Status RecordBlock(const Matrix<double>& w, double error) {
    const Index c = w.rows();
    // Zeros after zeros: BLAS takes no matrix without columns.
    if (w.cols() == 0) {
      for (Index j = 0; j < c; ++j) Record(0.0, error);
      return absl::OkStatus();
    }
    Matrix<double> l(c, c);
    SyrkUpper(1.0, BlockOf(w), 0.0, BlockOf(l));
    for (Index j = 0; j < c; ++j) l(j, j) += 1.0;
    const absl::StatusOr<CholeskyOutcome> outcome =
        CholeskyInPlace(l.data(), c, c, context_);
    if (!outcome.ok()) return outcome.status();
    // l = L', row i: L_ji for j >= i.
    std::vector<double> x(static_cast<std::size_t>(c));
    for (Index j = 0; j < c; ++j) {
      x[static_cast<std::size_t>(j)] = SquaredNorm(w.row(j), w.cols());
    }
    for (Index i = 0; i < c; ++i) {
      for (Index j = i + 1; j < c; ++j) {
        x[static_cast<std::size_t>(j)] -= l(i, j) * l(i, j);
      }
    }
    for (const double value : x) Record(std::max(0.0, value), error);
    return absl::OkStatus();
  }

  // Infinite x: the key is alone in its direction.
  void Record(double x, double error) {
    const double score = std::isfinite(x) ? x / (1.0 + x) : 1.0;
    arrivals_.scores.push_back(score);
    arrivals_.errors.push_back(error);
    arrivals_.shares.push_back(share_);
    arrivals_.total += score;
    arrivals_.bound += UpperEndOfArrival(score, error);
  }

  const AnyMatrixView& keys_;
  const Index row_offset_;
  const ComputeContext& context_;
  RunningFactor& factor_;
  ArrivalScores& arrivals_;
  double share_ = 1.0;
};

}  // namespace

Index ArrivalBlockRows(Index d) { return std::clamp<Index>(2 * d, 64, 2048); }

absl::Status ScoreOnArrival(const AnyMatrixView& keys, Index row_offset,
                            const ComputeContext& context,
                            RunningFactor& factor, ArrivalScores& arrivals) {
  ArrivalScorer scorer(keys, row_offset, context, factor, arrivals);
  const Index block = ArrivalBlockRows(factor.d());
  const Index n = Rows(keys);
  for (Index first = 0; first < n; first += block) {
    const absl::Status scored = scorer.Score(first, std::min(block, n - first));
    if (!scored.ok()) return scored;
  }
  return absl::OkStatus();
}

double UpperEndOfArrival(double score, double error) {
  return score == 0.0 ? 0.0 : std::min(1.0, score * (1.0 + error));
}

void SelectArrivals(const ArrivalScores& arrivals,
                    const UniversalSetOptions& options, UniversalSet* set) {
  LeverageScores scores;
  scores.tau = arrivals.scores;
  for (std::size_t j = 0; j < scores.tau.size(); ++j) {
    if (std::isfinite(arrivals.errors[j])) {
      scores.delta = std::max(scores.delta, arrivals.errors[j]);
    } else if (scores.tau[j] > 0.0) {
      // A member: nothing below 1 is known of it.
      scores.tau[j] = 1.0;
      scores.new_direction.push_back(static_cast<Index>(j));
    }
  }
  SelectMembers(scores, options, set);
  // The rank rule gives 1; a score below 1 has no error bound.
  std::vector<Index> by_rule;
  std::vector<Index> unknown;
  for (const Index j : set->new_direction) {
    const bool ruled = arrivals.scores[static_cast<std::size_t>(j)] == 1.0;
    (ruled ? by_rule : unknown).push_back(j);
  }
  if (!unknown.empty()) {
    for (const Index j : set->indices) {
      set->upper_bounds.push_back(
          std::binary_search(unknown.begin(), unknown.end(), j) ? 1 : 0);
    }
  }
  set->undecided.insert(set->undecided.end(), unknown.begin(), unknown.end());
  std::sort(set->undecided.begin(), set->undecided.end());
  set->exact = set->undecided.empty();
  set->new_direction = std::move(by_rule);
  set->relative_score_error = scores.delta;
  set->total_sensitivity = arrivals.total;
  set->size_bound = options.epsilon.has_value()
                        ? arrivals.bound / *options.epsilon
                        : static_cast<double>(scores.tau.size());
}

}  // namespace steelyard
