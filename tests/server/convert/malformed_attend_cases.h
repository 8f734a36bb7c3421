// Attend: fields out of range and fields that do not go together.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/server/convert/malformed_requests_table.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::test {

inline RequestCase RefusedAttend(
    const std::string& name,
    const std::function<void(v1::AttendRequest*)>& mutate,
    const Refusal& refusal) {
  return Refused("attend " + name, ValidAttendRequest(), mutate, refusal);
}

inline std::vector<RequestCase> AttendTensorCases() {
  return {
      RefusedAttend("no keys", [](auto* request) { request->clear_keys(); },
                    {"FIELD_REQUIRED", "keys", "universal_set alone"}),
      RefusedAttend("no values", [](auto* request) { request->clear_values(); },
                    {"FIELD_REQUIRED", "values", "values is required"}),
      RefusedAttend("no queries",
                    [](auto* request) { request->clear_queries(); },
                    {"FIELD_REQUIRED", "queries", "queries is required"}),
      RefusedAttend("values of other rows",
                    [](auto* request) {
                      SetPlainTensor(
                          {2, 9, 6},
                          request->mutable_values()->mutable_dense());
                    },
                    {"WRONG_SHAPE", "values.dense.shape[1]", "10 rows"}),
      RefusedAttend("values of other heads",
                    [](auto* request) {
                      SetPlainTensor(
                          {3, 10, 6},
                          request->mutable_values()->mutable_dense());
                    },
                    {"WRONG_SHAPE", "values.dense.shape[0]", "2 heads"}),
      RefusedAttend(
          "values of one head",
          [](auto* request) {
            SetPlainTensor({10, 6}, request->mutable_values()->mutable_dense());
          },
          {"WRONG_SHAPE", "values.dense.shape", "is one head"}),
      RefusedAttend("queries of other columns",
                    [](auto* request) {
                      SetPlainTensor({4, 5, 2}, request->mutable_queries());
                    },
                    {"WRONG_SHAPE", "queries.shape[2]", "3 columns"}),
      RefusedAttend("one length for two heads",
                    [](auto* request) { request->add_lengths(3); },
                    {"WRONG_SHAPE", "lengths", "2 heads"}),
      RefusedAttend("NaN in values",
                    [](auto* request) {
                      std::vector<double> numbers = PlainNumbers(120);
                      numbers[119] = std::numeric_limits<double>::quiet_NaN();
                      SetTensor({2, 10, 6}, numbers,
                                request->mutable_values()->mutable_dense());
                    },
                    {"NOT_FINITE", "values.dense.data", "is nan"}),
      Answered("attend zero queries", ValidAttendRequest(),
               [](auto* request) {
                 SetTensor({4, 5, 3}, std::vector<double>(60, 0.0),
                           request->mutable_queries());
               }),
      Answered("attend zero keys", ValidAttendRequest(),
               [](auto* request) {
                 SetTensor({2, 10, 3}, std::vector<double>(60, 0.0),
                           request->mutable_keys()->mutable_dense());
               }),
  };
}

inline void SetGrid(std::int64_t height, std::int64_t width,
                    std::int64_t radius, v1::AttendRequest* request) {
  request->mutable_grid()->set_height(height);
  request->mutable_grid()->set_width(width);
  request->mutable_grid()->set_radius(radius);
}

inline std::vector<RequestCase> AttendPlaceCases() {
  constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
  return {
      RefusedAttend("sinks -1", [](auto* request) { request->set_sinks(-1); },
                    {"FIELD_OUT_OF_RANGE", "sinks", "is -1; it must be >= 0"}),
      RefusedAttend("window -1", [](auto* request) { request->set_window(-1); },
                    {"FIELD_OUT_OF_RANGE", "window", "is -1; it must be >= 0"}),
      RefusedAttend("grid without cells",
                    [](auto* request) { request->mutable_grid(); },
                    {"FIELD_OUT_OF_RANGE", "grid.height", "is 0; it must"}),
      RefusedAttend("grid beyond the keys",
                    [](auto* request) { SetGrid(3, 4, 1, request); },
                    {"FIELD_OUT_OF_RANGE", "grid.height", "there are 10 keys"}),
      RefusedAttend("grid radius -1",
                    [](auto* request) { SetGrid(2, 5, -1, request); },
                    {"FIELD_OUT_OF_RANGE", "grid.radius", "is -1; it must"}),
      RefusedAttend(
          "grid of 2^126 cells",
          [](auto* request) { SetGrid(kLargest, kLargest, 1, request); },
          {"SHAPE_OVERFLOW", "grid", "cells"}),
      RefusedAttend("a position too few",
                    [](auto* request) {
                      for (int i = 0; i < 4; ++i) request->add_positions(i);
                    },
                    {"WRONG_SHAPE", "positions", "has 4 numbers"}),
      RefusedAttend("a position beyond the keys",
                    [](auto* request) {
                      for (int i = 6; i < 11; ++i) request->add_positions(i);
                    },
                    {"FIELD_OUT_OF_RANGE", "positions[4]", "is 10; it must"}),
      RefusedAttend("a position before the keys",
                    [](auto* request) {
                      for (int i = -1; i < 4; ++i) request->add_positions(i);
                    },
                    {"FIELD_OUT_OF_RANGE", "positions[0]", "is -1; it must"}),
      RefusedAttend("more queries than keys",
                    [](auto* request) {
                      SetPlainTensor({2, 11, 3}, request->mutable_queries());
                    },
                    {"FIELD_REQUIRED", "positions", "11 queries a head"}),
      Answered("attend a window beyond everything", ValidAttendRequest(),
               [](auto* request) { request->set_window(kLargest); }),
      Answered("attend sinks beyond everything", ValidAttendRequest(),
               [](auto* request) { request->set_sinks(kLargest); }),
      Answered("attend the whole grid", ValidAttendRequest(),
               [](auto* request) { SetGrid(2, 5, kLargest, request); }),
  };
}

inline std::vector<RequestCase> AttendCases() {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  std::vector<RequestCase> all = {
      RefusedAttend("epsilon NaN",
                    [](auto* request) { request->set_epsilon(kNaN); },
                    {"FIELD_OUT_OF_RANGE", "epsilon", "is nan"}),
      RefusedAttend("top_m 0", [](auto* request) { request->set_top_m(0); },
                    {"FIELD_OUT_OF_RANGE", "top_m", "is 0; it must be >= 1"}),
      RefusedAttend("nothing",
                    [](auto* request) {
                      request->clear_epsilon();
                      request->clear_sinks();
                      request->clear_local();
                    },
                    {"FIELD_REQUIRED", "epsilon", "no key is attended"}),
      RefusedAttend(
          "softmax without a mode",
          [](auto* request) { request->mutable_function()->mutable_softmax(); },
          {"FIELD_REQUIRED", "function.softmax.mode", "mode"}),
      RefusedAttend("certified softmax of a set",
                    [](auto* request) {
                      request->mutable_function()->mutable_softmax()->set_mode(
                          v1::SOFTMAX_MODE_CERTIFIED);
                    },
                    {"CONFLICTING_FIELDS", "function.softmax.mode",
                     "none of softmax holds every large score"}),
      RefusedAttend("normalization of a later version",
                    [](auto* request) {
                      request->set_normalization(
                          static_cast<v1::Normalization>(7));
                    },
                    {"UNKNOWN_ENUM", "normalization", "is 7; this version"}),
      RefusedAttend(
          "output of INT64",
          [](auto* request) { request->set_output_dtype(v1::DTYPE_INT64); },
          {"WRONG_DTYPE", "output_dtype", "is DTYPE_INT64"}),
      RefusedAttend("output of a later version",
                    [](auto* request) {
                      request->set_output_dtype(static_cast<v1::DType>(9));
                    },
                    {"UNKNOWN_ENUM", "output_dtype", "is 9; this version"}),
      RefusedAttend(
          "output over max_response_bytes",
          [](auto* request) { request->set_max_response_bytes(979); },
          {"RESPONSE_TOO_LARGE", "max_response_bytes", "at least 980 bytes"}),
      Answered("attend certified softmax without a set", ValidAttendRequest(),
               [](auto* request) {
                 request->clear_epsilon();
                 request->mutable_function()->mutable_softmax()->set_mode(
                     v1::SOFTMAX_MODE_CERTIFIED);
               }),
  };
  for (const auto& cases : {AttendTensorCases(), AttendPlaceCases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

}  // namespace steelyard::test
