// What every solver promises, whatever its method: one suite that a new method
// joins by one line in AllSolvers.
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/power_regression.h"
#include "steelyard/status.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

constexpr Index kRows = 60;
constexpr Index kColumns = 5;
constexpr Index kSides = 3;

using Solve = std::function<absl::StatusOr<Solution>(
    const AnyMatrixView& a, const AnyMatrixView& b, const ComputeContext&)>;

struct Solver {
  std::string name;
  Index b_rows;
  Solve solve;
  // Takes A by its entries: an error counts these.
  bool sparse = false;
};

void PrintTo(const Solver& solver, std::ostream* out) { *out << solver.name; }

Solver Power(const std::string& name, PowerFamily family, PowerMethod method) {
  PowerRegressionOptions options;
  options.family = family;
  options.exponent = 2;
  options.method = method;
  return {name, family == PowerFamily::kLeftGramPower ? kRows : kColumns,
          [options](const AnyMatrixView& a, const AnyMatrixView& b,
                    const ComputeContext& context) {
            return SolvePowerRegression(a, b, options, context);
          }};
}

// All numbers of A, entry by entry.
Solver Sparse(const std::string& name, PowerFamily family,
              std::optional<PowerMethod> method) {
  PowerRegressionOptions options;
  options.family = family;
  options.exponent = 2;
  options.method = method;
  return {name, family == PowerFamily::kLeftGramPower ? kRows : kColumns,
          [options](const AnyMatrixView& a, const AnyMatrixView& b,
                    const ComputeContext& context) {
            const auto& numbers = std::get<MatrixView<double>>(a);
            std::vector<std::int64_t> offsets;
            std::vector<std::int32_t> columns;
            for (Index i = 0; i <= kRows; ++i) offsets.push_back(i * kColumns);
            for (Index e = 0; e < kRows * kColumns; ++e) {
              columns.push_back(static_cast<std::int32_t>(e % kColumns));
            }
            const CsrView<double> csr(offsets.data(), columns.data(),
                                      numbers.data(), kRows, kColumns,
                                      kRows * kColumns);
            return SolvePowerRegression(AnyCsrView(csr), b, options, context);
          },
          true};
}

// The residual of a sum loses e^(2 s_1^2), 1e6 for A() below.
Solver Series() {
  PowerRegressionOptions options;
  options.family = PowerFamily::kMatrixExponential;
  options.method = PowerMethod::kSeries;
  options.tolerance = 1e-8;
  return {"Series", kColumns,
          [options](const AnyMatrixView& a, const AnyMatrixView& b,
                    const ComputeContext& context) {
            return SolvePowerRegression(a, b, options, context);
          }};
}

Solver Kernel(const std::string& name, KernelNormalization normalization,
              KernelMethod method) {
  AttentionKernelOptions options;
  options.normalization = normalization;
  options.method = method;
  options.ridge = 0.1;
  options.tolerance = 1e-10;
  return {name, kRows,
          [options](const AnyMatrixView& a, const AnyMatrixView& b,
                    const ComputeContext& context) {
            return SolveAttentionKernelRegression(a, b, options, context);
          }};
}

Solver Preconditioned(const std::string& name,
                      KernelNormalization normalization,
                      KernelPreconditioner preconditioner) {
  AttentionKernelOptions options;
  options.normalization = normalization;
  options.method = KernelMethod::kConjugateGradient;
  options.preconditioner = preconditioner;
  options.ridge = 0.1;
  options.row_ridge.assign(kRows, 0.02);
  options.tolerance = 1e-10;
  return {name, kRows,
          [options](const AnyMatrixView& a, const AnyMatrixView& b,
                    const ComputeContext& context) {
            return SolveAttentionKernelRegression(a, b, options, context);
          }};
}

// A new method joins here.
std::vector<Solver> AllSolvers() {
  using F = PowerFamily;
  using N = KernelNormalization;
  using P = KernelPreconditioner;
  constexpr auto kDense = KernelMethod::kCholesky;
  constexpr auto kFree = KernelMethod::kConjugateGradient;
  constexpr auto kBlocks = KernelMethod::kBlockCoordinate;
  return {
      Power("EvenGram", F::kGramPower, PowerMethod::kGram),
      Power("EvenQr", F::kGramPower, PowerMethod::kQr),
      Power("EvenSvd", F::kGramPower, PowerMethod::kSvd),
      Power("OddGram", F::kLeftGramPower, PowerMethod::kGram),
      Power("OddQr", F::kLeftGramPower, PowerMethod::kQr),
      Power("OddSvd", F::kLeftGramPower, PowerMethod::kSvd),
      Power("EvenPublished", F::kGramPower, PowerMethod::kSketchPublished),
      Power("OddPublished", F::kLeftGramPower, PowerMethod::kSketchPublished),
      Power("Exponential", F::kMatrixExponential, PowerMethod::kSvd),
      Series(),
      Power("EvenSketch", F::kGramPower, PowerMethod::kSketch),
      Power("OddSketch", F::kLeftGramPower, PowerMethod::kSketch),
      Sparse("EvenSparse", F::kGramPower, std::nullopt),
      Sparse("OddSparse", F::kLeftGramPower, std::nullopt),
      Sparse("EvenSparseGram", F::kGramPower, PowerMethod::kGram),
      Sparse("OddSparseQr", F::kLeftGramPower, PowerMethod::kQr),
      Sparse("EvenSparseSketch", F::kGramPower, PowerMethod::kSketch),
      Sparse("OddSparseSketch", F::kLeftGramPower, PowerMethod::kSketch),
      Sparse("SparseExponential", F::kMatrixExponential, std::nullopt),
      Kernel("KernelDense", N::kNone, kDense),
      Kernel("KernelFree", N::kNone, kFree),
      Kernel("UnitDiagonalDense", N::kUnitDiagonal, kDense),
      Kernel("UnitDiagonalFree", N::kUnitDiagonal, kFree),
      Kernel("SoftmaxRowsDense", N::kSoftmaxRows, kDense),
      Kernel("SoftmaxRowsFree", N::kSoftmaxRows, kFree),
      Kernel("KernelBlocks", N::kNone, kBlocks),
      Kernel("UnitDiagonalBlocks", N::kUnitDiagonal, kBlocks),
      Kernel("SoftmaxRowsBlocks", N::kSoftmaxRows, kBlocks),
      Preconditioned("UnitDiagonalUnscaled", N::kUnitDiagonal, P::kNone),
      Preconditioned("KernelRpCholesky", N::kNone, P::kRpCholesky),
      Preconditioned("SoftmaxRowsRpCholesky", N::kSoftmaxRows, P::kRpCholesky),
  };
}

Matrix<double> A() {
  Matrix<double> a = test::NormalMatrix(kRows, kColumns, Seed{1});
  for (Index i = 0; i < a.size(); ++i) a.data()[i] *= 0.25;
  return a;
}

Matrix<double> B(const Solver& solver, double scale = 1.0) {
  Matrix<double> b = test::NormalMatrix(solver.b_rows, kSides, Seed{2});
  for (Index i = 0; i < b.size(); ++i) b.data()[i] *= scale;
  return b;
}

class SolverContractTest : public testing::TestWithParam<Solver> {
 protected:
  absl::StatusOr<Solution> SolveWith(const Matrix<double>& a,
                                     const Matrix<double>& b,
                                     StopToken stop = {},
                                     int workers = 2) const {
    const Workers pool(workers);
    return GetParam().solve(a.view(), b.view(), ComputeContext{pool, stop});
  }
};

INSTANTIATE_TEST_SUITE_P(All, SolverContractTest,
                         testing::ValuesIn(AllSolvers()),
                         [](const auto& solver) { return solver.param.name; });

// |x - y| / |x| of column c.
double Distance(const Matrix<double>& x, const Matrix<double>& y, Index c,
                Index y_column, double y_scale) {
  double square = 0.0;
  double size = 0.0;
  for (Index i = 0; i < x.rows(); ++i) {
    square += std::pow(x(i, c) - y_scale * y(i, y_column), 2);
    size += x(i, c) * x(i, c);
  }
  return std::sqrt(square / size);
}

TEST_P(SolverContractTest, AnEasySystemConvergesWithACompleteReport) {
  const auto solution = SolveWith(A(), B(GetParam()));
  ASSERT_TRUE(solution.ok()) << solution.status();
  const SolveReport& report = solution->report;
  EXPECT_EQ(report.termination, Termination::kConverged);
  EXPECT_EQ(solution->x.cols(), kSides);
  for (const auto* entries : {&report.relative_residual, &report.residual_floor,
                              &report.backward_error, &report.forward_error}) {
    ASSERT_EQ(entries->size(), static_cast<std::size_t>(kSides));
    for (const double entry : *entries) {
      EXPECT_TRUE(std::isfinite(entry));
      EXPECT_GE(entry, 0.0);
    }
  }
  EXPECT_EQ(report.converged, std::vector<bool>(kSides, true));
  EXPECT_FALSE(report.method.empty());
  EXPECT_GE(report.condition_estimate, 1.0);
}

TEST_P(SolverContractTest, ZeroOnTheRightIsZeroOnTheLeft) {
  const auto solution =
      SolveWith(A(), Matrix<double>(GetParam().b_rows, kSides));
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->report.termination, Termination::kConverged);
  for (Index i = 0; i < solution->x.size(); ++i) {
    EXPECT_EQ(solution->x.data()[i], 0.0);
  }
}

TEST_P(SolverContractTest, NamesWhatIsNotFinite) {
  Matrix<double> a = A();
  a(7, 2) = std::numeric_limits<double>::quiet_NaN();
  const auto bad_a = SolveWith(a, B(GetParam()));
  ASSERT_EQ(bad_a.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(bad_a.status())->field,
            GetParam().sparse ? "a.values" : "a");
  EXPECT_EQ(DetailOf(bad_a.status())->metadata.at("index"),
            std::to_string(7 * kColumns + 2));

  Matrix<double> b = B(GetParam());
  b(3, 1) = -std::numeric_limits<double>::infinity();
  const auto bad_b = SolveWith(A(), b);
  ASSERT_EQ(bad_b.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(bad_b.status())->field, "b");
  EXPECT_EQ(DetailOf(bad_b.status())->metadata.at("index"),
            std::to_string(3 * kSides + 1));
}

TEST_P(SolverContractTest, AnyNumberOfWorkersGivesTheSameBits) {
  const auto one = SolveWith(A(), B(GetParam()), {}, 1);
  ASSERT_TRUE(one.ok()) << one.status();
  for (const int workers : {2, 4}) {
    const auto many = SolveWith(A(), B(GetParam()), {}, workers);
    ASSERT_TRUE(many.ok()) << many.status();
    for (Index i = 0; i < one->x.size(); ++i) {
      ASSERT_EQ(one->x.data()[i], many->x.data()[i]);
    }
    EXPECT_EQ(one->report.relative_residual, many->report.relative_residual);
    EXPECT_EQ(one->report.forward_error, many->report.forward_error);
  }
}

TEST_P(SolverContractTest, ACancelAtAnyLookEndsItAsCancelled) {
  StopSource counting;
  ASSERT_TRUE(SolveWith(A(), B(GetParam()), counting.token()).ok());
  const std::int64_t looks = counting.token().looks();
  ASSERT_GT(looks, 3);
  for (std::int64_t at = 1; at < looks; at += 1 + looks / 10) {
    StopSource source;
    source.StopAtLook(at);
    const auto stopped = SolveWith(A(), B(GetParam()), source.token());
    EXPECT_EQ(stopped.status().code(), absl::StatusCode::kCancelled) << at;
  }
}

TEST_P(SolverContractTest, TheReasonOfAStopDecidesBetweenErrorAndBestAnswer) {
  StopSource late;
  late.RequestStop(StopReason::kDeadline);
  EXPECT_EQ(SolveWith(A(), B(GetParam()), late.token()).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  for (const auto& [reason, termination] :
       std::vector<std::pair<StopReason, Termination>>{
           {StopReason::kTimeLimit, Termination::kTimeLimit},
           {StopReason::kDraining, Termination::kStopped}}) {
    StopSource source;
    source.RequestStop(reason);
    const auto best = SolveWith(A(), B(GetParam()), source.token());
    ASSERT_TRUE(best.ok()) << best.status();
    EXPECT_EQ(best->report.termination, termination);
    for (Index i = 0; i < best->x.size(); ++i) {
      EXPECT_TRUE(std::isfinite(best->x.data()[i]));
    }
  }
}

// x is linear in b: scaled by 2^10 and alone or in company, each answer stays
// within the errors that both report.
TEST_P(SolverContractTest, ScaleAndCompanyOfARightHandSideDoNotMatter) {
  const auto together = SolveWith(A(), B(GetParam()));
  const auto scaled = SolveWith(A(), B(GetParam(), 1024.0));
  ASSERT_TRUE(together.ok() && scaled.ok());
  const Matrix<double> b = B(GetParam());
  for (Index c = 0; c < kSides; ++c) {
    const auto column = static_cast<std::size_t>(c);
    Matrix<double> single(b.rows(), 1);
    for (Index i = 0; i < b.rows(); ++i) single(i, 0) = b(i, c);
    const auto alone = SolveWith(A(), single);
    ASSERT_TRUE(alone.ok()) << alone.status();
    const double error = together->report.forward_error[column] +
                         test::Gamma(kColumns * kColumns);
    EXPECT_LE(Distance(together->x, alone->x, c, 0, 1.0),
              2.0 * (error + alone->report.forward_error[0]));
    EXPECT_LE(Distance(together->x, scaled->x, c, c, 1.0 / 1024.0),
              2.0 * (error + scaled->report.forward_error[column]));
  }
}

}  // namespace
}  // namespace steelyard
