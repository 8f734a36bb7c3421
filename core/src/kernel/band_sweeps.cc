#include "kernel/band_sweeps.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/str_format.h"
#include "kernel/conjugate_gradient.h"
#include "kernel/kernel_cost.h"
#include "kernel/kernel_problem.h"
#include "kernel/kernel_product.h"
#include "linalg/stopped.h"
#include "preconditioner/choose_preconditioner.h"

namespace steelyard {
namespace {

constexpr double kDenseBytes = 128.0 * 1024.0 * 1024.0;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

std::vector<double> Taken(const std::vector<double>& values,
                          const std::vector<Index>& order) {
  std::vector<double> out;
  out.reserve(order.size());
  if (values.empty()) return out;
  for (const Index i : order) out.push_back(values[At(i)]);
  return out;
}

// Some rows, about the same centre.
KernelRows TakeRows(const KernelRows& rows, const std::vector<Index>& order) {
  KernelRows out{.scale = rows.scale,
                 .exponent = rows.exponent,
                 .centre = rows.centre,
                 .centred = Matrix<double>::Unset(
                     static_cast<Index>(order.size()), rows.cols()),
                 .centred_square = Taken(rows.centred_square, order),
                 .half_square = Taken(rows.half_square, order),
                 .centre_logit = Taken(rows.centre_logit, order),
                 .centre_square = rows.centre_square,
                 .logit_max = rows.logit_max};
  for (Index i = 0; i < out.rows(); ++i) {
    const double* const from = rows.centred.row(order[At(i)]);
    std::copy(from, from + rows.cols(), out.centred.row(i));
  }
  return out;
}

SymmetricForm TakeForm(const SymmetricForm& form,
                       const std::vector<Index>& order) {
  SymmetricForm out{.normalization = form.normalization,
                    .ridges = Taken(form.ridges, order),
                    .ridge = 0.0,
                    .offsets = Taken(form.offsets, order),
                    .unit_diagonal = form.unit_diagonal,
                    .weight = Taken(form.weight, order),
                    .shift = Taken(form.shift, order),
                    .log_left = Taken(form.log_left, order),
                    .log_right = Taken(form.log_right, order),
                    .log_diagonal = Taken(form.log_diagonal, order),
                    .spread = 0.0,
                    .degenerate = form.degenerate};
  out.ridge = *std::min_element(out.ridges.begin(), out.ridges.end());
  const auto [least, most] =
      std::minmax_element(out.log_left.begin(), out.log_left.end());
  out.spread = *most - *least;
  return out;
}

std::vector<Index> Consecutive(RowRange range) {
  std::vector<Index> rows(At(range.count));
  std::iota(rows.begin(), rows.end(), range.first);
  return rows;
}

// (1 - lift) of everything off the diagonal.
void Lift(double lift, SymmetricForm& form) {
  for (std::size_t i = 0; i < form.weight.size(); ++i) {
    form.weight[i] *= std::sqrt(1.0 - lift);
  }
}

// Cholesky of a band, lifted as little as makes it positive definite.
absl::StatusOr<DenseFactor> FactorBand(const KernelRows& rows,
                                       SymmetricForm form, bool& lifted,
                                       const ComputeContext& context) {
  double floor = 0.0;
  for (Index i = 0; i < rows.rows(); ++i) {
    floor = std::max(floor, PivotFloor(rows, i));
  }
  constexpr double kGrowth = 16.0;
  constexpr double kMost = 0.5;
  for (double lift = 4.0 * floor;; lift = std::min(kMost, kGrowth * lift)) {
    const KernelProduct product(rows, form.offsets, form.unit_diagonal);
    absl::StatusOr<DenseFactor> factor =
        DenseFactor::Make(rows, form, product, context);
    if (!factor.ok() || factor->positive_definite() || lift >= kMost) {
      return factor;
    }
    lifted = true;
    Lift(lift, form);
  }
}

}  // namespace

BandLimits BandLimitsOf(Index n) {
  constexpr Index kRowsMin = 64;
  BandLimits limits;
  limits.dense_rows = std::clamp(
      static_cast<Index>(kDenseBytes / (8.0 * static_cast<double>(n))),
      kRowsMin, limits.dense_rows);
  return limits;
}

std::vector<RowRange> CutBands(const std::vector<double>& log_scale,
                               const BandLimits& limits) {
  const auto n = static_cast<Index>(log_scale.size());
  std::vector<RowRange> bands;
  for (Index first = 0; first < n;) {
    Index last = first + 1;
    while (last < n &&
           log_scale[At(first)] - log_scale[At(last)] <= limits.width) {
      ++last;
    }
    last = std::max(last, std::min(n, first + limits.dense_rows));
    if (last < n) {
      // The widest gap in the last quarter.
      Index best = last;
      const auto gap = [&](Index at) {
        return log_scale[At(at - 1)] - log_scale[At(at)];
      };
      const Index from = std::max(first + 1, first + 3 * (last - first) / 4);
      for (Index at = last; at >= from; --at) {
        if (gap(at) > gap(best)) best = at;
      }
      last = best;
    }
    bands.push_back({first, last - first});
    first = last;
  }
  return bands;
}

absl::StatusOr<std::unique_ptr<const BandSweeps>> BandSweeps::Make(
    const KernelRows& rows, const SymmetricForm& form,
    const SoftmaxRows* softmax, const AttentionKernelOptions& options,
    const BandLimits& limits, const ComputeContext& context) {
  std::unique_ptr<BandSweeps> sweeps(new BandSweeps);
  std::vector<Index>& order = sweeps->order_;
  order = Consecutive({0, rows.rows()});
  std::stable_sort(order.begin(), order.end(), [&](Index i, Index j) {
    return form.log_left[At(i)] > form.log_left[At(j)];
  });
  sweeps->rows_ = TakeRows(rows, order);
  sweeps->form_ = TakeForm(form, order);
  if (softmax == nullptr) {
    sweeps->matrix_ = MakeTrueMatrix(sweeps->rows_, sweeps->form_, nullptr);
  } else {
    const SoftmaxRows sorted{
        .log_sums = Taken(softmax->log_sums, order),
        .centred_log_sums = Taken(softmax->centred_log_sums, order)};
    sweeps->matrix_ = MakeTrueMatrix(sweeps->rows_, sweeps->form_, &sorted);
  }
  if (options.preconditioner == KernelPreconditioner::kPolynomialSketch) {
    // Refused by its rows, whether or not a band would ask for it.
    const KernelProduct product(rows, form.offsets, form.unit_diagonal);
    const auto made = MakePreconditioner(
        KernelPreconditioner::kPolynomialSketch, 1,
        {.rows = rows, .form = form, .product = product, .seed = options.seed},
        context);
    if (!made.ok()) return made.status();
  }
  context.Report({.phase = "factor", .fraction = 0.0});
  for (const RowRange& range : CutBands(sweeps->form_.log_left, limits)) {
    const absl::Status done = sweeps->AddBand(range, options, limits, context);
    if (!done.ok()) return done;
    context.Report({.phase = "factor",
                    .fraction = static_cast<double>(range.first + range.count) /
                                static_cast<double>(rows.rows())});
  }
  return std::unique_ptr<const BandSweeps>(std::move(sweeps));
}

absl::Status BandSweeps::AddBand(RowRange range,
                                 const AttentionKernelOptions& options,
                                 const BandLimits& limits,
                                 const ComputeContext& context) {
  const std::vector<Index> own = Consecutive(range);
  Band band{.range = range};
  if (range.count <= limits.dense_rows) {
    absl::StatusOr<DenseFactor> dense = FactorBand(
        TakeRows(rows_, own), TakeForm(form_, own), singular_, context);
    if (!dense.ok()) return dense.status();
    band.dense = *std::move(dense);
    bands_.push_back(std::move(band));
    return absl::OkStatus();
  }
  IterativeBand& iterative = band.iterative.emplace(IterativeBand{
      .rows = TakeRows(rows_, own), .form = TakeForm(form_, own)});
  iterative.iterations_max = options.max_iterations;
  // Residuals of S itself are what its iteration makes small.
  std::fill(iterative.form.log_left.begin(), iterative.form.log_left.end(),
            0.0);
  absl::Status done = Precondition(options, iterative, context);
  if (!done.ok()) return done;
  bands_.push_back(std::move(band));
  return absl::OkStatus();
}

absl::Status BandSweeps::Precondition(const AttentionKernelOptions& options,
                                      IterativeBand& band,
                                      const ComputeContext& context) const {
  const auto& kind = options.preconditioner;
  if (kind == KernelPreconditioner::kJacobi) return absl::OkStatus();
  const Index count = band.rows.rows();
  const Index rank =
      std::min(count, options.preconditioner_rank.value_or(count));
  const KernelProduct product(band.rows, band.form.offsets,
                              band.form.unit_diagonal);
  const PreconditionerSource source{.rows = band.rows,
                                    .form = band.form,
                                    .product = product,
                                    .seed = options.seed};
  if (kind == KernelPreconditioner::kNone ||
      (kind.has_value() && options.preconditioner_rank.has_value())) {
    absl::StatusOr<std::unique_ptr<Preconditioner>> made =
        MakePreconditioner(*kind, rank, source, context);
    if (!made.ok()) return made.status();
    band.preconditioner = *std::move(made);
    return absl::OkStatus();
  }
  // Never Jacobi scaling unless it is named: probing takes a random right-hand
  // side, those here lie along the small eigenvalues as well.
  // The bands together as much as a preconditioner of all rows of this rank:
  // half of what one may take, the other half is for all rows as one band.
  const Index most = GrownRankMax(2 * rows_.rows(), rows_.cols());
  const ComputeContext silent{.workers = context.workers, .stop = context.stop};
  absl::StatusOr<PreconditionerChoice> choice = ChoosePreconditioner(
      source,
      {.bytes = std::numeric_limits<double>::max(),
       .max_rank = std::max<Index>(1, std::min(rank, most)),
       .kind = kind.value_or(KernelPreconditioner::kRpCholesky)},
      silent);
  if (!choice.ok()) return choice.status();
  band.preconditioner = std::move(choice->preconditioner);
  return absl::OkStatus();
}

ScaledVector BandSweeps::Sorted(const ScaledVector& v) const {
  ScaledVector out(v.size());
  for (std::size_t i = 0; i < v.size(); ++i) out[i] = v[At(order_[i])];
  return out;
}

ScaledVector BandSweeps::Unsorted(const ScaledVector& v) const {
  ScaledVector out(v.size());
  for (std::size_t i = 0; i < v.size(); ++i) out[At(order_[i])] = v[i];
  return out;
}

absl::Status BandSweeps::Iterate(const IterativeBand& band, ScaledVector& c,
                                 const ComputeContext& context) const {
  const auto n = static_cast<Index>(c.size());
  KernelProduct product(band.rows, band.form.offsets, band.form.unit_diagonal);
  ScaledSystem system(band.rows, band.form, product);
  const std::int64_t exponent = TopExponent(c);
  Matrix<double> rhs(1, n);
  ToDoubles(c, exponent, rhs.data());
  const ComputeContext silent{.workers = context.workers, .stop = context.stop};
  // Noise in the rows of the least scale is this times e^width, and the price
  // of a smaller one is above that of another sweep. All rows as one band: what
  // one step takes off the residuals.
  const double tolerance =
      band.form.spread <= kCommonScaleSpreadMax ? 1e-7 : 1e-11;
  const absl::StatusOr<ConjugateGradientResult> solved =
      SolveConjugateGradient(system, rhs,
                             {.tolerance = tolerance,
                              .max_iterations = band.iterations_max,
                              .preconditioner = band.preconditioner.get()},
                             silent);
  if (!solved.ok()) return solved.status();
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  for (Index i = 0; i < n; ++i) {
    c[At(i)] = MakeScaled(solved->z(0, i), exponent);
  }
  return absl::OkStatus();
}

absl::Status BandSweeps::SolveBand(const Band& band, ScaledVector& r,
                                   const ComputeContext& context) const {
  const auto scaled = [&](const std::vector<double>& log_scale) {
    const auto begin = log_scale.begin() + band.range.first;
    r = TimesExpOf(r, {begin, begin + band.range.count});
  };
  scaled(form_.log_left);
  absl::Status done = absl::OkStatus();
  if (band.iterative.has_value()) {
    done = Iterate(*band.iterative, r, context);
  } else if (band.dense->positive_definite()) {
    done = band.dense->SolveScaled(r, context);
  }
  scaled(form_.log_right);
  return done;
}

absl::Status BandSweeps::Sweep(ScaledVector& r,
                               const ComputeContext& context) const {
  for (const Band& band : bands_) {
    const auto first = r.begin() + band.range.first;
    ScaledVector own(first, first + band.range.count);
    if (band.range.first > 0) {
      const absl::StatusOr<ScaledVector> coupling =
          TrueProduct(matrix_, band.range, {0, band.range.first}, r, context);
      if (!coupling.ok()) return coupling.status();
      for (std::size_t i = 0; i < own.size(); ++i) {
        own[i] = Subtract(own[i], (*coupling)[i]);
      }
    }
    const bool zero = std::all_of(
        own.begin(), own.end(), [](const ScaledNumber& x) { return x.zero(); });
    if (!zero) {
      absl::Status done = SolveBand(band, own, context);
      if (!done.ok()) return done;
    }
    std::copy(own.begin(), own.end(), first);
  }
  return absl::OkStatus();
}

std::string BandSweeps::Describe() const {
  Index dense = 0;
  Index largest = 0;
  for (const Band& band : bands_) {
    if (band.dense.has_value()) ++dense;
    largest = std::max(largest, band.range.count);
  }
  return absl::StrFormat(
      "%d bands of rows of like scale, at most %d rows (%d by dense Cholesky, "
      "%d by conjugate gradients)",
      bands(), largest, dense, bands() - dense);
}

std::int64_t BandSweeps::bytes() const {
  const auto n = static_cast<double>(order_.size());
  double bytes = 8.0 * (static_cast<double>(rows_.centred.size()) + 16.0 * n);
  for (const Band& band : bands_) {
    if (band.dense.has_value()) {
      const auto count = static_cast<double>(band.range.count);
      bytes += 8.0 * count * count;
    } else {
      bytes += 8.0 * static_cast<double>(band.iterative->rows.centred.size()) +
               96.0 * static_cast<double>(band.range.count);
      if (band.iterative->preconditioner != nullptr) {
        bytes += static_cast<double>(band.iterative->preconditioner->bytes());
      }
    }
  }
  return static_cast<std::int64_t>(bytes);
}

double BandSweeps::BytesMax(Index n, Index d) {
  const auto rows = static_cast<double>(n);
  // Rows in order, those of the bands, of all rows as one band, and its tiles.
  return 8.0 * rows *
         (5.0 * static_cast<double>(d) + 40.0 +
          static_cast<double>(BandLimitsOf(n).dense_rows));
}

}  // namespace steelyard
