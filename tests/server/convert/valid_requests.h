// Requests that every check lets pass, and the way to write their tensors.
// Tests break one thing at a time.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "steelyard/v1/regression_service.pb.h"
#include "steelyard/v1/tensor.pb.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::test {

inline std::int64_t Product(const std::vector<std::int64_t>& shape) {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) product *= extent;
  return product;
}

template <typename T>
std::string BytesOf(const std::vector<T>& numbers) {
  return std::string(reinterpret_cast<const char*>(numbers.data()),
                     numbers.size() * sizeof(T));
}

// A FLOAT64 tensor in `data`.
inline void SetTensor(const std::vector<std::int64_t>& shape,
                      const std::vector<double>& numbers, v1::Tensor* tensor) {
  tensor->Clear();
  tensor->set_dtype(v1::DTYPE_FLOAT64);
  tensor->mutable_shape()->Add(shape.begin(), shape.end());
  tensor->set_data(BytesOf(numbers));
}

// Numbers without any structure, in [-0.5, 0.5): full rank for every shape.
inline std::vector<double> PlainNumbers(std::int64_t count) {
  std::vector<double> numbers;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto mixed = static_cast<std::uint64_t>(i + 1) * 0x9E3779B97F4A7C15u;
    numbers.push_back(static_cast<double>(mixed >> 40) / (1 << 24) - 0.5);
  }
  return numbers;
}

inline void SetPlainTensor(const std::vector<std::int64_t>& shape,
                           v1::Tensor* tensor) {
  SetTensor(shape, PlainNumbers(Product(shape)), tensor);
}

// The numbers of a FLOAT64 tensor move from `data` to `values`.
inline void WriteByHand(v1::Tensor* tensor) {
  std::vector<double> numbers(tensor->data().size() / sizeof(double));
  std::memcpy(numbers.data(), tensor->data().data(), tensor->data().size());
  tensor->clear_data();
  tensor->mutable_values()->Add(numbers.begin(), numbers.end());
}

// 10 keys of 3 columns.
inline v1::FindUniversalSetRequest ValidFindUniversalSetRequest() {
  v1::FindUniversalSetRequest request;
  SetPlainTensor({10, 3}, request.mutable_keys()->mutable_dense());
  request.set_epsilon(0.25);
  return request;
}

// 2 heads of 10 keys and 4 heads of 5 queries, 3 columns.
inline v1::QueryHeavyRequest ValidQueryHeavyRequest() {
  v1::QueryHeavyRequest request;
  SetPlainTensor({2, 10, 3}, request.mutable_keys()->mutable_dense());
  SetPlainTensor({4, 5, 3}, request.mutable_queries());
  request.set_epsilon(0.25);
  return request;
}

// The same with values of 6 columns; a set, sinks and a window.
inline v1::AttendRequest ValidAttendRequest() {
  v1::AttendRequest request;
  SetPlainTensor({2, 10, 3}, request.mutable_keys()->mutable_dense());
  SetPlainTensor({2, 10, 6}, request.mutable_values()->mutable_dense());
  SetPlainTensor({4, 5, 3}, request.mutable_queries());
  request.set_epsilon(0.25);
  request.set_sinks(1);
  request.set_window(2);
  return request;
}

// (A'A) x = b, A 10 x 3.
inline v1::SolveRequest ValidSolveRequest() {
  v1::SolveRequest request;
  SetPlainTensor({10, 3}, request.mutable_a()->mutable_dense());
  SetPlainTensor({3}, request.mutable_b());
  request.mutable_gram_power()->set_exponent(1);
  return request;
}

// (K + l I) x = b, A 10 x 3.
inline v1::SolveRequest ValidKernelRequest() {
  v1::SolveRequest request = ValidSolveRequest();
  request.mutable_attention_kernel();
  SetPlainTensor({10}, request.mutable_b());
  request.set_ridge(0.5);
  return request;
}

// y = exp(Q A') x, A 10 x 3, Q 4 x 3.
inline v1::PredictRequest ValidPredictRequest() {
  v1::PredictRequest request;
  SetPlainTensor({10, 3}, request.mutable_a()->mutable_dense());
  SetPlainTensor({10}, request.mutable_x());
  SetPlainTensor({4, 3}, request.mutable_queries()->mutable_dense());
  return request;
}

}  // namespace steelyard::test
