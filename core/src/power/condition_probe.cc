#include "power/condition_probe.h"

#include <cmath>
#include <utility>
#include <vector>

#include "factor/gram.h"
#include "factor/row_loader.h"
#include "linalg/cholesky.h"
#include "linalg/condition.h"

namespace steelyard {
namespace {

constexpr Index kRowsPerColumn = 4;

Matrix<double> EvenRows(const AnyMatrixView& a, Index count) {
  const RowLoader rows(a, {});
  Matrix<double> sample(count, Cols(a));
  for (Index i = 0; i < count; ++i) {
    rows.Load(Rows(a) * i / count, 0, {sample.row(i), 1, Cols(a), Cols(a)});
  }
  return sample;
}

}  // namespace

absl::StatusOr<bool> LooksIllConditioned(const AnyMatrixView& a,
                                         double condition_max,
                                         const ComputeContext& context) {
  const Index d = Cols(a);
  const Index count = kRowsPerColumn * d;
  if (Rows(a) < 2 * count) return false;
  const Matrix<double> sample = EvenRows(a, count);
  absl::StatusOr<Matrix<double>> gram =
      UpperGram(RowLoader(sample.view(), {}), context);
  if (!gram.ok()) return gram.status();
  std::vector<double> factors;
  for (Index c = 0; c < d; ++c) {
    const double square = (*gram)(c, c);
    // Also where it has overflowed or is no number.
    if (!(square > 0.0 && std::isfinite(square))) return false;
    factors.push_back(1.0 / std::sqrt(square));
  }
  for (Index i = 0; i < d; ++i) {
    for (Index j = i; j < d; ++j) {
      (*gram)(i, j) *= factors[static_cast<std::size_t>(i)] *
                       factors[static_cast<std::size_t>(j)];
    }
  }
  const absl::StatusOr<CholeskyOutcome> outcome =
      CholeskyInPlace(gram->data(), d, d, context);
  if (!outcome.ok()) return outcome.status();
  if (!outcome->positive_definite) return true;
  const absl::StatusOr<double> condition =
      EstimateCondition(BlockOf(std::as_const(*gram)), context);
  if (!condition.ok()) return condition.status();
  return *condition > condition_max;
}

}  // namespace steelyard
