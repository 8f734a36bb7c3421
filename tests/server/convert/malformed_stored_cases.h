// Names of stored matrices, asked of a server that keeps none.
#pragma once

#include <string>
#include <vector>

#include "tests/server/convert/malformed_requests_table.h"
#include "tests/server/convert/sparse_requests.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::test {

inline std::vector<RequestCase> WrongNameCases() {
  std::vector<RequestCase> cases;
  for (const std::string& name :
       {std::string("a"), std::string("universalSets/a"),
        std::string("matrices/"), std::string("matrices/A"),
        "matrices/" + std::string(64, 'a')}) {
    cases.push_back(
        Refused("a named '" + name + "'", ValidSolveRequest(),
                [&](auto* request) { request->mutable_a()->set_matrix(name); },
                {"FIELD_OUT_OF_RANGE", "a.matrix", "matrices/{id}"}));
  }
  cases.push_back(
      Refused("a without a name", ValidSolveRequest(),
              [](auto* request) { request->mutable_a()->set_matrix(""); },
              {"FIELD_REQUIRED", "a.matrix", "matrices/{id}"}));
  cases.push_back(
      Refused("b of another collection", ValidSolveRequest(),
              [](auto* request) { request->set_b_matrix("universalSets/b"); },
              {"FIELD_OUT_OF_RANGE", "b_matrix", "matrices/{id}"}));
  return cases;
}

inline std::vector<RequestCase> UnknownNameCases() {
  const auto unknown = [](const std::string& name, const auto& request,
                          const auto& mutate) {
    return NotFound(Refused(name + " nobody stored", request, mutate,
                            {"", "", "no matrices/gone"}));
  };
  return {
      unknown("a", ValidSolveRequest(),
              [](auto* r) { r->mutable_a()->set_matrix("matrices/gone"); }),
      unknown("b", ValidSolveRequest(),
              [](auto* r) { r->set_b_matrix("matrices/gone"); }),
      unknown("keys of a set", ValidFindUniversalSetRequest(),
              [](auto* r) { r->mutable_keys()->set_matrix("matrices/gone"); }),
      unknown("keys of queries", ValidQueryHeavyRequest(),
              [](auto* r) { r->mutable_keys()->set_matrix("matrices/gone"); }),
      unknown("keys of attention", ValidAttendRequest(),
              [](auto* r) { r->mutable_keys()->set_matrix("matrices/gone"); }),
      unknown(
          "values", ValidAttendRequest(),
          [](auto* r) { r->mutable_values()->set_matrix("matrices/gone"); }),
  };
}

inline std::vector<RequestCase> StoredInputCases() {
  std::vector<RequestCase> all = WrongNameCases();
  for (auto cases :
       {UnknownNameCases(),
        std::vector<RequestCase>{Refused(
            "sparse keys", ValidFindUniversalSetRequest(),
            [](auto* request) {
              SetSparse(SparseNumbers(),
                        request->mutable_keys()->mutable_csr());
            },
            {"CONFLICTING_FIELDS", "keys.csr", "dense matrix is taken"})}}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

}  // namespace steelyard::test
