#include "steelyard/attention_kernel_prediction.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <tuple>

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/bounds.h"
#include "tests/support/kernel_cases.h"
#include "tests/support/prediction_oracle.h"

namespace steelyard {
namespace {

using Norm = KernelNormalization;
constexpr Norm kNorms[] = {Norm::kNone, Norm::kUnitDiagonal,
                           Norm::kSoftmaxRows};

double Longest(const Matrix<double>& a) {
  double square = 0.0;
  for (Index i = 0; i < a.rows(); ++i) {
    double sum = 0.0;
    for (Index c = 0; c < a.cols(); ++c) sum += a(i, c) * a(i, c);
    square = std::max(square, sum);
  }
  return std::sqrt(square);
}

class PredictionTest : public testing::Test {
 protected:
  // All rows of y, which the sink must get in order and in full blocks.
  PredictedRows Predict(const KernelPredictionOptions& options,
                        const Matrix<double>& a, const Matrix<double>& x,
                        const Matrix<double>& queries, int workers = 2) const {
    const Workers threads(workers);
    const ComputeContext context{.workers = threads};
    const Index m = queries.rows();
    PredictedRows all{.first = options.first_row,
                      .y = Matrix<double>(m, x.cols())};
    all.exponents.resize(static_cast<std::size_t>(all.y.size()));
    const absl::Status done = PredictAttentionKernel(
        a.view(), x.view(), queries.view(), options,
        [&](PredictedRows rows) {
          EXPECT_EQ(rows.first, all.first);
          EXPECT_EQ(rows.y.rows(), std::min(options.block_rows, m - all.first));
          const Index at = all.first * x.cols();
          std::copy_n(rows.y.data(), rows.y.size(), all.y.data() + at);
          std::copy(rows.exponents.begin(), rows.exponents.end(),
                    all.exponents.begin() + at);
          all.first += rows.y.rows();
          return absl::OkStatus();
        },
        context);
    EXPECT_TRUE(done.ok()) << done;
    EXPECT_EQ(all.first, m);
    return all;
  }

  // Against long double, relative to the sum of the sizes of the terms.
  void ExpectTrue(const test::KernelSystem& system, const Matrix<double>& x,
                  const Matrix<double>& queries) const {
    const PredictedRows rows =
        Predict({.scale = system.scale, .normalization = system.normalization},
                system.a, x, queries);
    const std::vector<test::PredictedEntry> truth =
        test::PredictInLongDouble(system, x, queries);
    // L of the header, whatever the centre is: |c| <= sqrt(d) |a|.
    const double columns = static_cast<double>(queries.cols());
    const double key = std::sqrt(system.scale) * Longest(system.a);
    const double query = std::sqrt(system.scale) * Longest(queries);
    const double reach = query + std::sqrt(columns) * key;
    const double logit = std::max(
        1.0,
        reach * std::max(reach, 1.0 + std::sqrt(columns)) *
            (system.normalization == Norm::kUnitDiagonal ? 1.0 : key / reach));
    const long double bound =
        test::kUnitRoundoff * (4.0 * std::sqrt(columns) * logit + 64.0);
    for (Index e = 0; e < rows.y.size(); ++e) {
      const auto at = static_cast<std::size_t>(e);
      const long double y = std::ldexp(
          static_cast<long double>(rows.y.data()[e]), rows.exponents[at]);
      ASSERT_TRUE(std::isfinite(y));
      ASSERT_LE(std::abs(y - truth[at].value), bound * truth[at].size)
          << "entry " << e << ": " << static_cast<double>(y / truth[at].size)
          << " of " << static_cast<double>(truth[at].value / truth[at].size);
    }
  }
};

struct Shape {
  Index n, d, m, k;
};

TEST_F(PredictionTest, AgreesWithLongDoubleFromLogitsOf0To10000) {
  for (const Norm norm : kNorms) {
    for (const Shape& shape :
         {Shape{1, 1, 1, 1}, Shape{300, 5, 70, 3}, Shape{40, 1, 3, 17},
          Shape{7, 40, 65, 1}, Shape{30, 300, 73, 2}}) {
      for (const double length : {0.0, 1e-3, 1.0, 4.0, 10.0, 30.0, 60.0}) {
        SCOPED_TRACE(testing::Message()
                     << "normalization " << static_cast<int>(norm) << " n "
                     << shape.n << " d " << shape.d << " length " << length);
        ExpectTrue({.a = test::RowsOfNorm(shape.n, shape.d, length, 1),
                    .normalization = norm},
                   test::RowsOfNorm(shape.n, shape.k, 1.0, 2),
                   test::RowsOfNorm(shape.m, shape.d, length, 3));
      }
    }
  }
}

TEST_F(PredictionTest, ScalesBeyondTheRangeOfProductsAreExactPowersOfTwo) {
  for (const Norm norm : kNorms) {
    for (const int exponent : {-900, 900}) {
      test::KernelSystem system{.a = test::RowsOfNorm(50, 3, 3.0, 4),
                                .normalization = norm};
      const Matrix<double> x = test::RowsOfNorm(50, 2, 1.0, 5);
      Matrix<double> queries = test::RowsOfNorm(20, 3, 3.0, 6);
      const PredictedRows plain =
          Predict({.normalization = norm}, system.a, x, queries);
      for (Matrix<double>* rows : {&system.a, &queries}) {
        for (Index i = 0; i < rows->size(); ++i) {
          rows->data()[i] = std::ldexp(rows->data()[i], exponent / 2);
        }
      }
      const PredictedRows scaled =
          Predict({.scale = std::ldexp(1.0, -exponent), .normalization = norm},
                  system.a, x, queries);
      for (Index i = 0; i < plain.y.size(); ++i) {
        ASSERT_EQ(scaled.y.data()[i], plain.y.data()[i]);
      }
    }
  }
}

// Entries of x of all sizes, with zeros where logits are largest.
TEST_F(PredictionTest, EveryColumnKeepsItsDigitsWhateverItsNeighboursAre) {
  constexpr Index kN = 60;
  for (const Norm norm : kNorms) {
    for (const double length : {2.0, 15.0, 60.0}) {
      Matrix<double> x = test::RowsOfNorm(kN, 14, 1.0, 7);
      const RandomStream random{.seed = {8}};
      for (Index j = 0; j < kN; ++j) {
        const double spread = random.Normal(static_cast<std::uint64_t>(j));
        x(j, 0) = std::ldexp(x(j, 0), static_cast<int>(200.0 * spread));
        x(j, 1) = 5e-324;
        x(j, 2) = j % 2 == 0 ? 1e308 : -1e-308;
        x(j, 3) = 0.0;
        // One key a column.
        for (Index c = 4; c < 14; ++c) x(j, c) = j == c ? -3e-7 : 0.0;
      }
      SCOPED_TRACE(length);
      ExpectTrue(
          {.a = test::RowsOfNorm(kN, 6, length, 9), .normalization = norm}, x,
          test::RowsOfNorm(30, 6, length, 10));
    }
  }
}

TEST_F(PredictionTest, RowsFarFromTheOriginKeepTheirDistances) {
  test::KernelSystem system{.a = test::RowsOfNorm(50, 4, 1.0, 11),
                            .normalization = Norm::kUnitDiagonal};
  Matrix<double> queries = test::RowsOfNorm(50, 4, 1.0, 12);
  const Matrix<double> x = test::RowsOfNorm(50, 1, 1.0, 13);
  const PredictedRows near =
      Predict({.normalization = Norm::kUnitDiagonal}, system.a, x, queries);
  const double shift = std::ldexp(1.0, 20);
  // What the shift rounds off, before and after are the same rows.
  for (Matrix<double>* rows : {&system.a, &queries}) {
    for (Index i = 0; i < rows->size(); ++i) {
      rows->data()[i] = (rows->data()[i] + shift) - shift;
    }
  }
  const PredictedRows rounded =
      Predict({.normalization = Norm::kUnitDiagonal}, system.a, x, queries);
  for (Matrix<double>* rows : {&system.a, &queries}) {
    for (Index i = 0; i < rows->size(); ++i) rows->data()[i] += shift;
  }
  const PredictedRows far =
      Predict({.normalization = Norm::kUnitDiagonal}, system.a, x, queries);
  for (Index i = 0; i < 50; ++i) {
    EXPECT_EQ(far.y(i, 0), rounded.y(i, 0));
    EXPECT_NE(far.y(i, 0), 0.0);
  }
  EXPECT_NE(near.y(0, 0), 0.0);
}

TEST_F(PredictionTest, LogitsOfAMillionAreMantissasAndExponents) {
  Matrix<double> a(1, 1), x(1, 1), queries(2, 1);
  a(0, 0) = 1000.0;
  x(0, 0) = -0.75;
  queries(0, 0) = 1000.0;
  queries(1, 0) = -1000.0;
  const PredictedRows rows = Predict({.x_exponents = {5000}}, a, x, queries);
  const double log_x = std::log(0.75) + 5000.0 * std::numbers::ln2;
  for (Index i = 0; i < 2; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_LT(rows.y(i, 0), 0.0);
    // Three roundings of numbers of a million, and those of the check.
    EXPECT_NEAR(
        std::log(-rows.y(i, 0)) + rows.exponents[at] * std::numbers::ln2,
        (i == 0 ? 1e6 : -1e6) + log_x, test::Gamma(8) * 1e6);
  }
  // One key: its weight is 1, whatever the logit is.
  const PredictedRows softmax =
      Predict({.normalization = Norm::kSoftmaxRows, .x_exponents = {5000}}, a,
              x, queries);
  for (Index i = 0; i < 2; ++i) {
    EXPECT_NEAR(
        std::ldexp(softmax.y(i, 0),
                   softmax.exponents[static_cast<std::size_t>(i)] - 5000),
        -0.75, test::Gamma(4) + 5000.0 * test::kUnitRoundoff);
  }
}

TEST_F(PredictionTest, ExponentsOfXAreTakenAsTheyAre) {
  constexpr Index kN = 40;
  const Matrix<double> a = test::RowsOfNorm(kN, 3, 20.0, 14);
  const Matrix<double> x = test::RowsOfNorm(kN, 2, 1.0, 15);
  const Matrix<double> queries = test::RowsOfNorm(9, 3, 20.0, 16);
  KernelPredictionOptions options{.normalization = Norm::kUnitDiagonal};
  const PredictedRows plain = Predict(options, a, x, queries);
  options.x_exponents.assign(2 * kN, -100000);
  const PredictedRows tiny = Predict(options, a, x, queries);
  for (std::size_t e = 0; e < tiny.exponents.size(); ++e) {
    int exponent = 0;
    const double mantissa = std::frexp(plain.y.data()[e], &exponent);
    int tiny_exponent = 0;
    const double tiny_mantissa = std::frexp(tiny.y.data()[e], &tiny_exponent);
    // An exponent of 100000 is a logit of 69315 in the running maximum.
    EXPECT_NEAR(
        std::ldexp(tiny_mantissa, tiny_exponent + tiny.exponents[e] + 100000 -
                                      exponent - plain.exponents[e]),
        mantissa, 4.0 * 69315.0 * test::kUnitRoundoff);
  }
}

TEST_F(PredictionTest, NotABitDependsOnWorkersOrBlocks) {
  for (const double length : {1.0, 40.0}) {
    for (const Norm norm : kNorms) {
      const Matrix<double> a = test::RowsOfNorm(600, 4, length, 17);
      const Matrix<double> x = test::RowsOfNorm(600, 9, 1.0, 18);
      const Matrix<double> queries = test::RowsOfNorm(131, 4, length, 19);
      KernelPredictionOptions options{.normalization = norm};
      const PredictedRows two = Predict(options, a, x, queries);
      for (const int workers : {1, 3}) {
        for (const Index block_rows : {1, 50, 131, 4096}) {
          options.block_rows = block_rows;
          const PredictedRows rows = Predict(options, a, x, queries, workers);
          ASSERT_EQ(rows.exponents, two.exponents);
          for (Index i = 0; i < two.y.size(); ++i) {
            ASSERT_EQ(rows.y.data()[i], two.y.data()[i]);
          }
        }
      }
    }
  }
}

TEST_F(PredictionTest, GoesOnAtARowWithTheBitsItWouldHaveHad) {
  for (const double length : {1.0, 40.0}) {
    const Matrix<double> a = test::RowsOfNorm(300, 4, length, 17);
    const Matrix<double> x = test::RowsOfNorm(300, 2, 1.0, 18);
    const Matrix<double> queries = test::RowsOfNorm(1200, 4, length, 19);
    const PredictedRows all = Predict({}, a, x, queries);
    for (const Index first_row : {1, 72, 100, 1152, 1199, 1200}) {
      const PredictedRows rest =
          Predict({.block_rows = 300, .first_row = first_row}, a, x, queries);
      for (Index i = 2 * first_row; i < all.y.size(); ++i) {
        ASSERT_EQ(rest.y.data()[i], all.y.data()[i]) << first_row;
        const auto at = static_cast<std::size_t>(i);
        ASSERT_EQ(rest.exponents[at], all.exponents[at]) << first_row;
      }
    }
  }
}

TEST_F(PredictionTest, ReadsEveryStorageType) {
  const Matrix<double> a = test::RowsOfNorm(20, 3, 1.0, 20);
  Matrix<float> a32(20, 3), x32(20, 1);
  Matrix<double> a64(20, 3), x64(20, 1);
  for (Index i = 0; i < a.size(); ++i) {
    a32.data()[i] = static_cast<float>(a.data()[i]);
    a64.data()[i] = static_cast<double>(a32.data()[i]);
  }
  for (Index i = 0; i < 20; ++i) {
    x32(i, 0) = a32(i, 1);
    x64(i, 0) = a64(i, 1);
  }
  const PredictedRows expected = Predict({}, a64, x64, a64);
  const Workers workers(1);
  const absl::Status done =
      PredictAttentionKernel(a32.view(), x32.view(), a32.view(), {},
                             [&](PredictedRows rows) {
                               for (Index i = 0; i < 20; ++i) {
                                 EXPECT_EQ(rows.y(i, 0), expected.y(i, 0));
                               }
                               return absl::OkStatus();
                             },
                             {.workers = workers});
  EXPECT_TRUE(done.ok()) << done;
}

class PredictionErrorTest : public testing::Test {
 protected:
  absl::Status Run(StopToken stop = {}) {
    return PredictAttentionKernel(a_.view(), x_.view(), queries_.view(),
                                  options_,
                                  [&](PredictedRows) {
                                    ++blocks_;
                                    return answer_;
                                  },
                                  {.workers = workers_, .stop = stop});
  }

  void ExpectRefused(std::string_view reason, std::string_view field) {
    const absl::Status status = Run();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    ASSERT_TRUE(DetailOf(status).has_value()) << status;
    EXPECT_EQ(DetailOf(status)->reason, reason);
    EXPECT_EQ(DetailOf(status)->field, field);
    EXPECT_EQ(blocks_, 0);
  }

  Workers workers_{2};
  Matrix<double> a_ = test::RowsOfNorm(300, 3, 1.0, 1);
  Matrix<double> x_ = test::RowsOfNorm(300, 2, 1.0, 2);
  Matrix<double> queries_ = test::RowsOfNorm(200, 3, 1.0, 3);
  KernelPredictionOptions options_{.block_rows = 64};
  absl::Status answer_;
  int blocks_ = 0;
};

TEST_F(PredictionErrorTest, WhatIsNotFiniteIsNamed) {
  const double bad[] = {std::numeric_limits<double>::quiet_NaN(),
                        std::numeric_limits<double>::infinity()};
  const std::pair<Matrix<double>*, const char*> fields[] = {
      {&a_, "a"}, {&x_, "x"}, {&queries_, "queries"}};
  for (const auto& [matrix, field] : fields) {
    for (const double value : bad) {
      const double good = (*matrix)(150, 1);
      (*matrix)(150, 1) = value;
      ExpectRefused("NOT_FINITE", field);
      (*matrix)(150, 1) = good;
    }
  }
}

TEST_F(PredictionErrorTest, LogitsWithoutDigitsAreRefusedBeforeTheFirstRow) {
  for (const Norm norm : kNorms) {
    options_.normalization = norm;
    for (const double far : {1e11, 1e200}) {
      const double good = queries_(199, 1);
      queries_(199, 1) = far;
      ExpectRefused("FIELD_OUT_OF_RANGE", "queries");
      queries_(199, 1) = good;
    }
    Matrix<double> a = a_;
    a_(7, 0) = 1e6;
    a_(8, 0) = -1e6;
    ExpectRefused("FIELD_OUT_OF_RANGE", "a");
    a_ = a;
  }
}

TEST_F(PredictionErrorTest, OneFarKeyOfUnitDiagonalCountsForNothing) {
  options_.normalization = Norm::kUnitDiagonal;
  a_(7, 0) = 1e140;
  EXPECT_TRUE(Run().ok());
  EXPECT_EQ(blocks_, 4);
}

TEST_F(PredictionErrorTest, TheSinkEndsIt) {
  answer_ = absl::UnavailableError("gone");
  EXPECT_EQ(Run(), answer_);
  EXPECT_EQ(blocks_, 1);
}

TEST_F(PredictionErrorTest, StopsAtEveryLook) {
  for (const double length : {1.0, 60.0}) {
    a_ = test::RowsOfNorm(300, 3, length, 4);
    queries_ = test::RowsOfNorm(200, 3, length, 5);
    for (const int look : {1, 2, 5, 9, 14, 20, 26}) {
      StopSource source;
      source.StopAtLook(look);
      const StopToken token = source.token();
      EXPECT_EQ(Run(token).code(), absl::StatusCode::kCancelled) << look;
      // Every worker ends its tile, tasks that had not begun look once.
      EXPECT_LE(token.looks_after_stop(), 8) << look;
    }
  }
}

TEST(PredictionCostTest, MemoryIsWithinWhatIsSaid) {
  const Workers workers(1);
  for (const double length : {1.0, 60.0}) {
    for (const Index k : {1, 20}) {
      const Matrix<double> a = test::RowsOfNorm(900, 6, length, 1);
      const Matrix<double> x = test::RowsOfNorm(900, k, 1.0, 2);
      const Matrix<double> queries = test::RowsOfNorm(300, 6, length, 3);
      const KernelPredictionOptions options{.block_rows = 100};
      const test::AllocationPeak peak;
      const absl::Status done = PredictAttentionKernel(
          a.view(), x.view(), queries.view(), options,
          [](PredictedRows) { return absl::OkStatus(); }, {.workers = workers});
      const auto taken = static_cast<double>(peak.bytes());
      EXPECT_TRUE(done.ok()) << done;
      const Cost cost = CostOfKernelPrediction(900, 6, k, 300, options, 1);
      EXPECT_LE(taken, cost.bytes) << "k " << k << " length " << length;
      // Near queries need no room for running maxima.
      EXPECT_GE(4.0 * taken, cost.bytes) << "k " << k << " length " << length;
      EXPECT_GT(cost.flops, 300.0 * 900.0 * 2.0 * 6.0);
    }
  }
}

}  // namespace
}  // namespace steelyard
