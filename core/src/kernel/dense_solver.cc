#include "kernel/dense_solver.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "kernel/certificate.h"
#include "linalg/cholesky.h"
#include "linalg/stopped.h"
#include "linalg/triangular.h"
#include "steelyard/random.h"

namespace steelyard {
namespace {

constexpr std::int64_t kBandBits = 512;
constexpr std::size_t kBandsAtATime = 16;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

std::int64_t BandOf(const ScaledNumber& x) {
  return x.exponent >= 0 ? x.exponent / kBandBits
                         : -((-x.exponent + kBandBits - 1) / kBandBits);
}

// S from E: w_i E_ij w_j, the diagonal exactly 1.
void ScaleUpper(const SymmetricForm& form, Matrix<double>& s,
                const ComputeContext& context) {
  const Index n = s.rows();
  constexpr Index kPanel = 64;
  context.workers.ParallelFor(
      (n + kPanel - 1) / kPanel, context.stop, [&](Index panel) {
        const Index last = std::min(n, (panel + 1) * kPanel);
        for (Index i = panel * kPanel; i < last; ++i) {
          double* row = s.row(i);
          const double w = form.weight[At(i)];
          for (Index j = i + 1; j < n; ++j) row[j] *= w * form.weight[At(j)];
          row[i] = 1.0;
        }
      });
}

}  // namespace

double PivotFloor(const KernelRows& rows, Index i) {
  constexpr double kLargest = 0.01;
  return std::min(kLargest, kUnitRoundoff * (static_cast<double>(rows.rows()) +
                                             8.0 * rows.centred_square[At(i)]));
}

absl::StatusOr<DenseFactor> DenseFactor::Make(const KernelRows& rows,
                                              const SymmetricForm& form,
                                              const KernelProduct& product,
                                              const ComputeContext& context) {
  const Index n = rows.rows();
  DenseFactor factor;
  if (form.degenerate) return factor;
  // Only the upper triangle is written and read.
  factor.r_ = Matrix<double>::Unset(n, n);
  absl::Status done = product.FillUpper(BlockOf(factor.r_), context);
  if (!done.ok()) return done;
  ScaleUpper(form, factor.r_, context);
  if (done = CheckStop(context.stop); !done.ok()) return done;
  const absl::StatusOr<CholeskyOutcome> outcome =
      CholeskyInPlace(factor.r_.data(), n, n, context);
  if (!outcome.ok()) return outcome.status();
  // What failed is dropped: who looks for the reason needs the memory.
  if (!outcome->positive_definite) return DenseFactor();
  for (Index i = 0; i < n; ++i) {
    const double pivot = factor.r_(i, i);
    if (!(pivot * pivot > PivotFloor(rows, i))) return DenseFactor();
  }
  factor.positive_definite_ = true;
  return factor;
}

absl::Status DenseFactor::Solve(Matrix<double>& v,
                                const ComputeContext& context) const {
  const Index n = v.cols();
  const Index k = v.rows();
  Matrix<double> columns(n, k);
  constexpr Index kPanel = 64;
  const Index panels = (n + kPanel - 1) / kPanel;
  context.workers.ParallelFor(panels, context.stop, [&](Index panel) {
    const Index last = std::min(n, (panel + 1) * kPanel);
    for (Index c = 0; c < k; ++c) {
      for (Index i = panel * kPanel; i < last; ++i) columns(i, c) = v(c, i);
    }
  });
  const Block<const double> r = BlockOf(r_);
  absl::Status done = SolveUpper(Transposed(r), BlockOf(columns), context);
  if (!done.ok()) return done;
  done = SolveUpper(Operand<double>(r), BlockOf(columns), context);
  if (!done.ok()) return done;
  context.workers.ParallelFor(panels, context.stop, [&](Index panel) {
    const Index last = std::min(n, (panel + 1) * kPanel);
    for (Index c = 0; c < k; ++c) {
      for (Index i = panel * kPanel; i < last; ++i) v(c, i) = columns(i, c);
    }
  });
  return CheckStop(context.stop);
}

absl::Status DenseFactor::SolveScaled(ScaledVector& v,
                                      const ComputeContext& context) const {
  const auto n = static_cast<Index>(v.size());
  std::set<std::int64_t> found;
  for (const ScaledNumber& number : v) {
    if (!number.zero()) found.insert(BandOf(number));
  }
  const std::vector<std::int64_t> bands(found.begin(), found.end());
  ScaledVector sum(v.size());
  for (std::size_t first = 0; first < bands.size(); first += kBandsAtATime) {
    const std::size_t count = std::min(kBandsAtATime, bands.size() - first);
    Matrix<double> parts(static_cast<Index>(count), n);
    for (Index i = 0; i < n; ++i) {
      const ScaledNumber& number = v[At(i)];
      if (number.zero()) continue;
      const std::int64_t band = BandOf(number);
      for (std::size_t b = 0; b < count; ++b) {
        if (bands[first + b] != band) continue;
        parts(static_cast<Index>(b), i) =
            std::ldexp(number.mantissa,
                       static_cast<int>(number.exponent - band * kBandBits));
      }
    }
    if (absl::Status done = Solve(parts, context); !done.ok()) return done;
    for (std::size_t b = 0; b < count; ++b) {
      const std::int64_t exponent = bands[first + b] * kBandBits;
      for (Index i = 0; i < n; ++i) {
        sum[At(i)] = Add(sum[At(i)],
                         MakeScaled(parts(static_cast<Index>(b), i), exponent));
      }
    }
  }
  v = std::move(sum);
  return absl::OkStatus();
}

absl::StatusOr<double> DenseFactor::InverseNorm(
    const ComputeContext& context) const {
  constexpr int kSteps = 4;
  const Index n = r_.rows();
  const RandomStream signs{.seed = {0}, .stream = 1};
  Matrix<double> v(1, n);
  for (Index i = 0; i < n; ++i) {
    v(0, i) = signs.Sign(static_cast<std::uint64_t>(i));
  }
  double norm = std::sqrt(static_cast<double>(n));
  double ratio = 1.0;
  for (int step = 0; step < kSteps; ++step) {
    for (Index i = 0; i < n; ++i) v(0, i) /= norm;
    if (absl::Status done = Solve(v, context); !done.ok()) return done;
    double sum = 0.0;
    for (Index i = 0; i < n; ++i) sum += v(0, i) * v(0, i);
    norm = std::sqrt(sum);
    ratio = norm;
  }
  return ratio;
}

}  // namespace steelyard
