// Requests at the edge of the contract and beyond it, each with the answer that
// the contract promises. Run against the converters, where no number is looked
// at, and end to end, where the whole service answers.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "steelyard/v1/regression_service.pb.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::test {

using AnyRequest =
    std::variant<v1::FindUniversalSetRequest, v1::QueryHeavyRequest,
                 v1::AttendRequest, v1::SolveRequest, v1::PredictRequest>;

// Who decides the case.
enum class Decides { kConverter, kCore };

struct RequestCase {
  std::string name;
  AnyRequest request;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
  std::string reason;  // of ErrorInfo; empty: the request is answered
  std::string field;   // of BadRequest
  std::string text;    // stands in the message
  Decides decides = Decides::kConverter;
};

// What a refused request ends in.
struct Refusal {
  const char* reason;
  const char* field;
  const char* text;
};

// A valid request with one change, and what it ends in. `mutate` takes a
// pointer to the request.
template <typename Request, typename Mutation>
RequestCase Refused(const std::string& name, Request request,
                    const Mutation& mutate, const Refusal& refusal) {
  mutate(&request);
  const std::string reason = refusal.reason;
  const bool over_a_limit =
      reason == "LIMIT_EXCEEDED" || reason == "RESPONSE_TOO_LARGE";
  return {
      .name = name,
      .request = std::move(request),
      .code = over_a_limit ? absl::StatusCode::kResourceExhausted
                           : absl::StatusCode::kInvalidArgument,
      .reason = reason,
      .field = refusal.field,
      .text = refusal.text,
      .decides = reason == "NOT_FINITE" ? Decides::kCore : Decides::kConverter};
}

// The same where core looks: what the numbers say.
inline RequestCase DecidedByCore(RequestCase refused) {
  refused.decides = Decides::kCore;
  return refused;
}

// The same where a matrix of that name is not there: no reason, no field.
inline RequestCase NotFound(RequestCase refused) {
  refused.code = absl::StatusCode::kNotFound;
  return refused;
}

// The same for a change that the contract allows.
template <typename Request, typename Mutation>
RequestCase Answered(const std::string& name, Request request,
                     const Mutation& mutate) {
  mutate(&request);
  return {.name = name,
          .request = std::move(request),
          .code = absl::StatusCode::kOk,
          .reason = "",
          .field = "",
          .text = "",
          .decides = Decides::kCore};
}

std::vector<RequestCase> TensorCases();
std::vector<RequestCase> UniversalSetCases();
std::vector<RequestCase> HeavyCases();
std::vector<RequestCase> AttendCases();
std::vector<RequestCase> SolveCases();
std::vector<RequestCase> SketchCases();
std::vector<RequestCase> StoredInputCases();
std::vector<RequestCase> PredictCases();

// All of the above.
std::vector<RequestCase> RequestCases();

}  // namespace steelyard::test

#include "tests/server/convert/malformed_attend_cases.h"
#include "tests/server/convert/malformed_kernel_cases.h"
#include "tests/server/convert/malformed_predict_cases.h"
#include "tests/server/convert/malformed_sketch_cases.h"
#include "tests/server/convert/malformed_solve_cases.h"
#include "tests/server/convert/malformed_stored_cases.h"
#include "tests/server/convert/malformed_tensor_cases.h"
#include "tests/server/convert/malformed_universal_set_cases.h"

namespace steelyard::test {

inline std::vector<RequestCase> RequestCases() {
  std::vector<RequestCase> all;
  for (auto cases :
       {TensorCases(), UniversalSetCases(), HeavyCases(), AttendCases(),
        SolveCases(), SketchCases(), StoredInputCases(), PredictCases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

}  // namespace steelyard::test
