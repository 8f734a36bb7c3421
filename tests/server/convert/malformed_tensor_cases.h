// Tensors that are wrong in themselves, as the keys of FindUniversalSet.
#pragma once

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/server/convert/malformed_requests_table.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::test {

inline RequestCase RefusedKeys(const std::string& name,
                               const std::function<void(v1::Tensor*)>& mutate,
                               const Refusal& refusal) {
  return Refused(
      name, ValidFindUniversalSetRequest(),
      [&](v1::FindUniversalSetRequest* request) {
        mutate(request->mutable_keys()->mutable_dense());
      },
      refusal);
}

// The same size in bytes whatever the shape says.
inline void SetShape(const std::vector<std::int64_t>& shape,
                     v1::Tensor* tensor) {
  tensor->clear_shape();
  tensor->mutable_shape()->Add(shape.begin(), shape.end());
}

// Replaces number `index` of FLOAT64 data.
inline void SetNumber(std::size_t index, double value, v1::Tensor* tensor) {
  std::memcpy(tensor->mutable_data()->data() + index * sizeof(double), &value,
              sizeof(double));
}

inline std::vector<RequestCase> WrongShapeCases() {
  constexpr std::int64_t kTwo32 = std::int64_t{1} << 32;
  const auto shaped = [](const std::string& name,
                         const std::vector<std::int64_t>& shape,
                         const Refusal& refusal) {
    return RefusedKeys(
        name, [&](v1::Tensor* keys) { SetShape(shape, keys); }, refusal);
  };
  return {
      shaped("no extents", {},
             {"WRONG_SHAPE", "keys.dense.shape", "has 0 extents"}),
      shaped("one extent", {30},
             {"WRONG_SHAPE", "keys.dense.shape", "has 1 extents"}),
      shaped("four extents", {1, 1, 10, 3},
             {"WRONG_SHAPE", "keys.dense.shape", "has 4 extents"}),
      shaped("zero rows", {0, 3},
             {"WRONG_SHAPE", "keys.dense.shape[0]", "is 0; every extent"}),
      shaped("zero columns", {10, 0},
             {"WRONG_SHAPE", "keys.dense.shape[1]", "is 0; every extent"}),
      shaped("zero heads", {0, 10, 3},
             {"WRONG_SHAPE", "keys.dense.shape[0]", "is 0; every extent"}),
      shaped("negative rows", {-10, 3},
             {"WRONG_SHAPE", "keys.dense.shape[0]", "is -10"}),
      shaped("both extents negative", {-10, -3},
             {"WRONG_SHAPE", "keys.dense.shape[0]", "is -10"}),
      shaped("smallest extent", {std::numeric_limits<std::int64_t>::min(), 3},
             {"WRONG_SHAPE", "keys.dense.shape[0]", "-9223372036854775808"}),
      shaped("product wraps to zero", {kTwo32, kTwo32},
             {"SHAPE_OVERFLOW", "keys.dense.shape", "below 2^63"}),
      shaped("product wraps to the size of data",
             {(std::int64_t{1} << 61) + 10, 1, 24},
             {"SHAPE_OVERFLOW", "keys.dense.shape", "below 2^63"}),
      shaped("bytes overflow, numbers do not", {kTwo32 / 4, kTwo32 / 2},
             {"SHAPE_OVERFLOW", "keys.dense.shape", "below 2^63"}),
      shaped("too many columns", {1, 8193},
             {"LIMIT_EXCEEDED", "keys.dense.shape[1]",
              "is 8193; this server takes at most 8192 (columns_max)"}),
      shaped("too many heads", {4097, 1, 1},
             {"LIMIT_EXCEEDED", "keys.dense.shape[0]",
              "is 4097; this server takes at most 4096 (heads_max)"}),
      shaped("huge rows", {std::int64_t{1} << 40, 3},
             {"WRONG_SIZE", "keys.dense.data", "requires 26388279066624"}),
      shaped("one row more than bytes", {11, 3},
             {"WRONG_SIZE", "keys.dense.data",
              "has 240 bytes; shape [11, 3] of FLOAT64 requires 264"}),
      shaped("one row less than bytes", {9, 3},
             {"WRONG_SIZE", "keys.dense.data", "requires 216"}),
  };
}

inline std::vector<RequestCase> WrongDataCases() {
  return {
      RefusedKeys("one byte missing",
                  [](v1::Tensor* keys) { keys->mutable_data()->pop_back(); },
                  {"WRONG_SIZE", "keys.dense.data", "has 239 bytes"}),
      RefusedKeys(
          "one byte too many",
          [](v1::Tensor* keys) { keys->mutable_data()->push_back('\0'); },
          {"WRONG_SIZE", "keys.dense.data", "has 241 bytes"}),
      RefusedKeys("no numbers", [](v1::Tensor* keys) { keys->clear_data(); },
                  {"FIELD_REQUIRED", "keys.dense.data", "is required"}),
      RefusedKeys("empty tensor", [](v1::Tensor* keys) { keys->Clear(); },
                  {"FIELD_REQUIRED", "keys.dense.data", "is required"}),
      RefusedKeys("data and values",
                  [](v1::Tensor* keys) { keys->add_values(1.0); },
                  {"CONFLICTING_FIELDS", "keys.dense.values", "exactly one"}),
      RefusedKeys("too few values",
                  [](v1::Tensor* keys) {
                    keys->clear_data();
                    keys->add_values(1.0);
                  },
                  {"WRONG_SIZE", "keys.dense.values",
                   "has 1 numbers; shape [10, 3] requires 30"}),
      RefusedKeys("too many values by hand",
                  [](v1::Tensor* keys) {
                    keys->clear_data();
                    SetShape({65537, 1}, keys);
                    for (int i = 0; i < 65537; ++i) keys->add_values(1.0);
                  },
                  {"LIMIT_EXCEEDED", "keys.dense.values", "at most 65536"}),
      RefusedKeys("values of another type",
                  [](v1::Tensor* keys) {
                    keys->clear_data();
                    keys->set_dtype(v1::DTYPE_FLOAT16);
                    for (int i = 0; i < 30; ++i) keys->add_values(1.0);
                  },
                  {"WRONG_DTYPE", "keys.dense.dtype", "is DTYPE_FLOAT16"}),
      RefusedKeys("no dtype", [](v1::Tensor* keys) { keys->clear_dtype(); },
                  {"FIELD_REQUIRED", "keys.dense.dtype", "is required"}),
      RefusedKeys(
          "unknown dtype",
          [](v1::Tensor* keys) { keys->set_dtype(v1::DType(6)); },
          {"UNKNOWN_ENUM", "keys.dense.dtype", "is 6; this version knows"}),
      RefusedKeys("int64",
                  [](v1::Tensor* keys) { keys->set_dtype(v1::DTYPE_INT64); },
                  {"WRONG_DTYPE", "keys.dense.dtype", "is DTYPE_INT64"}),
      RefusedKeys("negative dtype",
                  [](v1::Tensor* keys) { keys->set_dtype(v1::DType(-1)); },
                  {"UNKNOWN_ENUM", "keys.dense.dtype", "is -1"}),
      RefusedKeys("dtype of another size",
                  [](v1::Tensor* keys) { keys->set_dtype(v1::DTYPE_FLOAT32); },
                  {"WRONG_SIZE", "keys.dense.data", "of FLOAT32 requires 120"}),
  };
}

// Core finds these, in the admitted work.
inline std::vector<RequestCase> NotFiniteCases() {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  return {
      RefusedKeys("NaN first",
                  [](v1::Tensor* keys) { SetNumber(0, kNaN, keys); },
                  {"NOT_FINITE", "keys.dense.data", "keys[0,0] is nan"}),
      RefusedKeys("NaN in the middle",
                  [](v1::Tensor* keys) { SetNumber(13, kNaN, keys); },
                  {"NOT_FINITE", "keys.dense.data", "keys[4,1] is nan"}),
      RefusedKeys("infinity last",
                  [](v1::Tensor* keys) { SetNumber(29, kInf, keys); },
                  {"NOT_FINITE", "keys.dense.data", "keys[9,2] is inf"}),
      RefusedKeys("minus infinity",
                  [](v1::Tensor* keys) { SetNumber(1, -kInf, keys); },
                  {"NOT_FINITE", "keys.dense.data", "keys[0,1] is -inf"}),
      RefusedKeys("NaN by hand",
                  [](v1::Tensor* keys) {
                    keys->clear_data();
                    for (int i = 0; i < 30; ++i)
                      keys->add_values(i == 7 ? kNaN : i);
                  },
                  {"NOT_FINITE", "keys.dense.values[7]", "keys[2,1] is nan"}),
      RefusedKeys("float16 infinity",
                  [](v1::Tensor* keys) {
                    keys->set_dtype(v1::DTYPE_FLOAT16);
                    std::vector<std::uint16_t> bits(30, 0x3C00);
                    bits[5] = 0x7C00;
                    keys->set_data(BytesOf(bits));
                  },
                  {"NOT_FINITE", "keys.dense.data", "keys[1,2] is inf"}),
      RefusedKeys("bfloat16 NaN",
                  [](v1::Tensor* keys) {
                    keys->set_dtype(v1::DTYPE_BFLOAT16);
                    std::vector<std::uint16_t> bits(30, 0x3F80);
                    bits[5] = 0x7FC0;
                    keys->set_data(BytesOf(bits));
                  },
                  {"NOT_FINITE", "keys.dense.data", "keys[1,2] is nan"}),
      RefusedKeys("NaN in the second head",
                  [](v1::Tensor* keys) {
                    SetShape({2, 5, 3}, keys);
                    SetNumber(17, kNaN, keys);
                  },
                  {"NOT_FINITE", "keys.dense.data", "keys[5,2] is nan"}),
  };
}

inline std::vector<RequestCase> TensorCases() {
  std::vector<RequestCase> all = WrongShapeCases();
  for (auto cases : {WrongDataCases(), NotFiniteCases()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

}  // namespace steelyard::test
