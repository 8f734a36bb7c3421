// Right-hand sides along the first and the last singular vector: where a small
// residual certifies nothing (v_1), and where everything is easy (v_d).
//
// SOURCE  NUMERICS N2, N9.
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "power/power_factor.h"
#include "steelyard/prepared_matrix.h"
#include "tests/core/power/power_problems.h"
#include "tests/core/sparse/sparse_matrix.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

constexpr Index kRows = 100;

enum class Road {
  kLadder,
  kSketch,    // R0 of a sketch, conjugate gradients with A
  kPrepared,  // the Gram's R repaired; d >= 8: even powers without A
  kCsr,
  kCsrSketch,
};

struct Case {
  std::string name;
  Road road;
  Index d;
};

class SingularDirectionTest
    : public testing::TestWithParam<std::tuple<Case, PowerFamily, double>> {
 protected:
  const Case& road() const { return std::get<0>(GetParam()); }
  PowerFamily family() const { return std::get<1>(GetParam()); }
  double condition() const { return std::get<2>(GetParam()); }

  // A = U diag(s) V', s falling geometrically; b = column `which` of V (even)
  // or U.
  void Make(Index which, Matrix<double>& a, Matrix<double>& b) const {
    const Index d = road().d;
    const Matrix<double> u = RandomOrthogonal(kRows, d, Seed{1});
    const Matrix<double> v = RandomOrthogonal(d, d, Seed{2});
    const std::vector<double> s = GeometricValues(d, condition());
    a = Matrix<double>(kRows, d);
    for (Index i = 0; i < kRows; ++i) {
      for (Index j = 0; j < d; ++j) {
        for (Index l = 0; l < d; ++l) {
          a(i, j) += u(i, l) * s[static_cast<std::size_t>(l)] * v(j, l);
        }
      }
    }
    b = Column(family() == PowerFamily::kGramPower ? v : u, which);
  }

  absl::StatusOr<Solution> Solve(const Matrix<double>& a,
                                 const Matrix<double>& b,
                                 PowerRegressionOptions options) const {
    const auto csr = SparseOf<double>(a);
    const bool sparse =
        road().road == Road::kCsr || road().road == Road::kCsrSketch;
    const DenseOrCsr matrix =
        sparse ? DenseOrCsr(AnyCsrView(csr.view())) : DenseOrCsr(a.view());
    if (road().road == Road::kSketch || road().road == Road::kCsrSketch) {
      options.method = PowerMethod::kSketch;
    }
    if (road().road != Road::kPrepared) {
      return SolvePowerRegression(matrix, b.view(), options, {OneWorker()});
    }
    const auto prepared = PrepareMatrix(matrix, options, {OneWorker()});
    if (!prepared.ok()) return prepared.status();
    EXPECT_EQ(prepared->factor().factor.method, FactorMethod::kRepaired);
    const AnyMatrixView view = b.view();
    return std::move(
        SolveTogether(*prepared, matrix, {&view, 1}, options, {OneWorker()})
            .front());
  }
};

TEST_P(SingularDirectionTest, TheReportedErrorIsTheTrueOne) {
  for (const int exponent : {0, 1, 2, 3}) {
    if (exponent == 0 && family() == PowerFamily::kGramPower) continue;
    for (const Index which : {Index{0}, road().d - 1}) {
      const PowerRegressionOptions options{.family = family(),
                                           .exponent = exponent};
      Matrix<double> a;
      Matrix<double> b;
      Make(which, a, b);
      const MpfrPowerOracle oracle = OracleOf(a, b, options, condition());

      const auto solution = Solve(a, b, options);

      ASSERT_TRUE(solution.ok()) << solution.status();
      const SolveReport& report = solution->report;
      const double truth = oracle.ForwardError(*solution);
      const double reported = report.forward_error[0];
      SCOPED_TRACE(testing::Message()
                   << "j = " << exponent << ", vector " << which << ": "
                   << reported << " for " << truth << " " << report.method);
      // Exact to the last bit: the rounding of x itself.
      const double last_bit = kUnitRoundoff;
      if (truth < 0.1) {
        EXPECT_LE(reported, 3.0 * truth + last_bit);
        EXPECT_GE(reported, truth / 3.0 - last_bit);
      } else {
        // Wrong, and not labelled good.
        EXPECT_GE(reported, 0.1 / 3.0);
      }
      // v_d: nothing magnifies; j u kappa (N2).
      if (which > 0) {
        EXPECT_LE(truth, 8.0 * (exponent + 1.0) * kUnitRoundoff * condition());
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Roads, SingularDirectionTest,
    testing::Combine(testing::Values(Case{"Ladder", Road::kLadder, 6},
                                     Case{"Sketch", Road::kSketch, 6},
                                     Case{"Repaired", Road::kPrepared, 6},
                                     Case{"Spectral", Road::kPrepared, 10},
                                     Case{"Csr", Road::kCsr, 6},
                                     Case{"CsrSketch", Road::kCsrSketch, 6}),
                     testing::Values(PowerFamily::kGramPower,
                                     PowerFamily::kLeftGramPower),
                     testing::Values(1e2, 1e4, 1e6)),
    [](const auto& problem) {
      const bool even = std::get<1>(problem.param) == PowerFamily::kGramPower;
      const auto digits = std::lround(std::log10(std::get<2>(problem.param)));
      return std::get<0>(problem.param).name + (even ? "Even1e" : "Odd1e") +
             std::to_string(digits);
    });

}  // namespace
}  // namespace steelyard::test
