#include "tests/support/matrices.h"

#include <Eigen/Core>
#include <cmath>

namespace steelyard::test {

double ValueOf(Half x) {
  return static_cast<double>(
      static_cast<float>(Eigen::numext::bit_cast<Eigen::half>(x.bits)));
}

double ValueOf(BFloat16 x) {
  return static_cast<double>(
      static_cast<float>(Eigen::numext::bit_cast<Eigen::bfloat16>(x.bits)));
}

double ValueOf(float x) { return static_cast<double>(x); }

double ValueOf(double x) { return x; }

template <KeyScalar T>
T RoundTo(double x) {
  if constexpr (std::same_as<T, Half>) {
    return {Eigen::numext::bit_cast<std::uint16_t>(
        Eigen::half(static_cast<float>(x)))};
  } else if constexpr (std::same_as<T, BFloat16>) {
    return {Eigen::numext::bit_cast<std::uint16_t>(
        Eigen::bfloat16(static_cast<float>(x)))};
  } else {
    return static_cast<T>(x);
  }
}

template <KeyScalar T>
StoredMatrix<T> Stored(const Matrix<double>& matrix) {
  StoredMatrix<T> stored(matrix.rows(), matrix.cols());
  for (Index i = 0; i < matrix.rows(); ++i) {
    for (Index j = 0; j < matrix.cols(); ++j) stored.Set(i, j, matrix(i, j));
  }
  return stored;
}

Matrix<double> NormalMatrix(Index rows, Index cols, Seed seed) {
  const RandomStream random{.seed = seed, .stream = 0x6e6f726d};
  Matrix<double> matrix(rows, cols);
  for (Index i = 0; i < matrix.size(); ++i) {
    matrix.data()[i] = random.Normal(static_cast<std::uint64_t>(i));
  }
  return matrix;
}

Matrix<double> RandomOrthogonal(Index rows, Index cols, Seed seed) {
  Matrix<double> q = NormalMatrix(rows, cols, seed);
  Eigen::Map<
      Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>
      map(q.data(), rows, cols);
  // Gram-Schmidt, each column twice: twice is enough (Parlett and Kahan).
  for (Index j = 0; j < cols; ++j) {
    for (int pass = 0; pass < 2; ++pass) {
      const Eigen::VectorXd overlap = map.leftCols(j).transpose() * map.col(j);
      map.col(j) -= map.leftCols(j) * overlap;
      map.col(j) /= map.col(j).norm();
    }
  }
  return q;
}

Matrix<double> MatrixWithSingularValues(Index rows,
                                        absl::Span<const double> values,
                                        Seed seed) {
  const auto cols = static_cast<Index>(values.size());
  const Matrix<double> u = RandomOrthogonal(rows, cols, seed);
  const Matrix<double> v = RandomOrthogonal(cols, cols, {seed.value + 1});
  Matrix<double> matrix(rows, cols);
  for (Index i = 0; i < rows; ++i) {
    for (Index k = 0; k < cols; ++k) {
      const double scaled = u(i, k) * values[static_cast<std::size_t>(k)];
      for (Index j = 0; j < cols; ++j) matrix(i, j) += scaled * v(j, k);
    }
  }
  return matrix;
}

std::vector<double> GeometricValues(Index count, double cond) {
  std::vector<double> values;
  for (Index i = 0; i < count; ++i) {
    const double share =
        count == 1 ? 0.0
                   : static_cast<double>(i) / static_cast<double>(count - 1);
    values.push_back(std::pow(cond, -share));
  }
  return values;
}

template <KeyScalar T>
StoredMatrix<T> KeysWithSpectrum(const Spectrum& spectrum) {
  return Stored<T>(MatrixWithSingularValues(
      spectrum.rows, GeometricValues(spectrum.columns, spectrum.cond),
      spectrum.seed));
}

template Half RoundTo<Half>(double);
template BFloat16 RoundTo<BFloat16>(double);
template float RoundTo<float>(double);
template double RoundTo<double>(double);
template StoredMatrix<Half> Stored<Half>(const Matrix<double>&);
template StoredMatrix<BFloat16> Stored<BFloat16>(const Matrix<double>&);
template StoredMatrix<float> Stored<float>(const Matrix<double>&);
template StoredMatrix<double> Stored<double>(const Matrix<double>&);
template StoredMatrix<Half> KeysWithSpectrum<Half>(const Spectrum&);
template StoredMatrix<BFloat16> KeysWithSpectrum<BFloat16>(const Spectrum&);
template StoredMatrix<float> KeysWithSpectrum<float>(const Spectrum&);
template StoredMatrix<double> KeysWithSpectrum<double>(const Spectrum&);

}  // namespace steelyard::test
