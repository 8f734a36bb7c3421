// The check must accept a right report and notice every kind of wrong one.
#include "client/verify/solve_check.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "client/verify/leverage.h"
#include "client/verify/power_system.h"
#include "tests/client/verify/key_tensors.h"

namespace steelyard::verify {
namespace {

using client::Termination;

class SolveCheckTest : public testing::Test {
 protected:
  SolveCheckTest() {
    const RowMatrix a = HeadsOf(a_)[0].All();
    WideVector x(4);
    x << 1.0L, -2.0L, 0.5L, 4.0L;
    const WideVector b = MultiplyTransposed(a, Multiply(a, x));
    std::vector<double> numbers;
    for (const long double entry : b) {
      numbers.push_back(static_cast<double>(entry));
    }
    b_ = tensor_files::StoredTensor::Of(numbers, {4});
    right_.x = x.cast<double>();
    const SolveFigures figures =
        PowerSystem(a, {.exponent = 1})
            .Examine(Eigen::Map<Eigen::VectorXd>(numbers.data(), 4)
                         .cast<long double>(),
                     ScaledOf(x));
    client::SolveReport& report = right_.report;
    report.termination = Termination::kConverged;
    report.converged = {true};
    report.relative_residual = {figures.relative_residual};
    report.residual_floor = {figures.residual_floor};
    report.backward_error = {figures.backward_error};
    report.forward_error = {figures.forward_error + 1e-15};
  }

  SolveCheck Run(const client::Solution& solution) const {
    return CheckSolve(a_, b_, client::GramPower{1}, options_, solution);
  }

  std::string BrokenBy(
      const std::function<void(client::Solution*)>& change) const {
    client::Solution solution = right_;
    change(&solution);
    for (const Finding& finding : Run(solution).verdict.findings) {
      if (finding.outcome == Outcome::kBroken) return finding.rule;
    }
    return "";
  }

  const tensor_files::StoredTensor a_ =
      test::TensorOf(test::MatrixWithSingularValues(
          25, test::GeometricValues(4, 1e3), Seed{61}));
  tensor_files::StoredTensor b_;
  client::SolveOptions options_;
  client::Solution right_;
};

TEST_F(SolveCheckTest, TheRightReportHolds) {
  const SolveCheck check = Run(right_);
  for (const Finding& finding : check.verdict.findings) {
    EXPECT_EQ(finding.outcome, Outcome::kHeld)
        << finding.rule << ": " << finding.detail;
  }
  ASSERT_EQ(check.right_hand_sides.size(), 1u);
  EXPECT_GE(check.verdict.findings.size(), 6u);
}

TEST_F(SolveCheckTest, ASparseMatrixIsCheckedAsWhatItIs) {
  tensor_files::StoredCsr sparse{.rows = 25, .columns = 4, .row_offsets = {0}};
  for (int i = 0; i < 25; ++i) {
    for (int j = 0; j < 4; ++j) sparse.column_indices.push_back(j);
    sparse.row_offsets.push_back(4 * (i + 1));
  }
  sparse.values.assign(a_.bytes().data(), a_.bytes().size());
  const SolveCheck check =
      CheckSolve(sparse, b_, client::GramPower{1}, options_, right_);
  EXPECT_TRUE(check.verdict.held());
  EXPECT_EQ(check.verdict.findings.size(), Run(right_).verdict.findings.size());
  client::Solution wrong = right_;
  wrong.x(0, 0) += 1e-6;
  EXPECT_FALSE(CheckSolve(sparse, b_, client::GramPower{1}, options_, wrong)
                   .verdict.held());
  sparse.rows = int64_t{1} << 40;
  const SolveCheck large =
      CheckSolve(sparse, b_, client::GramPower{1}, options_, right_);
  ASSERT_EQ(large.verdict.findings.size(), 1u);
  EXPECT_EQ(large.verdict.findings[0].outcome, Outcome::kNotChecked);
}

TEST_F(SolveCheckTest, AWrongSolutionIsNoticed) {
  EXPECT_EQ(BrokenBy([](client::Solution* s) { s->x(0, 0) += 1e-6; }),
            "the residual");
  // A residual that is right about a wrong x.
  EXPECT_EQ(BrokenBy([this](client::Solution* s) {
              s->x(0, 0) += 1e-3;
              s->report.relative_residual[0] =
                  Run(*s).right_hand_sides[0].relative_residual;
            }),
            "converged: the residual is within the tolerance");
}

TEST_F(SolveCheckTest, AWrongReportIsNoticed) {
  EXPECT_EQ(BrokenBy([](client::Solution* s) {
              s->report.relative_residual[0] = 1e-3;
            }),
            "the residual");
  EXPECT_EQ(
      BrokenBy([](client::Solution* s) { s->report.residual_floor[0] *= 3; }),
      "the residual floor");
  EXPECT_EQ(
      BrokenBy([](client::Solution* s) { s->report.backward_error[0] = 1e-3; }),
      "the backward error");
}

TEST_F(SolveCheckTest, ASolutionFurtherThanItsForwardErrorIsNoticed) {
  // Along the smallest singular direction the residual hardly sees it.
  const Eigen::MatrixXd vectors = RightSingularOf(HeadsOf(a_)[0]).vectors;
  EXPECT_EQ(BrokenBy([&](client::Solution* s) {
              s->x += 1e-9 * vectors.col(3);
              const SolveFigures seen = Run(*s).right_hand_sides[0];
              s->report.relative_residual[0] = seen.relative_residual;
              s->report.backward_error[0] = seen.backward_error;
              s->report.converged[0] = false;
              s->report.termination = Termination::kTimeLimit;
            }),
            "the solution is as near as its forward error says");
}

TEST_F(SolveCheckTest, WrongShapesAreNoticed) {
  const std::string rule =
      "one column of x and one entry of the report a column of b";
  EXPECT_EQ(BrokenBy([](client::Solution* s) { s->x.resize(3, 1); }), rule);
  EXPECT_EQ(BrokenBy([](client::Solution* s) {
              s->report.converged.push_back(true);
            }),
            rule);
}

TEST_F(SolveCheckTest, ExponentsAreRead) {
  client::Solution solution = right_;
  for (Eigen::Index i = 0; i < 4; ++i) {
    solution.x(i, 0) = std::ldexp(solution.x(i, 0), -40);
    solution.x_exponents.push_back(40);
  }
  EXPECT_TRUE(Run(solution).verdict.held());
  solution.x_exponents[2] = 41;
  EXPECT_FALSE(Run(solution).verdict.held());
}

}  // namespace
}  // namespace steelyard::verify
