// Test matrices with known properties, in all four storage types.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "steelyard/matrix.h"
#include "steelyard/random.h"

namespace steelyard::test {

// The double that a stored number stands for, exactly.
double ValueOf(Half x);
double ValueOf(BFloat16 x);
double ValueOf(float x);
double ValueOf(double x);

// Nearest number of type T (through float for the 16-bit types).
template <KeyScalar T>
T RoundTo(double x);

// A matrix that owns its memory, as the caller of the core would.
template <KeyScalar T>
class StoredMatrix {
 public:
  StoredMatrix(Index rows, Index cols)
      : rows_(rows),
        cols_(cols),
        data_(static_cast<std::size_t>(rows * cols), RoundTo<T>(0.0)) {}

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  T* data() { return data_.data(); }
  MatrixView<T> view() const { return {data_.data(), rows_, cols_}; }

  double operator()(Index i, Index j) const { return ValueOf(data_[At(i, j)]); }
  void Set(Index i, Index j, double x) { data_[At(i, j)] = RoundTo<T>(x); }

 private:
  std::size_t At(Index i, Index j) const {
    return static_cast<std::size_t>(i * cols_ + j);
  }
  Index rows_;
  Index cols_;
  std::vector<T> data_;
};

// `matrix` rounded to storage type T.
template <KeyScalar T>
StoredMatrix<T> Stored(const Matrix<double>& matrix);

// rows x cols independent standard normals.
Matrix<double> NormalMatrix(Index rows, Index cols, Seed seed);

// rows x cols with orthonormal columns, rows >= cols (square: orthogonal), to
// about 1e-15. Random with the distribution of a QR of NormalMatrix.
Matrix<double> RandomOrthogonal(Index rows, Index cols, Seed seed);

// U diag(values) V' with random orthogonal U and V; rows >= cols =
// values.size().
Matrix<double> MatrixWithSingularValues(Index rows,
                                        absl::Span<const double> values,
                                        Seed seed);

struct Spectrum {
  Index rows = 1;
  Index columns = 1;
  // Singular values fall geometrically from 1 to 1 / cond.
  double cond = 1.0;
  Seed seed = {};
};

std::vector<double> GeometricValues(Index count, double cond);

// rows >= columns. Rounding to T may lower the condition number: what is
// smaller than the roundoff of T drowns in it.
template <KeyScalar T>
StoredMatrix<T> KeysWithSpectrum(const Spectrum& spectrum);

}  // namespace steelyard::test
