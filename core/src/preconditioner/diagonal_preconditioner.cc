#include "preconditioner/diagonal_preconditioner.h"

#include <algorithm>
#include <cmath>

#include "linalg/stopped.h"

namespace steelyard {
namespace {

// e^600 squared leaves float64, but no inner product squares entries of P^-1.
constexpr double kLogRangeMax = 600.0;
constexpr Index kPanel = Index{1} << 16;

}  // namespace

DiagonalPreconditioner DiagonalPreconditioner::None(const SymmetricForm& form) {
  std::vector<double> log_scale = form.log_right;
  if (form.normalization == KernelNormalization::kSoftmaxRows) {
    std::transform(form.weight.begin(), form.weight.end(), log_scale.begin(),
                   [](double w) { return std::log(w); });
  }
  const double most = *std::max_element(log_scale.begin(), log_scale.end());
  for (double& value : log_scale) {
    value = std::exp(std::min(kLogRangeMax, 2.0 * (most - value)));
  }
  return {KernelPreconditioner::kNone, std::move(log_scale)};
}

DiagonalPreconditioner DiagonalPreconditioner::Jacobi() {
  return {KernelPreconditioner::kJacobi, {}};
}

std::int64_t DiagonalPreconditioner::bytes() const {
  return static_cast<std::int64_t>(sizeof(*this) +
                                   inverse_.capacity() * sizeof(double));
}

std::string DiagonalPreconditioner::Describe() const {
  return kind_ == KernelPreconditioner::kNone ? "no preconditioner"
                                              : "Jacobi scaling";
}

absl::Status DiagonalPreconditioner::Apply(
    Matrix<double>& v, const ComputeContext& context) const {
  if (inverse_.empty()) return CheckStop(context.stop);
  const Index n = v.cols();
  const Index panels = (n + kPanel - 1) / kPanel;
  context.workers.ParallelFor(panels * v.rows(), context.stop, [&](Index task) {
    double* row = v.row(task / panels);
    const Index first = task % panels * kPanel;
    const Index last = std::min(n, first + kPanel);
    for (Index i = first; i < last; ++i) {
      row[i] *= inverse_[static_cast<std::size_t>(i)];
    }
  });
  return CheckStop(context.stop);
}

}  // namespace steelyard
