// Solve: fields out of range, fields that exclude each other, and systems that
// look wrong and are not.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "tests/server/convert/malformed_kernel_cases.h"
#include "tests/server/convert/malformed_requests_table.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::test {

inline RequestCase RefusedSolve(const std::string& name,
                                const SolveMutation& mutate,
                                const Refusal& refusal) {
  return Refused("solve " + name, ValidSolveRequest(), mutate, refusal);
}

inline std::vector<RequestCase> SolveOptionCases() {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const auto number = [](const char* field, const char* given, auto setter,
                         double value, const char* rule) {
    return RefusedSolve(
        std::string(field) + " " + given,
        [&](v1::SolveRequest* request) { setter(request, value); },
        {"FIELD_OUT_OF_RANGE", field, rule});
  };
  const auto tolerance = [](v1::SolveRequest* request, double value) {
    request->set_tolerance(value);
  };
  const auto ridge = [](v1::SolveRequest* request, double value) {
    request->set_ridge(value);
  };
  return {
      number("tolerance", "0", tolerance, 0.0, "is 0; it must be in (0, 1)"),
      number("tolerance", "1", tolerance, 1.0, "is 1; it must be in (0, 1)"),
      number("tolerance", "NaN", tolerance, kNaN, "is nan"),
      number("ridge", "-1", ridge, -1.0, "is -1; it must be finite and >= 0"),
      number("ridge", "infinity", ridge, kInf, "is inf"),
      number("ridge", "NaN", ridge, kNaN, "is nan"),
      RefusedSolve(
          "max_iterations 0",
          [](auto* request) { request->set_max_iterations(0); },
          {"FIELD_OUT_OF_RANGE", "max_iterations", "is 0; it must be >= 1"}),
      RefusedSolve(
          "time_limit 0", [](auto* request) { request->mutable_time_limit(); },
          {"FIELD_OUT_OF_RANGE", "time_limit", "seconds: 0, nanos: 0"}),
      RefusedSolve("time_limit of two signs",
                   [](auto* request) {
                     request->mutable_time_limit()->set_seconds(1);
                     request->mutable_time_limit()->set_nanos(-1);
                   },
                   {"FIELD_OUT_OF_RANGE", "time_limit", "nanos: -1"}),
      RefusedSolve("time_limit beyond its type",
                   [](auto* request) {
                     request->mutable_time_limit()->set_seconds(
                         std::numeric_limits<std::int64_t>::max());
                   },
                   {"FIELD_OUT_OF_RANGE", "time_limit", "9223372036854775807"}),
      RefusedSolve(
          "no problem", [](auto* request) { request->clear_problem(); },
          {"FIELD_REQUIRED", "problem", "gram_power, left_gram_power"}),
      RefusedSolve(
          "unknown method",
          [](auto* request) { request->set_method(v1::Method(10)); },
          {"UNKNOWN_ENUM", "method", "is 10; this version knows no such"}),
      RefusedSolve("answer over max_response_bytes",
                   [](auto* request) { request->set_max_response_bytes(23); },
                   {"RESPONSE_TOO_LARGE", "max_response_bytes", "StreamSolve"}),
  };
}

inline std::vector<RequestCase> PowerCases() {
  constexpr int kIntMax = std::numeric_limits<int>::max();
  const auto even = [](int exponent) {
    return [exponent](v1::SolveRequest* request) {
      request->mutable_gram_power()->set_exponent(exponent);
    };
  };
  const auto odd = [](int exponent) {
    return [exponent](v1::SolveRequest* request) {
      request->mutable_left_gram_power()->set_exponent(exponent);
    };
  };
  const auto exponential = [](auto&& and_then) {
    return [and_then](v1::SolveRequest* request) {
      request->mutable_matrix_exponential();
      and_then(request);
    };
  };
  return {
      RefusedSolve("even exponent 0", even(0),
                   {"FIELD_OUT_OF_RANGE", "gram_power.exponent", "is 0"}),
      RefusedSolve("even exponent -1", even(-1),
                   {"FIELD_OUT_OF_RANGE", "gram_power.exponent", "is -1"}),
      RefusedSolve("even exponent 65", even(65),
                   {"LIMIT_EXCEEDED", "gram_power.exponent", "at most 64"}),
      RefusedSolve("even exponent 2^31-1", even(kIntMax),
                   {"LIMIT_EXCEEDED", "gram_power.exponent", "2147483647"}),
      RefusedSolve("odd exponent -1", odd(-1),
                   {"FIELD_OUT_OF_RANGE", "left_gram_power.exponent", "-1"}),
      RefusedSolve("odd exponent 2^31-1", odd(kIntMax),
                   {"LIMIT_EXCEEDED", "left_gram_power.exponent", "64"}),
      RefusedSolve(
          "Cholesky of a power",
          [](auto* request) { request->set_method(v1::METHOD_CHOLESKY); },
          {"CONFLICTING_FIELDS", "method", "is METHOD_CHOLESKY"}),
      RefusedSolve("QR of the exponential", exponential([](auto* request) {
                     request->set_method(v1::METHOD_QR);
                   }),
                   {"CONFLICTING_FIELDS", "method", "is METHOD_QR"}),
      RefusedSolve("ridge of the exponential",
                   exponential([](auto* request) { request->set_ridge(1.0); }),
                   {"CONFLICTING_FIELDS", "ridge", "takes no ridge"}),
      RefusedSolve("extended exponential", exponential([](auto* request) {
                     request->set_extended_output(true);
                   }),
                   {"CONFLICTING_FIELDS", "extended_output", "is true"}),
  };
}

inline std::vector<RequestCase> SolveTensorCases() {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  const auto b = [](const std::vector<std::int64_t>& shape) {
    return [shape](v1::SolveRequest* request) {
      SetPlainTensor(shape, request->mutable_b());
    };
  };
  return {
      RefusedSolve("no a", [](auto* request) { request->clear_a(); },
                   {"FIELD_REQUIRED", "a", "a is required"}),
      RefusedSolve("no b", [](auto* request) { request->clear_b(); },
                   {"FIELD_REQUIRED", "b", "b is required"}),
      RefusedSolve(
          "a with heads",
          [](auto* request) {
            SetPlainTensor({1, 10, 3}, request->mutable_a()->mutable_dense());
          },
          {"WRONG_SHAPE", "a.dense.shape", "has 3 extents"}),
      RefusedSolve("b of n rows, even", b({10}),
                   {"WRONG_SHAPE", "b.shape[0]", "is 10; a has 3 columns"}),
      RefusedKernel("b of d rows", b({3}),
                    {"WRONG_SHAPE", "b.shape[0]", "is 3; a has 10 rows"}),
      RefusedSolve("b of d rows, odd",
                   [](auto* request) {
                     request->mutable_left_gram_power()->set_exponent(1);
                   },
                   {"WRONG_SHAPE", "b.shape[0]", "is 3; a has 10 rows"}),
      RefusedSolve("b with heads", b({1, 3, 1}),
                   {"WRONG_SHAPE", "b.shape", "has 3 extents"}),
      RefusedSolve("too many right-hand sides", b({3, 4097}),
                   {"LIMIT_EXCEEDED", "b.shape[1]", "right_hand_sides_max"}),
      RefusedSolve(
          "NaN in a",
          [](auto* request) {
            std::vector<double> numbers = PlainNumbers(30);
            numbers[4] = kNaN;
            SetTensor({10, 3}, numbers, request->mutable_a()->mutable_dense());
          },
          {"NOT_FINITE", "a.dense.data", "a[1,1] is nan"}),
      RefusedSolve("NaN in b",
                   [](auto* request) {
                     SetTensor({3}, {1.0, 2.0, kNaN}, request->mutable_b());
                   },
                   {"NOT_FINITE", "b.data", "b[2,0] is nan"}),
      RefusedKernel("infinity in b",
                    [](auto* request) {
                      std::vector<double> numbers = PlainNumbers(10);
                      numbers[3] = -1.0 / 0.0;
                      SetTensor({10}, numbers, request->mutable_b());
                    },
                    {"NOT_FINITE", "b.data", "b[3,0] is -inf"}),
  };
}

inline std::vector<RequestCase> OddSystemCases() {
  const auto system = [](const std::string& name,
                         const std::vector<std::int64_t>& shape,
                         std::vector<double> numbers, double factor) {
    for (double& number : numbers) number *= factor;
    return Answered(
        "solve " + name, ValidSolveRequest(), [&](v1::SolveRequest* request) {
          SetTensor(shape, numbers, request->mutable_a()->mutable_dense());
          SetPlainTensor({shape[1]}, request->mutable_b());
        });
  };
  return {
      system("1 x 1", {1, 1}, {3.0}, 1.0),
      system("n < d", {2, 7}, PlainNumbers(14), 1.0),
      system("all zero", {10, 3}, std::vector<double>(30, 0.0), 1.0),
      system("duplicated rows", {10, 3}, std::vector<double>(30, 1.5), 1.0),
      system("of size 1e-300", {10, 3}, PlainNumbers(30), 1e-300),
      system("of size 1e300", {10, 3}, PlainNumbers(30), 1e300),
      Answered("solve b zero", ValidSolveRequest(),
               [](auto* request) {
                 SetTensor({3}, {0.0, 0.0, 0.0}, request->mutable_b());
               }),
      Answered("solve exponent 64", ValidSolveRequest(),
               [](auto* request) {
                 request->mutable_gram_power()->set_exponent(64);
               }),
      Answered("solve least squares", ValidSolveRequest(),
               [](auto* request) {
                 request->mutable_left_gram_power()->set_exponent(0);
                 SetPlainTensor({10}, request->mutable_b());
               }),
      Answered("kernel duplicated rows without a ridge", ValidKernelRequest(),
               [](auto* request) {
                 SetTensor({10, 3}, std::vector<double>(30, 0.5),
                           request->mutable_a()->mutable_dense());
                 request->clear_ridge();
               }),
  };
}

inline std::vector<RequestCase> SolveCases() {
  std::vector<RequestCase> all;
  for (auto cases :
       {SolveOptionCases(), PowerCases(), KernelCases(), PreconditionerCases(),
        RowRidgeCases(), SolveTensorCases(), OddSystemCases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

}  // namespace steelyard::test
