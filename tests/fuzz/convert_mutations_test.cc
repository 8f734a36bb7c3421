// Converters under random damage: whatever a request holds, it becomes a
// problem, or a refusal that a program can read.
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/convert/attend.h"
#include "server/convert/heavy_query.h"
#include "server/convert/kernel_options.h"
#include "server/convert/prediction.h"
#include "server/convert/regression.h"
#include "server/convert/universal_set.h"
#include "steelyard/status.h"
#include "tests/fuzz/request_mutations.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::server {
namespace {

constexpr int kMutations = 5000;

const Limits kLimits;

// Reasons of the contract that a converter can give.
const std::set<std::string> kReasons = {
    "FIELD_REQUIRED", "FIELD_OUT_OF_RANGE", "UNKNOWN_ENUM",
    "WRONG_SHAPE",    "WRONG_DTYPE",        "WRONG_SIZE",
    "SHAPE_OVERFLOW", "CONFLICTING_FIELDS", "LIMIT_EXCEEDED"};

void ExpectReadable(const absl::Status& status) {
  const auto detail = DetailOf(status);
  ASSERT_TRUE(detail.has_value()) << status;
  EXPECT_EQ(kReasons.count(detail->reason), 1u) << status;
  EXPECT_FALSE(detail->field.empty()) << status;
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr(detail->field));
}

// Reads every number of the problem, so that a sanitizer sees a view that
// reaches beyond its message.
double SumOf(const TensorInput& tensor) {
  double sum = 0.0;
  const TensorMatrices matrices(tensor);
  for (const AnyMatrixView& head : matrices.heads()) {
    std::visit(
        [&](const auto& view) {
          const auto* const bytes =
              reinterpret_cast<const unsigned char*>(view.data());
          const auto size =
              static_cast<std::size_t>(view.rows() * view.cols()) *
              sizeof(*view.data());
          for (std::size_t i = 0; i < size; ++i) sum += bytes[i];
        },
        head);
  }
  return sum;
}

struct Tally {
  int accepted = 0;
  int refused = 0;
};

// `parse` returns the problem of a request, `read` reads all of it.
template <typename Request, typename Parse, typename Read>
Tally ParseMutated(const Request& valid, const Parse& parse, const Read& read) {
  test::RequestMutator mutator(20261122);
  Tally tally;
  for (int i = 0; i < kMutations; ++i) {
    Request request = valid;
    if (i % 2 == 0) {
      mutator.MutateFields(&request);
    } else {
      std::string bytes = valid.SerializeAsString();
      mutator.MutateBytes(&bytes);
      // What protobuf cannot parse never reaches a converter.
      if (!request.ParseFromString(bytes)) continue;
    }
    const auto problem = parse(request);
    if (problem.ok()) {
      EXPECT_GE(read(*problem), 0.0);
      EXPECT_FALSE(DescriptionOf(*problem).empty());
      ++tally.accepted;
    } else {
      ExpectReadable(problem.status());
      ++tally.refused;
    }
  }
  return tally;
}

// Damage must be neither always fatal nor always harmless, or this proves
// little.
void ExpectBoth(const Tally& tally) {
  EXPECT_GT(tally.accepted, kMutations / 50);
  EXPECT_GT(tally.refused, kMutations / 10);
}

TEST(ConvertMutationsTest, FindUniversalSet) {
  ExpectBoth(ParseMutated(
      test::ValidFindUniversalSetRequest(),
      [](const auto& request) {
        return UniversalSetProblemFromProto(request, kLimits);
      },
      [](const UniversalSetProblem& problem) {
        return SumOf(problem.keys());
      }));
}

TEST(ConvertMutationsTest, QueryHeavy) {
  ExpectBoth(ParseMutated(
      test::ValidQueryHeavyRequest(),
      [](const auto& request) {
        return HeavyProblemFromProto(request, nullptr, kLimits);
      },
      [](const HeavyProblem& problem) {
        return SumOf(*problem.terms().keys()) + SumOf(problem.rows().queries);
      }));
}

TEST(ConvertMutationsTest, Attend) {
  ExpectBoth(ParseMutated(
      test::ValidAttendRequest(),
      [](const auto& request) {
        return AttendProblemFromProto(request, nullptr, kLimits);
      },
      [](const AttendProblem& problem) {
        return SumOf(*problem.terms().keys()) +
               SumOf(problem.terms().values()) + SumOf(problem.rows().queries);
      }));
}

TEST(ConvertMutationsTest, SolvePower) {
  ExpectBoth(ParseMutated(
      test::ValidSolveRequest(),
      [](const auto& request) {
        return SolveProblemFromProto(request, kLimits);
      },
      [](const SolveProblem& problem) {
        return SumOf(*problem.a().dense()) + SumOf(problem.b());
      }));
}

TEST(ConvertMutationsTest, SolveKernel) {
  v1::SolveRequest valid = test::ValidKernelRequest();
  test::SetTensor({10}, std::vector<double>(10, 0.5),
                  valid.mutable_attention_kernel()->mutable_row_ridge());
  valid.mutable_attention_kernel()->set_preconditioner(
      v1::PRECONDITIONER_RPCHOLESKY);
  valid.mutable_attention_kernel()->set_preconditioner_rank(4);
  ExpectBoth(ParseMutated(
      valid,
      [](const auto& request) {
        return SolveProblemFromProto(request, kLimits);
      },
      [](const SolveProblem& problem) {
        double sum = SumOf(*problem.a().dense()) + SumOf(problem.b());
        if (problem.row_ridge().has_value()) {
          sum += SumOf(*problem.row_ridge());
          const auto numbers = RowRidgeNumbers(*problem.row_ridge());
          if (!numbers.ok()) {
            EXPECT_TRUE(DetailOf(numbers.status()).has_value());
          }
        }
        return sum;
      }));
}

TEST(ConvertMutationsTest, Predict) {
  ExpectBoth(ParseMutated(
      test::ValidPredictRequest(),
      [](const auto& request) {
        return PredictProblemFromProto(request, kLimits);
      },
      [](const PredictProblem& problem) {
        return SumOf(problem.a()) + SumOf(problem.x()) +
               SumOf(problem.queries());
      }));
}

}  // namespace
}  // namespace steelyard::server
