// Requests of a given size, for tests in which the numbers do not matter.
#pragma once

#include <cstdint>

#include "steelyard/v1/regression_service.pb.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::test {

// rows x cols FLOAT64, standard normal, of this seed.
v1::Tensor NormalTensor(std::int64_t rows, std::int64_t cols,
                        std::uint64_t seed = 1);

// The n x n identity matrix as FLOAT64.
v1::Tensor IdentityTensor(std::int64_t n);

// epsilon 0.1, n x d normal keys.
v1::FindUniversalSetRequest UniversalSetRequest(std::int64_t n, std::int64_t d);

// Least squares: left_gram_power 0 of n x d normal numbers.
v1::SolveRequest LeastSquaresRequest(std::int64_t n, std::int64_t d);

// Attention kernel of n x 8 rows, matrix-free, with a tolerance that it does
// not reach: minutes of work in a message of 72 n bytes.
v1::SolveRequest EndlessRequest(std::int64_t n = 20000);

}  // namespace steelyard::test
