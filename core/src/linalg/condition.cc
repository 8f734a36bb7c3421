#include "linalg/condition.h"

#include <algorithm>
#include <cmath>

#include "linalg/triangular.h"
#include "steelyard/random.h"

namespace steelyard {
namespace {

constexpr Index kVectors = 4;
constexpr int kSteps = 10;
constexpr Seed kSeed{0x5ca1e};

Matrix<double> RandomSigns(Index n) {
  const RandomStream random{.seed = kSeed, .stream = 0};
  Matrix<double> x(n, kVectors);
  for (Index i = 0; i < x.size(); ++i) {
    x.data()[i] = random.Sign(static_cast<std::uint64_t>(i));
  }
  return x;
}

// Divides the columns by their norms; returns the largest of these.
double Normalise(Matrix<double>& x) {
  double largest = 0.0;
  for (Index j = 0; j < x.cols(); ++j) {
    double sum = 0.0;
    for (Index i = 0; i < x.rows(); ++i) sum += x(i, j) * x(i, j);
    const double norm = std::sqrt(sum);
    largest = std::max(largest, norm);
    for (Index i = 0; i < x.rows() && norm > 0.0; ++i) x(i, j) /= norm;
  }
  return largest;
}

}  // namespace

absl::StatusOr<double> EstimateCondition(Block<const double> r,
                                         const ComputeContext& context) {
  Matrix<double> x = RandomSigns(r.rows);
  Matrix<double> y(r.rows, kVectors);
  Normalise(x);
  double largest = 0.0;  // of sigma_1^2
  for (int step = 0; step < kSteps; ++step) {
    absl::Status s = MultiplyUpper(r, BlockOf(x), BlockOf(y), context);
    if (!s.ok()) return s;
    s = MultiplyUpper(Transposed(r), BlockOf(y), BlockOf(x), context);
    if (!s.ok()) return s;
    largest = Normalise(x);
  }
  x = RandomSigns(r.rows);
  Normalise(x);
  double inverse = 0.0;  // of sigma_n^-2
  for (int step = 0; step < kSteps; ++step) {
    absl::Status s = SolveUpper(Transposed(r), BlockOf(x), context);
    if (!s.ok()) return s;
    s = SolveUpper(r, BlockOf(x), context);
    if (!s.ok()) return s;
    inverse = Normalise(x);
  }
  return std::max(1.0, std::sqrt(largest) * std::sqrt(inverse));
}

}  // namespace steelyard
