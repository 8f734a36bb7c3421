// FindUniversalSet and QueryHeavy: fields out of range, and keys that look
// wrong and are not.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/server/convert/malformed_requests_table.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::test {

inline std::vector<RequestCase> OddKeysCases() {
  const auto keys = [](const std::string& name,
                       const std::vector<std::int64_t>& shape,
                       const std::vector<double>& numbers) {
    return Answered("keys " + name, ValidFindUniversalSetRequest(),
                    [&](v1::FindUniversalSetRequest* request) {
                      SetTensor(shape, numbers,
                                request->mutable_keys()->mutable_dense());
                    });
  };
  std::vector<double> tiny = PlainNumbers(30);
  std::vector<double> huge = PlainNumbers(30);
  for (double& number : tiny) number *= 1e-300;
  for (double& number : huge) number *= 1e300;
  std::vector<double> mixed = PlainNumbers(30);
  for (std::size_t i = 0; i < mixed.size(); i += 2) mixed[i] *= 1e300;
  return {
      keys("1 x 1", {1, 1}, {3.0}),
      keys("1 x 1 zero", {1, 1}, {0.0}),
      keys("n < d", {2, 7}, PlainNumbers(14)),
      keys("all zero", {10, 3}, std::vector<double>(30, 0.0)),
      keys("duplicated rows", {10, 3}, std::vector<double>(30, 1.5)),
      keys("of size 1e-300", {10, 3}, tiny),
      keys("of size 1e300", {10, 3}, huge),
      keys("of sizes 1 and 1e300", {10, 3}, mixed),
      keys("of one head as a batch", {1, 10, 3}, PlainNumbers(30)),
  };
}

inline RequestCase RefusedSet(
    const std::string& name,
    const std::function<void(v1::FindUniversalSetRequest*)>& mutate,
    const Refusal& refusal) {
  return Refused("set " + name, ValidFindUniversalSetRequest(), mutate,
                 refusal);
}

inline std::vector<RequestCase> EpsilonCases() {
  const auto epsilon = [](const std::string& name, double value,
                          const Refusal& refusal) {
    return RefusedSet(
        "epsilon " + name,
        [&](v1::FindUniversalSetRequest* request) {
          request->set_epsilon(value);
        },
        refusal);
  };
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  return {
      epsilon("0", 0.0, {"FIELD_REQUIRED", "epsilon", "unless top_m is set"}),
      epsilon("-1", -1.0, {"FIELD_OUT_OF_RANGE", "epsilon", "is -1; it must"}),
      epsilon("2", 2.0, {"FIELD_OUT_OF_RANGE", "epsilon", "is 2; it must"}),
      epsilon("NaN", kNaN, {"FIELD_OUT_OF_RANGE", "epsilon", "is nan"}),
      Answered("set epsilon 1", ValidFindUniversalSetRequest(),
               [](auto* request) { request->set_epsilon(1.0); }),
      Answered("set top_m alone", ValidFindUniversalSetRequest(),
               [](auto* request) {
                 request->clear_epsilon();
                 request->set_top_m(std::numeric_limits<std::int64_t>::max());
               }),
      Answered("set any seed", ValidFindUniversalSetRequest(),
               [](auto* request) { request->set_seed(~std::uint64_t{0}); }),
  };
}

inline std::vector<RequestCase> SetFieldCases() {
  return {
      RefusedSet("epsilon -1 beside top_m",
                 [](auto* request) {
                   request->set_epsilon(-1.0);
                   request->set_top_m(3);
                 },
                 {"FIELD_OUT_OF_RANGE", "epsilon", "is -1"}),
      RefusedSet("top_m 0", [](auto* request) { request->set_top_m(0); },
                 {"FIELD_OUT_OF_RANGE", "top_m", "is 0; it must be >= 1"}),
      RefusedSet("top_m -5", [](auto* request) { request->set_top_m(-5); },
                 {"FIELD_OUT_OF_RANGE", "top_m", "is -5"}),
      RefusedSet("no keys", [](auto* request) { request->clear_keys(); },
                 {"FIELD_REQUIRED", "keys", "keys is required"}),
      RefusedSet("keys without a source",
                 [](auto* request) { request->mutable_keys()->Clear(); },
                 {"FIELD_REQUIRED", "keys.dense", "is required"}),
      RefusedSet("function without a kind",
                 [](auto* request) { request->mutable_function(); },
                 {"FIELD_REQUIRED", "function.power", "must be set"}),
      RefusedSet(
          "power unset",
          [](auto* request) { request->mutable_function()->mutable_power(); },
          {"FIELD_OUT_OF_RANGE", "function.power.p", "is 0; it must be in"}),
      RefusedSet("certified softmax",
                 [](auto* request) {
                   request->mutable_function()->mutable_softmax()->set_mode(
                       v1::SOFTMAX_MODE_CERTIFIED);
                 },
                 {"FIELD_OUT_OF_RANGE", "function.softmax.mode", "QueryHeavy"}),
      RefusedSet("two lengths for one head",
                 [](auto* request) {
                   request->add_lengths(1);
                   request->add_lengths(1);
                 },
                 {"WRONG_SHAPE", "lengths", "keys have 1 heads"}),
      RefusedSet("length 0", [](auto* request) { request->add_lengths(0); },
                 {"FIELD_OUT_OF_RANGE", "lengths[0]", "is 0; it must be"}),
      RefusedSet("length above n",
                 [](auto* request) { request->add_lengths(11); },
                 {"FIELD_OUT_OF_RANGE", "lengths[0]", "is 11; it must be"}),
      RefusedSet(
          "max_response_bytes 0",
          [](auto* request) { request->set_max_response_bytes(0); },
          {"FIELD_OUT_OF_RANGE", "max_response_bytes", "is 0; it must be in"}),
      RefusedSet("max_response_bytes 2^31",
                 [](auto* request) {
                   request->set_max_response_bytes(std::int64_t{1} << 31);
                 },
                 {"FIELD_OUT_OF_RANGE", "max_response_bytes", "is 2147483648"}),
  };
}

inline v1::FindUniversalSetRequest RidgeRequest(double lambda, double ratio) {
  v1::FindUniversalSetRequest request = ValidFindUniversalSetRequest();
  request.mutable_ridge()->set_lambda(lambda);
  request.mutable_ridge()->set_ratio(ratio);
  return request;
}

inline void SetCubic(v1::FindUniversalSetRequest* request) {
  request->mutable_function()->mutable_power()->set_p(3.0);
}

inline std::vector<RequestCase> RidgeCases() {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const auto unchanged = [](auto*) {};
  const auto ridge = [&](const std::string& name, double lambda, double ratio,
                         const Refusal& refusal) {
    return Refused("ridge " + name, RidgeRequest(lambda, ratio), unchanged,
                   refusal);
  };
  return {
      ridge("lambda 0", 0.0, 1.0,
            {"FIELD_OUT_OF_RANGE", "ridge.lambda", "is 0; it must"}),
      ridge("lambda NaN", kNaN, 1.0,
            {"FIELD_OUT_OF_RANGE", "ridge.lambda", "is nan"}),
      ridge("ratio negative", 1.0, -1.0,
            {"FIELD_OUT_OF_RANGE", "ridge.ratio", "is -1; it must"}),
      ridge("ratio infinite", 1.0, kInfinity,
            {"FIELD_OUT_OF_RANGE", "ridge.ratio", "is inf"}),
      Refused("ridge of a cube", RidgeRequest(1.0, 1.0), SetCubic,
              {"CONFLICTING_FIELDS", "ridge", "function is not"}),
      Refused("ridge and causal", RidgeRequest(1.0, 1.0),
              [](auto* request) { request->set_causal(true); },
              {"CONFLICTING_FIELDS", "ridge", "causal"}),
      Refused("ridge kept", RidgeRequest(1.0, 1.0),
              [](auto* request) { request->set_set_id("keys"); },
              {"CONFLICTING_FIELDS", "set_id", "cannot be kept"}),
  };
}

inline std::vector<RequestCase> VariantCases() {
  return {
      RefusedSet("selection of a later version",
                 [](auto* request) {
                   request->set_selection(static_cast<v1::Selection>(9));
                 },
                 {"UNKNOWN_ENUM", "selection", "is 9; this version"}),
      RefusedSet("fast selection of a cube",
                 [](auto* request) {
                   SetCubic(request);
                   request->set_selection(v1::SELECTION_FAST);
                 },
                 {"CONFLICTING_FIELDS", "selection", "is SELECTION_FAST"}),
      RefusedSet("random projections, causal",
                 [](auto* request) {
                   request->set_causal(true);
                   request->set_selection(v1::SELECTION_JOHNSON_LINDENSTRAUSS);
                 },
                 {"CONFLICTING_FIELDS", "selection", "found directly"}),
      RefusedSet("random projections, kept",
                 [](auto* request) {
                   request->set_set_id("keys");
                   request->set_selection(v1::SELECTION_JOHNSON_LINDENSTRAUSS);
                 },
                 {"CONFLICTING_FIELDS", "set_id", "may lack keys"}),
      RefusedSet("causal softmax",
                 [](auto* request) {
                   request->set_causal(true);
                   request->mutable_function()->mutable_softmax()->set_mode(
                       v1::SOFTMAX_MODE_HEURISTIC);
                 },
                 {"CONFLICTING_FIELDS", "causal", "centres all keys"}),
      RefusedSet("set_id with a capital",
                 [](auto* request) { request->set_set_id("Keys"); },
                 {"FIELD_OUT_OF_RANGE", "set_id", "is 'Keys'; it must be"}),
      RefusedSet("ttl without set_id",
                 [](auto* request) { request->mutable_ttl()->set_seconds(9); },
                 {"CONFLICTING_FIELDS", "ttl", "nothing is kept"}),
      RefusedSet("ttl of two days",
                 [](auto* request) {
                   request->set_set_id("keys");
                   request->mutable_ttl()->set_seconds(172800);
                 },
                 {"FIELD_OUT_OF_RANGE", "ttl", "is 48h; it must be positive"}),
      RefusedSet("ttl 0",
                 [](auto* request) {
                   request->set_set_id("keys");
                   request->mutable_ttl();
                 },
                 {"FIELD_OUT_OF_RANGE", "ttl", "is 0; it must be positive"}),
  };
}

inline std::vector<RequestCase> UniversalSetCases() {
  std::vector<RequestCase> all;
  for (auto cases : {EpsilonCases(), SetFieldCases(), RidgeCases(),
                     VariantCases(), OddKeysCases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

inline RequestCase RefusedHeavy(
    const std::string& name,
    const std::function<void(v1::QueryHeavyRequest*)>& mutate,
    const Refusal& refusal) {
  return Refused("heavy " + name, ValidQueryHeavyRequest(), mutate, refusal);
}

inline std::vector<RequestCase> HeavyOptionCases() {
  return {
      RefusedHeavy("causal without positions",
                   [](auto* request) { request->set_causal(true); },
                   {"FIELD_REQUIRED", "positions", "one position a query"}),
      RefusedHeavy("positions without causal",
                   [](auto* request) { request->add_positions(1); },
                   {"CONFLICTING_FIELDS", "positions", "has 1 numbers"}),
      RefusedHeavy("a position beyond the keys",
                   [](auto* request) {
                     request->set_causal(true);
                     for (int i = 6; i < 11; ++i) request->add_positions(i);
                   },
                   {"FIELD_OUT_OF_RANGE", "positions[4]", "is 10; it must"}),
      RefusedHeavy("length 0",
                   [](auto* request) {
                     request->add_lengths(3);
                     request->add_lengths(0);
                   },
                   {"FIELD_OUT_OF_RANGE", "lengths[1]", "is 0; it must"}),
      RefusedHeavy(
          "a power below 1",
          [](auto* request) {
            request->mutable_function()->mutable_power()->set_p(0.5);
          },
          {"FIELD_OUT_OF_RANGE", "function.power.p", "is 0.5; it must"}),
      RefusedHeavy(
          "softmax without a mode",
          [](auto* request) { request->mutable_function()->mutable_softmax(); },
          {"FIELD_REQUIRED", "function.softmax.mode", "mode"}),
      RefusedHeavy("a name that is none",
                   [](auto* request) {
                     request->mutable_universal_set()->set_name("sets/Keys");
                   },
                   {"FIELD_OUT_OF_RANGE", "universal_set.name", "sets/Keys"}),
      Answered("heavy packed certified softmax", ValidQueryHeavyRequest(),
               [](auto* request) {
                 request->set_packed(true);
                 request->mutable_function()->mutable_softmax()->set_mode(
                     v1::SOFTMAX_MODE_CERTIFIED);
               }),
  };
}

inline std::vector<RequestCase> HeavyCases() {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  std::vector<RequestCase> all = {
      RefusedHeavy("no keys", [](auto* request) { request->clear_keys(); },
                   {"FIELD_REQUIRED", "keys", "keys is required"}),
      RefusedHeavy("no queries",
                   [](auto* request) { request->clear_queries(); },
                   {"FIELD_REQUIRED", "queries", "queries is required"}),
      RefusedHeavy(
          "queries of other columns",
          [](auto* request) {
            SetPlainTensor({4, 5, 2}, request->mutable_queries());
          },
          {"WRONG_SHAPE", "queries.shape[2]", "is 2; keys have 3 columns"}),
      RefusedHeavy(
          "query heads no multiple",
          [](auto* request) {
            SetPlainTensor({3, 5, 3}, request->mutable_queries());
          },
          {"WRONG_SHAPE", "queries.shape[0]", "is 3; keys have 2 heads"}),
      RefusedHeavy("one query head for two key heads",
                   [](auto* request) {
                     SetPlainTensor({5, 3}, request->mutable_queries());
                   },
                   {"WRONG_SHAPE", "queries.shape", "keys have 2 heads"}),
      RefusedHeavy(
          "empty queries",
          [](auto* request) { request->mutable_queries()->set_shape(1, 0); },
          {"WRONG_SHAPE", "queries.shape[1]", "is 0; every extent"}),
      RefusedHeavy("epsilon 0",
                   [](auto* request) { request->set_epsilon(0.0); },
                   {"FIELD_REQUIRED", "epsilon", "it must be in (0, 1]"}),
      RefusedHeavy("epsilon NaN",
                   [](auto* request) { request->set_epsilon(kNaN); },
                   {"FIELD_OUT_OF_RANGE", "epsilon", "is nan"}),
      RefusedHeavy("NaN in queries",
                   [](auto* request) {
                     std::vector<double> numbers = PlainNumbers(60);
                     numbers[59] = kNaN;
                     SetTensor({4, 5, 3}, numbers, request->mutable_queries());
                   },
                   {"NOT_FINITE", "queries.data", "is nan"}),
      RefusedHeavy(
          "rows over max_response_bytes",
          [](auto* request) { request->set_max_response_bytes(50); },
          {"RESPONSE_TOO_LARGE", "max_response_bytes", "at least 80 bytes"}),
      Answered("heavy zero queries", ValidQueryHeavyRequest(),
               [](auto* request) {
                 SetTensor({4, 5, 3}, std::vector<double>(60, 0.0),
                           request->mutable_queries());
               }),
      Answered("heavy zero keys", ValidQueryHeavyRequest(),
               [](auto* request) {
                 SetTensor({2, 10, 3}, std::vector<double>(60, 0.0),
                           request->mutable_keys()->mutable_dense());
               }),
  };
  for (const RequestCase& each : HeavyOptionCases()) all.push_back(each);
  return all;
}

}  // namespace steelyard::test
