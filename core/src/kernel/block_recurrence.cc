#include "kernel/block_recurrence.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernel/vector_block.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff32 = 0x1p-24;
constexpr std::size_t kLanczosMax = 200;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

double MeanSquare(const KernelRows& rows) {
  double sum = 0.0;
  // One huge row has no neighbours; it says nothing about the others' tiles.
  for (const double q : rows.centred_square) sum += std::min(q, 1e4);
  return sum / static_cast<double>(rows.rows());
}

double NormOfRows(const Matrix<double>& m, Index row,
                  const std::vector<double>& weights) {
  double sum = 0.0;
  const double* values = m.row(row);
  for (Index i = 0; i < m.cols(); ++i) {
    const double value = weights[At(i)] * values[i];
    sum += value * value;
  }
  return std::sqrt(sum);
}

}  // namespace

BlockRecurrence::BlockRecurrence(ScaledSystem& system,
                                 const Preconditioner* preconditioner,
                                 const ComputeContext& context)
    : system_(system),
      preconditioner_(preconditioner),
      context_(context),
      mean_square_(MeanSquare(system.rows())) {}

LanczosCoefficients BlockRecurrence::lanczos() const {
  LanczosCoefficients current = current_;
  if (pending_alpha_.has_value() && *pending_alpha_ > 0.0) {
    current.alpha.push_back(*pending_alpha_);
    current.beta.push_back(0.0);
  }
  return current.alpha.size() > longest_.alpha.size() ? current : longest_;
}

absl::Status BlockRecurrence::Precondition(Matrix<double>& v) const {
  if (preconditioner_ == nullptr) return absl::OkStatus();
  return preconditioner_->Apply(v, context_);
}

absl::Status BlockRecurrence::Restart(Matrix<double> residual) {
  r_ = std::move(residual);
  tile_errors_.assign(At(r_.rows()), 0.0);
  norms_.resize(At(r_.rows()));
  for (Index c = 0; c < r_.rows(); ++c) {
    norms_[At(c)] = NormOfRows(r_, c, system_.residual_weights());
  }
  if (r_.rows() > 1 && !companion_.has_value()) return StartCompanion();
  return absl::OkStatus();
}

// P := orth(N^-1 R - P A^-1 (SP)' N^-1 R)
absl::Status BlockRecurrence::NewDirections() {
  Matrix<double> d = r_;
  if (absl::Status done = Precondition(d); !done.ok()) return done;
  double beta = 0.0;
  if (conjugate_ && p_.rows() > 0) {
    Matrix<double> b = GramOf(sp_, d, context_.workers);
    if (SolvePositive(psp_, 0.0, b)) {
      Matrix<double> back(d.rows(), p_.rows());
      for (Index c = 0; c < d.rows(); ++c) {
        for (Index j = 0; j < p_.rows(); ++j) back(c, j) = -b(j, c);
      }
      AddCombinations(back, p_, d, context_.workers);
      beta = back(0, 0) / length_;
    }
  }
  OrthonormalRows next = Orthonormalise(d, context_.workers);
  p_ = std::move(next.rows);
  conjugate_ = false;
  if (r_.rows() == 1 && pending_alpha_.has_value()) {
    Record(*pending_alpha_, beta);
    pending_alpha_.reset();
  }
  length_ = next.first_length;
  return CheckStop(context_.stop);
}

// A step of one vector as Hestenes and Stiefel write it.
void BlockRecurrence::Record(double alpha, double beta) {
  if (alpha > 0.0 && beta >= 0.0 && std::isfinite(alpha + beta) &&
      current_.alpha.size() < kLanczosMax) {
    current_.alpha.push_back(alpha);
    current_.beta.push_back(beta);
    return;
  }
  // The run ends, after a residual that was recomputed: its last step counts.
  if (alpha > 0.0 && std::isfinite(alpha)) {
    current_.alpha.push_back(alpha);
    current_.beta.push_back(0.0);
  }
  const RitzValues ended = FindRitzValues(current_);
  if (ended.largest > 0.0) {
    least_of_ended_ = std::min(least_of_ended_, ended.least);
  }
  if (current_.alpha.size() > longest_.alpha.size()) {
    longest_ = std::move(current_);
  }
  current_ = {};
}

absl::Status BlockRecurrence::StartCompanion() {
  Companion one;
  one.r = TakeRows(r_, {0}, context_.workers);
  one.p = one.r;
  if (absl::Status done = Precondition(one.p); !done.ok()) return done;
  one.square = Dot(one.r.data(), one.p.data(), one.r.cols());
  one.done = !(one.square > 0.0);
  companion_ = std::move(one);
  return absl::OkStatus();
}

absl::Status BlockRecurrence::AdvanceCompanion(const double* sp) {
  Companion& one = *companion_;
  const Index n = one.r.cols();
  // alpha = r'N^-1 r / p'Sp;  r -= alpha Sp;  p = N^-1 r + beta p
  const double alpha = one.square / Dot(one.p.data(), sp, n);
  AddScaled(-alpha, sp, one.r.data(), n);
  Matrix<double> next = one.r;
  if (absl::Status done = Precondition(next); !done.ok()) return done;
  const double square = Dot(one.r.data(), next.data(), n);
  const double beta = square / one.square;
  if (!(alpha > 0.0 && square > 0.0 && std::isfinite(square)) ||
      current_.alpha.size() >= kLanczosMax) {
    one.done = true;
    return absl::OkStatus();
  }
  AddScaled(beta, one.p.data(), next.data(), n);
  one.p = std::move(next);
  one.square = square;
  current_.alpha.push_back(alpha);
  current_.beta.push_back(beta);
  return absl::OkStatus();
}

// z += P a, R -= S P a, and what both did to the norms. `unit`: the
// rounding of a number in a tile.
void BlockRecurrence::Update(const Matrix<double>& a, double unit,
                             Matrix<double>& z) {
  const Index n = r_.cols();
  const Index k = r_.rows();
  const Index m = p_.rows();
  Matrix<double> t(k, m);  // a'
  for (Index c = 0; c < k; ++c) {
    for (Index j = 0; j < m; ++j) t(c, j) = a(j, c);
  }
  const Index panels = (n + kVectorPanel - 1) / kVectorPanel;
  Matrix<double> squares(panels, k);
  Matrix<double> errors(panels, k);
  ForVectorPanels(
      n, context_.workers, [&](Index panel, Index first, Index count) {
        Matrix<double> step(k, count);
        Matrix<double> change(k, count);
        const Operand<double> factors(Block<const double>{t.data(), k, m, m});
        Gemm(1.0, factors,
             Operand<double>(
                 Block<const double>{p_.data() + first, m, count, n}),
             0.0, BlockOf(step));
        Gemm(1.0, factors,
             Operand<double>(
                 Block<const double>{sp_.data() + first, m, count, n}),
             0.0, BlockOf(change));
        for (Index c = 0; c < k; ++c) {
          const SquaredNorms norms =
              UpdatePanel(c, first, unit, step, change, z);
          squares(panel, c) = norms.residual;
          errors(panel, c) = norms.error;
        }
      });
  for (Index c = 0; c < k; ++c) {
    double square = 0.0;
    double error = 0.0;
    for (Index panel = 0; panel < panels; ++panel) {
      square += squares(panel, c);
      error += errors(panel, c);
    }
    norms_[At(c)] = std::sqrt(square);
    tile_errors_[At(c)] = std::hypot(tile_errors_[At(c)], std::sqrt(error));
  }
}

// Rows [first, first + step.cols()) of right-hand side c.
BlockRecurrence::SquaredNorms BlockRecurrence::UpdatePanel(
    Index c, Index first, double unit, const Matrix<double>& step,
    const Matrix<double>& change, Matrix<double>& z) {
  const std::vector<double>& weights = system_.residual_weights();
  const SymmetricForm& form = system_.form();
  const double logits = 2.0 * (1.0 + mean_square_);
  double* const zc = z.row(c) + first;
  double* const rc = r_.row(c) + first;
  SquaredNorms norms;
  for (Index i = 0; i < step.cols(); ++i) {
    const auto at = At(first + i);
    zc[i] += step(c, i);
    rc[i] -= change(c, i);
    const double weighted = weights[at] * rc[i];
    norms.residual += weighted * weighted;
    // What comes from tiles carries the errors of logits, too; a diagonal of 1
    // is added in float64.
    const double own = form.unit_diagonal ? 1.0 : form.shift[at];
    const double tiles = unit * logits * (change(c, i) - own * step(c, i));
    const double rounded = kUnitRoundoff * step(c, i);
    norms.error +=
        weights[at] * weights[at] * (tiles * tiles + rounded * rounded);
  }
  return norms;
}

absl::StatusOr<bool> BlockRecurrence::Step(TilePrecision precision,
                                           Matrix<double>& z) {
  absl::Status done = NewDirections();
  if (!done.ok()) return done;
  const Index n = r_.cols();
  const Index m = p_.rows();
  if (m == 0) return false;
  const bool follow = companion_.has_value() && !companion_->done;
  Matrix<double> v(follow ? m + 1 : m, n);
  std::copy(p_.data(), p_.data() + p_.size(), v.data());
  if (follow)
    std::copy(companion_->p.row(0), companion_->p.row(0) + n, v.row(m));
  Matrix<double> sv(v.rows(), n);
  done = system_.Apply(v, precision, sv, context_);
  if (!done.ok()) return done;
  if (follow) {
    done = AdvanceCompanion(sv.row(m));
    if (!done.ok()) return done;
  }
  sp_ = Matrix<double>(m, n);
  std::copy(sv.data(), sv.data() + sp_.size(), sp_.data());
  psp_ = GramOf(p_, sp_, context_.workers);
  Matrix<double> a = GramOf(p_, r_, context_.workers);
  const double floor = static_cast<double>(n) * kUnitRoundoff;
  if (!SolvePositive(psp_, floor, a)) return false;
  conjugate_ = true;
  Update(a,
         precision == TilePrecision::kFloat32 ? kUnitRoundoff32 : kUnitRoundoff,
         z);
  if (r_.rows() == 1) pending_alpha_ = a(0, 0) / length_;
  return true;
}

}  // namespace steelyard
