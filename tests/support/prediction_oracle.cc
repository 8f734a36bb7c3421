#include "tests/support/prediction_oracle.h"

#include <cmath>

namespace steelyard::test {
namespace {

// s q.a, or -s|q - a|^2 / 2.
long double LogitOf(const KernelSystem& system, const double* q,
                    const double* a) {
  const bool unit = system.normalization == KernelNormalization::kUnitDiagonal;
  long double sum = 0.0L;
  for (Index c = 0; c < system.a.cols(); ++c) {
    const long double x = q[c];
    const long double y = a[c];
    sum += unit ? -0.5L * (x - y) * (x - y) : x * y;
  }
  return system.scale * sum;
}

}  // namespace

std::vector<PredictedEntry> PredictInLongDouble(const KernelSystem& system,
                                                const Matrix<double>& x,
                                                const Matrix<double>& queries) {
  const Index k = x.cols();
  std::vector<PredictedEntry> out(static_cast<std::size_t>(queries.rows() * k));
  for (Index i = 0; i < queries.rows(); ++i) {
    PredictedEntry* row = out.data() + i * k;
    long double sum = 0.0L;
    for (Index j = 0; j < system.a.rows(); ++j) {
      const long double entry =
          std::exp(LogitOf(system, queries.row(i), system.a.row(j)));
      sum += entry;
      for (Index c = 0; c < k; ++c) {
        row[c].value += entry * x(j, c);
        row[c].size += std::abs(entry * x(j, c));
      }
    }
    if (system.normalization != KernelNormalization::kSoftmaxRows) continue;
    for (Index c = 0; c < k; ++c) {
      row[c].value /= sum;
      row[c].size /= sum;
    }
  }
  return out;
}

}  // namespace steelyard::test
