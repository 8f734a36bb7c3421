// Predict: what is missing, shapes that do not fit each other, numbers that are
// none.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/server/convert/malformed_requests_table.h"
#include "tests/server/convert/sparse_requests.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::test {

using PredictMutation = std::function<void(v1::PredictRequest*)>;

inline RequestCase RefusedPredict(const std::string& name,
                                  const PredictMutation& mutate,
                                  const Refusal& refusal) {
  return Refused("predict " + name, ValidPredictRequest(), mutate, refusal);
}

inline std::vector<RequestCase> PredictShapeCases() {
  const auto queries = [](const std::vector<std::int64_t>& shape) {
    return [shape](v1::PredictRequest* request) {
      SetPlainTensor(shape, request->mutable_queries()->mutable_dense());
    };
  };
  const auto x = [](const std::vector<std::int64_t>& shape) {
    return [shape](v1::PredictRequest* request) {
      SetPlainTensor(shape, request->mutable_x());
    };
  };
  return {
      RefusedPredict("no a", [](auto* request) { request->clear_a(); },
                     {"FIELD_REQUIRED", "a", "a is required"}),
      RefusedPredict("empty a",
                     [](auto* request) { request->mutable_a()->Clear(); },
                     {"FIELD_REQUIRED", "a.dense", "holds the matrix"}),
      RefusedPredict("no x", [](auto* request) { request->clear_x(); },
                     {"FIELD_REQUIRED", "x", "x_matrix"}),
      RefusedPredict("no queries",
                     [](auto* request) { request->clear_queries(); },
                     {"FIELD_REQUIRED", "queries", "queries is required"}),
      RefusedPredict("x of m rows", x({4}),
                     {"WRONG_SHAPE", "x.shape[0]", "is 4; a has 10 rows"}),
      RefusedPredict("x of 9 rows", x({9, 2}),
                     {"WRONG_SHAPE", "x.shape[0]", "is 9; a has 10 rows"}),
      RefusedPredict("x with heads", x({1, 10, 1}),
                     {"WRONG_SHAPE", "x.shape", "has 3 extents"}),
      RefusedPredict("too many weights", x({10, 4097}),
                     {"LIMIT_EXCEEDED", "x.shape[1]", "right_hand_sides_max"}),
      RefusedPredict(
          "queries of 4 columns", queries({4, 4}),
          {"WRONG_SHAPE", "queries.dense.shape[1]", "is 4; a has 3 columns"}),
      RefusedPredict("queries as a vector", queries({3}),
                     {"WRONG_SHAPE", "queries.dense.shape", "has 1 extents"}),
      RefusedPredict("queries with heads", queries({1, 4, 3}),
                     {"WRONG_SHAPE", "queries.dense.shape", "has 3 extents"}),
  };
}

inline std::vector<RequestCase> PredictStorageCases() {
  return {
      RefusedPredict("CSR a",
                     [](auto* request) {
                       SetSparse(SparseNumbers(),
                                 request->mutable_a()->mutable_csr());
                     },
                     {"CONFLICTING_FIELDS", "a.csr", "dense matrix is taken"}),
      RefusedPredict(
          "CSR queries",
          [](auto* request) {
            SetSparse(SparseNumbers(),
                      request->mutable_queries()->mutable_csr());
          },
          {"CONFLICTING_FIELDS", "queries.csr", "dense matrix is taken"}),
      RefusedPredict("queries beyond 2^63",
                     [](auto* request) {
                       request->mutable_queries()->mutable_dense()->set_shape(
                           0, std::int64_t{1} << 61);
                     },
                     {"SHAPE_OVERFLOW", "queries.dense.shape", "below 2^63"}),
      RefusedPredict(
          "a of too many columns",
          [](auto* request) {
            SetPlainTensor({1, 8193}, request->mutable_a()->mutable_dense());
          },
          {"LIMIT_EXCEEDED", "a.dense.shape[1]", "columns_max"}),
      RefusedPredict("queries a byte short",
                     [](auto* request) {
                       request->mutable_queries()
                           ->mutable_dense()
                           ->mutable_data()
                           ->pop_back();
                     },
                     {"WRONG_SIZE", "queries.dense.data", "has 95 bytes"}),
  };
}

inline std::vector<RequestCase> PredictNumberCases() {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const auto with = [](std::int64_t count, std::size_t place, double number) {
    std::vector<double> numbers = PlainNumbers(count);
    numbers[place] = number;
    return numbers;
  };
  return {
      RefusedPredict(
          "scale 0", [](auto* request) { request->set_scale(0.0); },
          {"FIELD_OUT_OF_RANGE", "scale", "is 0; it must be finite"}),
      RefusedPredict("scale infinity",
                     [&](auto* request) { request->set_scale(kInf); },
                     {"FIELD_OUT_OF_RANGE", "scale", "is inf"}),
      RefusedPredict("unknown normalization",
                     [](auto* request) {
                       request->set_normalization(v1::KernelNormalization(4));
                     },
                     {"UNKNOWN_ENUM", "normalization", "is 4"}),
      RefusedPredict("NaN in a",
                     [&](auto* request) {
                       SetTensor({10, 3}, with(30, 29, kNaN),
                                 request->mutable_a()->mutable_dense());
                     },
                     {"NOT_FINITE", "a.dense.data", "a[9,2] is nan"}),
      RefusedPredict(
          "infinity in x",
          [&](auto* request) {
            SetTensor({10, 2}, with(20, 5, -kInf), request->mutable_x());
          },
          {"NOT_FINITE", "x.data", "x[2,1] is -inf"}),
      RefusedPredict(
          "NaN in the last query",
          [&](auto* request) {
            SetTensor({4, 3}, with(12, 11, kNaN),
                      request->mutable_queries()->mutable_dense());
          },
          {"NOT_FINITE", "queries.dense.data", "queries[3,2] is nan"}),
      DecidedByCore(RefusedPredict(
          "logits without a digit",
          [](auto* request) {
            SetTensor({4, 3}, std::vector<double>(12, 1e200),
                      request->mutable_queries()->mutable_dense());
          },
          {"FIELD_OUT_OF_RANGE", "queries.dense.data", "queries"})),
  };
}

inline std::vector<RequestCase> PredictNameCases() {
  const auto unknown = [](const std::string& name, const auto& mutate) {
    return NotFound(Refused("predict " + name + " nobody stored",
                            ValidPredictRequest(), mutate,
                            {"", "", "no matrices/gone"}));
  };
  return {
      RefusedPredict("a of another collection",
                     [](auto* request) {
                       request->mutable_a()->set_matrix("universalSets/a");
                     },
                     {"FIELD_OUT_OF_RANGE", "a.matrix", "matrices/{id}"}),
      RefusedPredict("x without a name",
                     [](auto* request) { request->set_x_matrix(""); },
                     {"FIELD_REQUIRED", "x_matrix", "matrices/{id}"}),
      unknown("a",
              [](auto* r) { r->mutable_a()->set_matrix("matrices/gone"); }),
      unknown("x", [](auto* r) { r->set_x_matrix("matrices/gone"); }),
      unknown(
          "queries",
          [](auto* r) { r->mutable_queries()->set_matrix("matrices/gone"); }),
  };
}

inline std::vector<RequestCase> PredictCases() {
  std::vector<RequestCase> all;
  for (auto cases :
       {PredictShapeCases(), PredictStorageCases(), PredictNumberCases(),
        PredictNameCases(),
        std::vector<RequestCase>{
            Answered("predict one query", ValidPredictRequest(),
                     [](auto* request) {
                       SetPlainTensor(
                           {1, 3}, request->mutable_queries()->mutable_dense());
                     }),
            Answered("predict by hand", ValidPredictRequest(),
                     [](auto* request) {
                       WriteByHand(request->mutable_x());
                       WriteByHand(request->mutable_a()->mutable_dense());
                     }),
            Answered("predict with weights of zero", ValidPredictRequest(),
                     [](auto* request) {
                       SetTensor({10}, std::vector<double>(10, 0.0),
                                 request->mutable_x());
                     })}}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

}  // namespace steelyard::test
