// Some rows of F' times a vector, and vectors that are sums of them: read in
// the precision that they are kept in, computed in float64.
//
// METHOD  Google Highway, target chosen at run time; four rows at a time, each
//   element converted in a register: F passes once, at the speed of memory.
//   This source and its header know neither BLAS nor Eigen: they are compiled
//   once per target.
#pragma once

#include <cstdint>

namespace steelyard {

template <typename T>
struct FactorTile {
  const T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;
};

// sums_j += sum_i F'_ji v_i, j = 0 .. rows - 1.
void AddProducts(const FactorTile<double>& tile, const double* v, double* sums);
void AddProducts(const FactorTile<float>& tile, const double* v, double* sums);

// out_i += sum_j y_j F'_ji, i = 0 .. cols - 1.
void AddCombination(const FactorTile<double>& tile, const double* y,
                    double* out);
void AddCombination(const FactorTile<float>& tile, const double* y,
                    double* out);

}  // namespace steelyard
