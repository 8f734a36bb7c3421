// What every preconditioner promises, whatever its kind: one suite that a new
// kind joins by one line in AllKinds.
#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "linalg/cholesky.h"
#include "linalg/svd.h"
#include "preconditioner/polynomial_sketch.h"
#include "preconditioner/preconditioner.h"
#include "tests/core/preconditioner/preconditioner_cases.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/bounds.h"

namespace steelyard {
namespace {

using test::LoadedKernel;
using test::LongMatrix;
using test::PreconditionerCase;

// A new kind joins here.
std::vector<KernelPreconditioner> AllKinds() {
  return {KernelPreconditioner::kNone, KernelPreconditioner::kJacobi,
          KernelPreconditioner::kRpCholesky,
          KernelPreconditioner::kPolynomialSketch};
}

std::string Word(KernelPreconditioner kind) {
  switch (kind) {
    case KernelPreconditioner::kNone:
      return "None";
    case KernelPreconditioner::kJacobi:
      return "Jacobi";
    case KernelPreconditioner::kRpCholesky:
      return "RpCholesky";
    case KernelPreconditioner::kPolynomialSketch:
      return "PolynomialSketch";
  }
  return "";
}

bool HasRank(KernelPreconditioner kind) {
  return kind == KernelPreconditioner::kRpCholesky ||
         kind == KernelPreconditioner::kPolynomialSketch;
}

// Largest entry of D^-1, whatever the rank: D is at least the shift and the
// floor.
double InverseDiagonal(const LoadedKernel& kernel) {
  double most = 0.0;
  for (Index i = 0; i < kernel.n(); ++i) {
    const double shift =
        kernel.problem.form().shift[static_cast<std::size_t>(i)];
    most = std::max(
        most, 1.0 / std::max(shift, DiagonalFloor(kernel.problem.rows(), i)));
  }
  return most;
}

class PreconditionerContractTest
    : public testing::TestWithParam<KernelPreconditioner> {
 protected:
  std::unique_ptr<Preconditioner> Make(const LoadedKernel& kernel, Index rank,
                                       std::uint64_t seed = 3) {
    auto made =
        MakePreconditioner(GetParam(), rank, kernel.Source(seed), context_);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : nullptr;
  }
  // Rows that are too long for the kind: an error that says so.
  bool Refuses(const LoadedKernel& kernel) {
    if (GetParam() != KernelPreconditioner::kPolynomialSketch ||
        LargestSquare(kernel.problem.rows()) <= kTaylorSquareMax) {
      return false;
    }
    EXPECT_EQ(MakePreconditioner(GetParam(), 2, kernel.Source(), context_)
                  .status()
                  .code(),
              absl::StatusCode::kInvalidArgument);
    return true;
  }
  std::vector<Index> Ranks(Index n) const {
    if (!HasRank(GetParam())) return {0};
    return {1, std::max<Index>(1, n / 3), n, 2 * n};
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

INSTANTIATE_TEST_SUITE_P(All, PreconditionerContractTest,
                         testing::ValuesIn(AllKinds()),
                         [](const auto& test) { return Word(test.param); });

TEST_P(PreconditionerContractTest, IsSymmetricPositiveDefinite) {
  for (const PreconditionerCase& c : test::AwkwardKernels()) {
    const LoadedKernel kernel(c.a, c.options, context_);
    if (Refuses(kernel)) continue;
    const Index n = kernel.n();
    for (const Index rank : Ranks(n)) {
      SCOPED_TRACE(c.name + " " + std::to_string(rank));
      const auto made = Make(kernel, rank);
      ASSERT_NE(made, nullptr);
      EXPECT_EQ(made->kind(), GetParam());
      EXPECT_LE(made->rank(), std::min(rank, n));
      EXPECT_FALSE(made->Describe().empty());
      auto inverse = test::DenseInverse(*made, n, context_);
      ASSERT_TRUE(inverse.ok());
      // What cancels in Woodbury is some u |D^-1|.
      const double bound =
          test::Gamma(8 * (n + made->rank())) * InverseDiagonal(kernel);
      for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < n; ++j) {
          ASSERT_TRUE(std::isfinite((*inverse)(i, j)));
          EXPECT_NEAR((*inverse)(i, j), (*inverse)(j, i), bound);
        }
      }
      // Scaled to unit diagonal, so that only a sign can fail.
      Matrix<double> scaled = *inverse;
      for (Index i = 0; i < n; ++i) {
        ASSERT_GT((*inverse)(i, i), 0.0);
        for (Index j = 0; j < n; ++j) {
          scaled(i, j) /= std::sqrt((*inverse)(i, i) * (*inverse)(j, j));
        }
      }
      const auto outcome = CholeskyInPlace(scaled.data(), n, n, context_);
      ASSERT_TRUE(outcome.ok());
      EXPECT_TRUE(outcome->positive_definite);
    }
  }
}

// Eigenvalues of P^-1 S: those of R S R' with R'R = P^-1, the least and the
// largest.
struct Extremes {
  double least;
  double largest;
};

TEST_P(PreconditionerContractTest, IsNeverMuchWorseThanJacobi) {
  // Not claimed of the other two: without preconditioner the condition is that
  // of the caller's units, a sketch is as good as its columns are many.
  const bool claimed = GetParam() == KernelPreconditioner::kJacobi ||
                       GetParam() == KernelPreconditioner::kRpCholesky;
  for (const PreconditionerCase& c : test::AwkwardKernels()) {
    if (!claimed) continue;
    const LoadedKernel kernel(c.a, c.options, context_);
    const Index n = kernel.n();
    const LongMatrix s =
        test::DenseForm(kernel.problem.rows(), kernel.problem.form(), true);
    const auto extremes = [&](Matrix<double> inverse) -> Extremes {
      EXPECT_TRUE(CholeskyInPlace(inverse.data(), n, n, context_).ok());
      Matrix<double> product(n, n);
      for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < n; ++j) {
          long double sum = 0.0L;
          for (Index p = i; p < n; ++p) {
            for (Index q = j; q < n; ++q) {
              sum +=
                  static_cast<long double>(inverse(i, p)) *
                  s[static_cast<std::size_t>(p)][static_cast<std::size_t>(q)] *
                  inverse(j, q);
            }
          }
          product(i, j) = static_cast<double>(sum);
        }
      }
      const auto values = SingularValues(std::move(product));
      EXPECT_TRUE(values.ok());
      return {values->back(), values->front()};
    };
    Matrix<double> identity(n, n);
    for (Index i = 0; i < n; ++i) identity(i, i) = 1.0;
    const Extremes jacobi = extremes(identity);
    for (const Index rank : Ranks(n)) {
      SCOPED_TRACE(c.name + " " + std::to_string(rank));
      const auto made = Make(kernel, rank);
      ASSERT_NE(made, nullptr);
      const auto inverse = test::DenseInverse(*made, n, context_);
      ASSERT_TRUE(inverse.ok());
      const Extremes now = extremes(*inverse);
      // x'Px <= x'Sx + x'x, so that the least eigenvalue is at least l / (1 +
      // l), l that of S; the largest is at most 4 n, the trace of what is left
      // in units of its own diagonal, of which P has a quarter.
      const double least = jacobi.least / (1.0 + jacobi.least);
      EXPECT_GE(now.least, least * (1.0 - 1e-3));
      EXPECT_LE(now.largest, 4.0 * static_cast<double>(n) * (1.0 + 1e-3));
      EXPECT_LE(now.largest / now.least,
                4.0 * jacobi.largest / jacobi.least + 1e-3);
    }
  }
}

TEST_P(PreconditionerContractTest, SameBitsForAnyNumberOfWorkers) {
  // More than one panel of every loop.
  const Matrix<double> a = test::RowsOfNorm(2200, 5, 1.0, 4);
  const auto options = test::KernelOptionsOf(KernelNormalization::kNone, 1e-2);
  const LoadedKernel kernel(a, options, context_);
  for (const Index k : {1, 3}) {
    const Matrix<double> v = test::RowsOfNorm(k, 2200, 1.0, 5);
    Matrix<double> first;
    for (const int count : {1, 2, 3, 4}) {
      const Workers workers(count);
      const ComputeContext context{.workers = workers};
      const auto made =
          MakePreconditioner(GetParam(), 40, kernel.Source(), context);
      ASSERT_TRUE(made.ok());
      Matrix<double> out = v;
      ASSERT_TRUE((*made)->Apply(out, context).ok());
      if (count == 1) first = out;
      EXPECT_TRUE(
          std::equal(first.data(), first.data() + first.size(), out.data()));
    }
    if (!HasRank(GetParam())) continue;
    Matrix<double> other = v;
    const auto made = Make(kernel, 40, 4);
    ASSERT_TRUE(made->Apply(other, context_).ok());
    EXPECT_FALSE(
        std::equal(first.data(), first.data() + first.size(), other.data()));
  }
}

TEST_P(PreconditionerContractTest, VectorsDoNotMeet) {
  const LoadedKernel kernel(
      test::RowsOfNorm(300, 5, 1.0, 4),
      test::KernelOptionsOf(KernelNormalization::kUnitDiagonal, 0.1), context_);
  const auto made = Make(kernel, 30);
  ASSERT_NE(made, nullptr);
  const Matrix<double> v = test::RowsOfNorm(3, 300, 1.0, 5);
  Matrix<double> together = v;
  ASSERT_TRUE(made->Apply(together, context_).ok());
  for (Index c = 0; c < 3; ++c) {
    Matrix<double> alone(1, 300);
    std::copy(v.row(c), v.row(c) + 300, alone.row(0));
    ASSERT_TRUE(made->Apply(alone, context_).ok());
    // |P^-1| <= 1 / ridge of the scaled form, n + r terms a sum.
    const double bound = test::Gamma(4 * 330) * 300.0 * 11.0 * 11.0;
    for (Index i = 0; i < 300; ++i) {
      EXPECT_NEAR(alone(0, i), together(c, i), bound);
    }
  }
}

TEST_P(PreconditionerContractTest, AStopAtAnyLookEndsIt) {
  const LoadedKernel kernel(
      test::RowsOfNorm(3000, 5, 1.0, 4),
      test::KernelOptionsOf(KernelNormalization::kUnitDiagonal, 0.1), context_);
  const auto code_at = [&](std::int64_t look, bool make) {
    StopSource source;
    source.StopAtLook(look);
    const ComputeContext context{.workers = workers_, .stop = source.token()};
    if (make) {
      return MakePreconditioner(GetParam(), 40, kernel.Source(), context)
          .status()
          .code();
    }
    Matrix<double> v(2, 3000);
    return Make(kernel, 40)->Apply(v, context).code();
  };
  EXPECT_EQ(code_at(1, false), absl::StatusCode::kCancelled);
  if (!HasRank(GetParam())) return;
  StopSource counting;
  const ComputeContext context{.workers = workers_, .stop = counting.token()};
  ASSERT_TRUE(
      MakePreconditioner(GetParam(), 40, kernel.Source(), context).ok());
  const std::int64_t looks = counting.token().looks();
  ASSERT_GT(looks, 10);
  for (const std::int64_t look : {std::int64_t{1}, looks / 3, looks - 1}) {
    EXPECT_EQ(code_at(look, true), absl::StatusCode::kCancelled) << look;
  }
  EXPECT_EQ(code_at(3, false), absl::StatusCode::kCancelled);
}

TEST_P(PreconditionerContractTest, BytesAreWhatItHolds) {
  const LoadedKernel kernel(
      test::RowsOfNorm(2000, 5, 1.0, 4),
      test::KernelOptionsOf(KernelNormalization::kNone, 0.1), context_);
  // A first one, so that buffers that stay are there.
  ASSERT_NE(Make(kernel, 50), nullptr);
  const test::AllocationPeak before;
  const auto made = Make(kernel, 50);
  const std::int64_t peak = before.bytes();
  // From here on the peak is what is held.
  const test::AllocationPeak now;
  const std::int64_t held = before.bytes();
  // Allocations are rounded up, a page at most for each of some ten.
  EXPECT_NEAR(static_cast<double>(made->bytes()), static_cast<double>(held),
              0.05 * static_cast<double>(held) + 1024.0);
  EXPECT_LE(static_cast<double>(peak),
            CostOfPreconditioner(GetParam(), 50, 2000, 5, 2).bytes);
}

}  // namespace
}  // namespace steelyard
