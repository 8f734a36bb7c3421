#include "tests/support_server/requests.h"

#include <cstddef>
#include <string>
#include <vector>

#include "steelyard/random.h"

namespace steelyard::test {
namespace {

v1::Tensor TensorOf(std::int64_t rows, std::int64_t cols,
                    const std::vector<double>& numbers) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DTYPE_FLOAT64);
  tensor.add_shape(rows);
  tensor.add_shape(cols);
  tensor.set_data(std::string(reinterpret_cast<const char*>(numbers.data()),
                              numbers.size() * sizeof(double)));
  return tensor;
}

}  // namespace

v1::Tensor NormalTensor(std::int64_t rows, std::int64_t cols,
                        std::uint64_t seed) {
  const RandomStream random{.seed = {seed}};
  std::vector<double> numbers(static_cast<std::size_t>(rows * cols));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = random.Normal(i);
  }
  return TensorOf(rows, cols, numbers);
}

v1::Tensor IdentityTensor(std::int64_t n) {
  std::vector<double> numbers(static_cast<std::size_t>(n * n));
  for (std::int64_t i = 0; i < n; ++i) {
    numbers[static_cast<std::size_t>(i * n + i)] = 1.0;
  }
  return TensorOf(n, n, numbers);
}

v1::FindUniversalSetRequest UniversalSetRequest(std::int64_t n,
                                                std::int64_t d) {
  v1::FindUniversalSetRequest request;
  *request.mutable_keys()->mutable_dense() = NormalTensor(n, d);
  request.set_epsilon(0.1);
  return request;
}

v1::SolveRequest LeastSquaresRequest(std::int64_t n, std::int64_t d) {
  v1::SolveRequest request;
  *request.mutable_a()->mutable_dense() = NormalTensor(n, d);
  *request.mutable_b() = NormalTensor(n, 1, 2);
  request.mutable_left_gram_power()->set_exponent(0);
  return request;
}

v1::SolveRequest EndlessRequest(std::int64_t n) {
  v1::SolveRequest request;
  *request.mutable_a()->mutable_dense() = NormalTensor(n, 8);
  *request.mutable_b() = NormalTensor(n, 1, 2);
  request.mutable_attention_kernel()->set_normalization(
      v1::KERNEL_NORMALIZATION_UNIT_DIAGONAL);
  // A better one would end it in seconds.
  request.mutable_attention_kernel()->set_preconditioner(
      v1::PRECONDITIONER_JACOBI);
  request.set_method(v1::METHOD_CONJUGATE_GRADIENT);
  request.set_ridge(1e-6);
  request.set_tolerance(1e-15);
  request.set_max_iterations(1'000'000);
  return request;
}

}  // namespace steelyard::test
