// The table of malformed requests, as far as the converters decide it.
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/convert/attend.h"
#include "server/convert/attend_answer.h"
#include "server/convert/heavy_answer.h"
#include "server/convert/heavy_query.h"
#include "server/convert/prediction.h"
#include "server/convert/regression.h"
#include "server/convert/universal_set.h"
#include "server/errors/errors.h"
#include "server/errors/grpc_status.h"
#include "steelyard/status.h"
#include "tests/server/convert/malformed_requests_table.h"

namespace steelyard::server {
namespace {

const Limits kLimits;

absl::Status Verdict(const v1::FindUniversalSetRequest& request) {
  return UniversalSetProblemFromProto(request, kLimits).status();
}

absl::Status Verdict(const v1::QueryHeavyRequest& request) {
  const auto id = SetIdFromProto(request);
  if (!id.ok()) return id.status();
  const auto problem = HeavyProblemFromProto(request, nullptr, kLimits);
  return problem.ok() ? CheckResponseSize(*problem) : problem.status();
}

absl::Status Verdict(const v1::AttendRequest& request) {
  const auto problem = AttendProblemFromProto(request, nullptr, kLimits);
  return problem.ok() ? CheckResponseSize(*problem) : problem.status();
}

absl::Status Verdict(const v1::SolveRequest& request) {
  const auto problem = SolveProblemFromProto(request, kLimits);
  return problem.ok() ? CheckResponseSize(*problem) : problem.status();
}

absl::Status Verdict(const v1::PredictRequest& request) {
  return PredictProblemFromProto(request, kLimits).status();
}

TEST(MalformedRequestsTest, TheTableIsLongAndItsNamesDiffer) {
  const auto cases = test::RequestCases();
  EXPECT_GE(cases.size(), 60u);
  std::set<std::string> names;
  for (const test::RequestCase& each : cases) {
    EXPECT_TRUE(names.insert(each.name).second) << each.name;
  }
}

TEST(MalformedRequestsTest, EveryCaseEndsAsTheContractSays) {
  for (const test::RequestCase& each : test::RequestCases()) {
    SCOPED_TRACE(each.name);
    const absl::Status status = std::visit(
        [](const auto& request) { return Verdict(request); }, each.request);
    if (each.decides == test::Decides::kCore) {
      EXPECT_TRUE(status.ok()) << status;
      continue;
    }
    EXPECT_EQ(status.code(), each.code) << status;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(each.text));
    const ErrorDetail detail = DetailOf(status).value_or(ErrorDetail{});
    EXPECT_EQ(detail.reason, each.reason);
    EXPECT_EQ(detail.field, each.field);
    // A message names its field.
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(each.field));
    // None of them may be tried again as it stands.
    EXPECT_EQ(RetryDelayOf(status), std::nullopt);
  }
}

// What is written to the wire fits whatever the request says.
TEST(MalformedRequestsTest, EveryRefusalFitsIntoAStatus) {
  for (const test::RequestCase& each : test::RequestCases()) {
    const grpc::Status status = ToGrpcStatus(std::visit(
        [](const auto& request) { return Verdict(request); }, each.request));
    EXPECT_LT(status.error_message().size() + status.error_details().size(),
              kStatusBytesMax)
        << each.name;
  }
}

}  // namespace
}  // namespace steelyard::server
