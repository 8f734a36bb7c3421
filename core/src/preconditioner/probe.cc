#include "preconditioner/probe.h"

#include <algorithm>
#include <cmath>

#include "linalg/blas.h"
#include "linalg/stopped.h"
#include "steelyard/random.h"

namespace steelyard {
namespace {

constexpr std::uint64_t kRightHandSideStream = 0x5252;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

double ProductsOf(Index d, Index k) {
  return static_cast<double>(d + 2 * k) / static_cast<double>(d + 2);
}

Probe::Probe(const PreconditionerSource& source, TilePrecision precision)
    : source_(source),
      precision_(precision),
      c_(1, source.rows.rows()),
      weights_(At(source.rows.rows())) {
  const RandomStream random{.seed = {source.seed},
                            .stream = kRightHandSideStream};
  const std::vector<double>& log_left = source.form.log_left;
  const auto [least, most] =
      std::minmax_element(log_left.begin(), log_left.end());
  for (Index i = 0; i < c_.cols(); ++i) {
    c_(0, i) = std::exp(log_left[At(i)] - *most) *
               random.Normal(static_cast<std::uint64_t>(i));
    weights_[At(i)] = std::exp(*least - log_left[At(i)]);
  }
  norm_ = ResidualNorm(c_);
}

double Probe::ResidualNorm(const Matrix<double>& residual) const {
  double sum = 0.0;
  for (Index i = 0; i < residual.cols(); ++i) {
    const double value = weights_[At(i)] * residual(0, i);
    sum += value * value;
  }
  return std::sqrt(sum);
}

absl::StatusOr<Index> Probe::Add(const Preconditioner& preconditioner,
                                 const ComputeContext& context) {
  State state{.residual = c_, .direction = c_};
  // p = P^-1 r
  absl::Status done = preconditioner.Apply(state.direction, context);
  if (!done.ok()) return done;
  state.square = Dot(c_.data(), state.direction.data(), c_.cols());
  runs_.push_back(
      {.preconditioner = &preconditioner, .residuals = {1.0}, .norms = {1.0}});
  runs_.back().broken = !(state.square > 0.0 && norm_ > 0.0);
  states_.push_back(std::move(state));
  return static_cast<Index>(runs_.size()) - 1;
}

absl::Status Probe::Step(const std::vector<Index>& runs,
                         const ComputeContext& context) {
  std::vector<Index> able;
  for (const Index run : runs) {
    if (!runs_[At(run)].broken) able.push_back(run);
  }
  if (able.empty()) return CheckStop(context.stop);
  const auto k = static_cast<Index>(able.size());
  const Index n = c_.cols();
  const SymmetricForm& form = source_.form;
  Matrix<double> p(k, n);
  Matrix<double> ep(k, n);
  for (Index c = 0; c < k; ++c) {
    const double* from = states_[At(able[At(c)])].direction.data();
    for (Index i = 0; i < n; ++i) p(c, i) = form.weight[At(i)] * from[i];
  }
  absl::Status done = precision_ == TilePrecision::kFloat32
                          ? source_.product.MultiplyFloat32(p, ep, context)
                          : source_.product.Multiply(p, ep, context);
  if (!done.ok()) return done;
  const Index d = source_.rows.cols();
  products_ += ProductsOf(d, k);
  for (Index c = 0; c < k; ++c) {
    const Index run = able[At(c)];
    products_ += 4.0 *
                 static_cast<double>(runs_[At(run)].preconditioner->rank()) /
                 (static_cast<double>(n) * static_cast<double>(d + 2));
    done = Advance(run, ep.row(c), context);
    if (!done.ok()) return done;
  }
  return absl::OkStatus();
}

absl::Status Probe::Advance(Index run, const double* ep,
                            const ComputeContext& context) {
  ProbeRun& record = runs_[At(run)];
  State& state = states_[At(run)];
  const Index n = c_.cols();
  double* const direction = state.direction.data();
  double* const r = state.residual.data();
  // Sp = w E (w p) + shift p
  Matrix<double> sp(1, n);
  for (Index i = 0; i < n; ++i) {
    sp(0, i) = source_.form.weight[At(i)] * ep[i] +
               source_.form.shift[At(i)] * direction[i];
  }
  const double curvature = Dot(direction, sp.data(), n);
  if (!(curvature > 0.0) || !std::isfinite(curvature)) {
    record.broken = true;
    return absl::OkStatus();
  }
  // alpha = r'P^-1 r / p'Sp;  r -= alpha Sp
  const double alpha = state.square / curvature;
  AddScaled(-alpha, sp.data(), r, n);
  // beta = r'P^-1 r / (old one);  p = P^-1 r + beta p
  Matrix<double> z = state.residual;
  absl::Status done = record.preconditioner->Apply(z, context);
  if (!done.ok()) return done;
  const double square = Dot(r, z.data(), n);
  const double beta = square / state.square;
  for (Index i = 0; i < n; ++i) direction[i] = z(0, i) + beta * direction[i];
  state.square = square;
  record.lanczos.alpha.push_back(alpha);
  record.lanczos.beta.push_back(beta);
  record.norms.push_back(record.norms.back() * std::sqrt(std::abs(beta)));
  record.residuals.push_back(ResidualNorm(state.residual) / norm_);
  record.broken = !(square > 0.0) || !std::isfinite(record.residuals.back());
  return absl::OkStatus();
}

}  // namespace steelyard
