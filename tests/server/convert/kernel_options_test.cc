#include "server/convert/kernel_options.h"

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Limits kLimits;

TEST(KernelOptionsTest, ScalesAreFiniteAndPositive) {
  EXPECT_EQ(*KernelScaleOf(std::nullopt, "scale"), 1.0);
  EXPECT_EQ(*KernelScaleOf(0.125, "scale"), 0.125);
  for (const double bad : {0.0, -1.0, double{INFINITY}, std::nan("")}) {
    const absl::Status status = KernelScaleOf(bad, "scale").status();
    EXPECT_EQ(DetailOf(status)->reason, "FIELD_OUT_OF_RANGE");
    EXPECT_EQ(DetailOf(status)->field, "scale");
  }
}

TEST(KernelOptionsTest, NormalizationsHaveTheirNames) {
  using N = KernelNormalization;
  const std::map<v1::KernelNormalization, N> pairs = {
      {v1::KERNEL_NORMALIZATION_UNSPECIFIED, N::kNone},
      {v1::KERNEL_NORMALIZATION_NONE, N::kNone},
      {v1::KERNEL_NORMALIZATION_UNIT_DIAGONAL, N::kUnitDiagonal},
      {v1::KERNEL_NORMALIZATION_SOFTMAX_ROWS, N::kSoftmaxRows}};
  EXPECT_EQ(pairs.size(), std::size_t{v1::KernelNormalization_ARRAYSIZE});
  for (const auto& [proto, normalization] : pairs) {
    EXPECT_EQ(*KernelNormalizationOf(proto, "normalization"), normalization);
  }
}

TEST(KernelOptionsTest, MethodsAndPreconditionersHaveTheirNames) {
  const std::map<v1::Method, KernelMethod> methods = {
      {v1::METHOD_CHOLESKY, KernelMethod::kCholesky},
      {v1::METHOD_CONJUGATE_GRADIENT, KernelMethod::kConjugateGradient},
      {v1::METHOD_BLOCK_COORDINATE, KernelMethod::kBlockCoordinate}};
  for (int number = 0; number < v1::Method_ARRAYSIZE; ++number) {
    v1::SolveRequest request = test::ValidKernelRequest();
    request.set_method(v1::Method(number));
    const auto options = KernelOptionsFromProto(request, 10);
    const auto method = methods.find(request.method());
    EXPECT_EQ(options.ok(), number == 0 || method != methods.end()) << number;
    if (options.ok() && number != 0) {
      EXPECT_EQ(options->method, method->second);
    }
  }
  for (int number = 1; number < v1::Preconditioner_ARRAYSIZE; ++number) {
    v1::SolveRequest request = test::ValidKernelRequest();
    request.mutable_attention_kernel()->set_preconditioner(
        v1::Preconditioner(number));
    const auto options = KernelOptionsFromProto(request, 10);
    ASSERT_TRUE(options.ok()) << options.status();
    // There and back.
    EXPECT_EQ(PreconditionerOf(*options->preconditioner), number);
  }
}

TEST(KernelOptionsTest, TheRankIsInOneToN) {
  v1::SolveRequest request = test::ValidKernelRequest();
  v1::AttentionKernel* const kernel = request.mutable_attention_kernel();
  kernel->set_preconditioner(v1::PRECONDITIONER_POLYNOMIAL_SKETCH);
  for (const int rank : {0, 1, 10, 11}) {
    kernel->set_preconditioner_rank(rank);
    const auto options = KernelOptionsFromProto(request, 10);
    EXPECT_EQ(options.ok(), rank >= 1 && rank <= 10) << rank;
    if (options.ok()) {
      EXPECT_EQ(options->preconditioner_rank, rank);
    }
  }
}

TEST(KernelOptionsTest, RowRidgesOfAnyTypeAreWidened) {
  v1::AttentionKernel kernel;
  EXPECT_EQ(*RowRidgeFromProto(kernel, 3, kLimits), std::nullopt);
  v1::Tensor* const tensor = kernel.mutable_row_ridge();
  const auto numbers = [&] {
    const auto header = RowRidgeFromProto(kernel, 3, kLimits);
    EXPECT_TRUE(header.ok()) << header.status();
    return *RowRidgeNumbers(**header);
  };
  test::SetTensor({3}, {0.0, 1.5, 1e300}, tensor);
  EXPECT_THAT(numbers(), ElementsAre(0.0, 1.5, 1e300));
  tensor->set_dtype(v1::DTYPE_FLOAT16);
  tensor->set_data(
      test::BytesOf(std::vector<std::uint16_t>{0x3c00, 0x4000, 0x0000}));
  EXPECT_THAT(numbers(), ElementsAre(1.0, 2.0, 0.0));
  tensor->clear_data();
  tensor->set_dtype(v1::DTYPE_FLOAT64);
  for (const double number : {0.5, 0.25, 0.125}) tensor->add_values(number);
  EXPECT_THAT(numbers(), ElementsAre(0.5, 0.25, 0.125));
}

TEST(KernelOptionsTest, ARowRidgeBelowZeroOrNotFiniteIsNamed) {
  v1::AttentionKernel kernel;
  v1::Tensor* const tensor = kernel.mutable_row_ridge();
  const auto refusal = [&](double entry) {
    tensor->Clear();
    tensor->add_shape(3);
    for (const double number : {0.5, 0.5, entry}) tensor->add_values(number);
    return RowRidgeNumbers(**RowRidgeFromProto(kernel, 3, kLimits)).status();
  };
  EXPECT_TRUE(refusal(0.0).ok());
  EXPECT_EQ(DetailOf(refusal(std::nan("")))->reason, "NOT_FINITE");
  EXPECT_EQ(DetailOf(refusal(INFINITY))->metadata.at("index"), "2");
  EXPECT_EQ(DetailOf(refusal(-1.0))->reason, "FIELD_OUT_OF_RANGE");
  EXPECT_EQ(DetailOf(refusal(-1.0))->field,
            "attention_kernel.row_ridge.values[2]");
  EXPECT_THAT(std::string(refusal(-1.0).message()), HasSubstr("is -1"));
}

TEST(KernelOptionsTest, ErrorsOfCoreAboutThePreconditionerGetTheirPath) {
  const auto of = [](const std::string& field) {
    return ErrorWithDetail(absl::StatusCode::kInvalidArgument, "preconditioner",
                           {.reason = "FIELD_OUT_OF_RANGE", .field = field});
  };
  EXPECT_EQ(DetailOf(AtKernelPath(of("preconditioner")))->field,
            "attention_kernel.preconditioner");
  EXPECT_EQ(DetailOf(AtKernelPath(of("a")))->field, "a");
}

}  // namespace
}  // namespace steelyard::server
