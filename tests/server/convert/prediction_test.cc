#include "server/convert/prediction.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/fake_stored_matrix.h"
#include "tests/server/convert/field_coverage.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Limits kLimits;

v1::PredictRequest FullRequest() {
  v1::PredictRequest request = test::ValidPredictRequest();
  request.set_scale(0.25);
  request.set_normalization(v1::KERNEL_NORMALIZATION_SOFTMAX_ROWS);
  test::WriteByHand(request.mutable_queries()->mutable_dense());
  return request;
}

v1::PredictRequest StoredRequest() {
  v1::PredictRequest request;
  request.mutable_a()->set_matrix("matrices/a");
  request.set_x_matrix("matrices/x");
  request.mutable_queries()->set_matrix("matrices/queries");
  return request;
}

test::FakeMatrices StoredMatrices() {
  test::FakeMatrices matrices;
  const auto add = [&](const char* id, Index rows, Index cols) {
    matrices.Add(id, {.rows = rows, .cols = cols},
                 test::BytesOf(test::PlainNumbers(rows * cols)));
  };
  add("a", 10, 3);
  add("x", 10, 2);
  add("queries", 4, 3);
  return matrices;
}

TEST(PredictionConvertTest, NoFieldOfTheRequestIsLeftOut) {
  EXPECT_THAT(
      test::UnsetDenseFields(std::vector{FullRequest(), StoredRequest()}),
      IsEmpty());
}

TEST(PredictionConvertTest, EveryFieldReachesTheProblem) {
  const v1::PredictRequest request = FullRequest();
  const auto problem = PredictProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_EQ(problem->options().scale, 0.25);
  EXPECT_EQ(problem->options().normalization,
            KernelNormalization::kSoftmaxRows);
  EXPECT_EQ(problem->options().block_rows, 1024);
  EXPECT_EQ(problem->options().first_row, 0);
  EXPECT_EQ(DescriptionOf(*problem),
            "SOFTMAX_ROWS: a 10x3 FLOAT64, x 10 FLOAT64, queries 4x3 FLOAT64");
}

TEST(PredictionConvertTest, UnsetOptionsHaveTheDefaultsOfTheContract) {
  const v1::PredictRequest request = test::ValidPredictRequest();
  const auto problem = PredictProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  EXPECT_EQ(problem->options().scale, 1.0);
  EXPECT_EQ(problem->options().normalization, KernelNormalization::kNone);
}

TEST(PredictionConvertTest, StoredMatricesAreHeld) {
  test::FakeMatrices matrices = StoredMatrices();
  const v1::PredictRequest request = StoredRequest();
  const auto problem =
      PredictProblemFromProto(request, kLimits, matrices.lookup());
  ASSERT_TRUE(problem.ok()) << problem.status();
  matrices.Delete("a");
  EXPECT_EQ(DescriptionOf(*problem),
            "NONE: a matrices/a 10x3 FLOAT64, x matrices/x 10x2 FLOAT64, "
            "queries matrices/queries 4x3 FLOAT64");
  const auto field = [&](const char* argument) {
    return DetailOf(
               AtProtoPath(NotFiniteError(argument, 1, 0, 2, NAN), *problem))
        ->field;
  };
  EXPECT_EQ(field("a"), "a.matrix");
  EXPECT_EQ(field("x"), "x_matrix");
  EXPECT_EQ(field("queries"), "queries.matrix");
}

TEST(PredictionConvertTest, StoredShapesMustFitToo) {
  test::FakeMatrices matrices = StoredMatrices();
  v1::PredictRequest request = StoredRequest();
  request.set_x_matrix("matrices/queries");
  EXPECT_EQ(PredictProblemFromProto(request, kLimits, matrices.lookup())
                .status()
                .message(),
            "x_matrix has 4 rows; a has 10 rows");
  request = StoredRequest();
  request.mutable_queries()->set_matrix("matrices/x");
  EXPECT_EQ(PredictProblemFromProto(request, kLimits, matrices.lookup())
                .status()
                .message(),
            "queries.matrix has 2 columns; a has 3 columns");
}

// The widest message that a block can make, exponents included, fits.
TEST(PredictionConvertTest, ABlockFitsIntoOneMessage) {
  Limits limits;
  limits.right_hand_sides_max = 1 << 20;
  for (const Index k : {1, 79, 4096, 80'000}) {
    v1::PredictRequest request = test::ValidPredictRequest();
    test::SetTensor({10, k},
                    std::vector<double>(static_cast<std::size_t>(10 * k), 1.0),
                    request.mutable_x());
    const auto problem = PredictProblemFromProto(request, limits);
    ASSERT_TRUE(problem.ok()) << problem.status();
    const Index rows = problem->options().block_rows;
    ASSERT_GE(rows, 1);
    PredictedRows block{.first = std::numeric_limits<Index>::max(),
                        .y = Matrix<double>(rows, k)};
    block.exponents.assign(static_cast<std::size_t>(rows * k),
                           std::numeric_limits<int>::min());
    v1::PredictResponse response;
    ToProto(block, &response);
    EXPECT_LE(response.ByteSizeLong(),
              static_cast<std::size_t>(limits.chunk_bytes_max));
    EXPECT_EQ(BytesOf(block), rows * k * 12);
  }
}

TEST(PredictionConvertTest, ARowThatFitsIntoNoMessageIsRefused) {
  Limits limits;
  limits.right_hand_sides_max = 1 << 20;
  v1::PredictRequest request = test::ValidPredictRequest();
  test::SetTensor({10, 90'000}, std::vector<double>(900'000, 1.0),
                  request.mutable_x());
  const absl::Status status = PredictProblemFromProto(request, limits).status();
  EXPECT_EQ(DetailOf(status)->reason, "LIMIT_EXCEEDED");
  EXPECT_EQ(DetailOf(status)->field, "x.shape[1]");
  EXPECT_THAT(std::string(status.message()), HasSubstr("chunk_bytes_max"));
}

TEST(PredictionConvertTest, RowsReachTheWire) {
  PredictedRows rows{.first = 7, .y = Matrix<double>(2, 3)};
  for (Index i = 0; i < 6; ++i) rows.y.data()[i] = static_cast<double>(i);
  rows.exponents = {0, 0, 5000, -5000, 0, 0};
  v1::PredictResponse response;
  ToProto(rows, &response);
  EXPECT_THAT(test::UnsetFields(std::vector{response}),
              ElementsAre("steelyard.v1.Tensor.values"));
  EXPECT_EQ(response.offset(), 7);
  EXPECT_EQ(response.y().dtype(), v1::DTYPE_FLOAT64);
  EXPECT_THAT(response.y().shape(), ElementsAre(2, 3));
  EXPECT_EQ(std::memcmp(response.y().data().data(), rows.y.data(), 48), 0);
  EXPECT_THAT(response.y_exponents(), ElementsAre(0, 0, 5000, -5000, 0, 0));
  // Nothing of the rows before stays.
  rows.exponents.clear();
  ToProto(rows, &response);
  EXPECT_THAT(response.y().shape(), ElementsAre(2, 3));
  EXPECT_THAT(response.y_exponents(), IsEmpty());
}

TEST(PredictionConvertTest, CostHasTheWorkAndTheAnswer) {
  const v1::PredictRequest request = test::ValidPredictRequest();
  const auto problem = PredictProblemFromProto(request, kLimits);
  ASSERT_TRUE(problem.ok()) << problem.status();
  const Cost core = CostOfKernelPrediction(10, 3, 1, 4, problem->options(), 2);
  const Cost cost = CostOf(*problem, kLimits, 2);
  EXPECT_EQ(cost.flops, core.flops);
  EXPECT_GE(cost.bytes, core.bytes + BytesOfAnswer(*problem, kLimits));
  EXPECT_GE(BytesOfAnswer(*problem, kLimits), 2.0 * (1 << 20) + 4.0 * 8.0);
}

}  // namespace
}  // namespace steelyard::server
