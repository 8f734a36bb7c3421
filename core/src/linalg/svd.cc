#include "linalg/svd.h"

#include <lapacke.h>

#include "absl/strings/str_cat.h"

namespace steelyard {
namespace {

// dgesdd on A', which is what Fortran reads: A' = U S W', so U holds the right
// singular vectors of A, its columns one after the other, that is, V' by rows.
absl::Status Gesdd(char job, Matrix<double>& a, double* values, double* u,
                   double* w) {
  const auto n = static_cast<lapack_int>(a.rows());
  std::vector<lapack_int> pivots(static_cast<std::size_t>(8 * n));
  lapack_int info = 0;
  lapack_int size = -1;
  double wanted = 0.0;
  LAPACK_dgesdd(&job, &n, &n, a.data(), &n, values, u, &n, w, &n, &wanted,
                &size, pivots.data(), &info);
  size = static_cast<lapack_int>(wanted);
  AlignedVector<double> work(static_cast<std::size_t>(size));
  LAPACK_dgesdd(&job, &n, &n, a.data(), &n, values, u, &n, w, &n, work.data(),
                &size, pivots.data(), &info);
  if (info != 0) {
    return absl::InternalError(
        absl::StrCat("dgesdd did not converge on a matrix of order ", n,
                     " (info ", info, ")"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<double>> SingularValues(Matrix<double> a) {
  std::vector<double> values(static_cast<std::size_t>(a.rows()));
  absl::Status status = Gesdd('N', a, values.data(), nullptr, nullptr);
  if (!status.ok()) return status;
  return values;
}

absl::StatusOr<RightSvd> ComputeRightSvd(Matrix<double> a) {
  const Index n = a.rows();
  RightSvd svd{std::vector<double>(static_cast<std::size_t>(n)),
               Matrix<double>(n, n)};
  Matrix<double> left(n, n);
  absl::Status status = Gesdd('S', a, svd.singular_values.data(),
                              svd.v_transposed.data(), left.data());
  if (!status.ok()) return status;
  return svd;
}

Cost CostOfRightSvd(Index n) {
  const auto order = static_cast<double>(n);
  // A, U, W, and 4 n^2 + 7 n words of work and blocks of up to 64 columns.
  return {.flops = 22.0 * order * order * order,
          .bytes = 8.0 * (7.0 * order * order + 256.0 * order)};
}

}  // namespace steelyard
