// Steps of preconditioned block conjugate gradients on S Z = C: the right-hand
// sides search together, in the span of all their directions.
//
//     P orthonormal, A = P'SP,   a = A^-1 P'R
//     Z += P a,  R -= S P a,     P := orth(N^-1 R - P A^-1 (SP)'N^-1 R)
//
// METHOD  Directions that depend on others are dropped: a solution that is
//   found, or the same right-hand side twice, breaks nothing. A residual that
//   was recomputed may take the place of R at any step: the next directions are
//   made conjugate to the last ones all the same. One right-hand side: the
//   method of Hestenes and Stiefel.
//   With several, a recurrence for one vector runs along in the same products
//   and sees the extreme eigenvalues of N^-1 S.
//
// SOURCE  O'Leary, Linear Algebra Appl. 1980; dropping: Ji, Li, BIT 2017
//   (breakdown-free block CG).
#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/ritz_values.h"
#include "kernel/scaled_system.h"
#include "preconditioner/preconditioner.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

class BlockRecurrence {
 public:
  // Vectors are k x n, one a row. `preconditioner` null: N = I. Everything must
  // outlive the recurrence.
  BlockRecurrence(ScaledSystem& system, const Preconditioner* preconditioner,
                  const ComputeContext& context);

  // Goes on from this residual; it may have fewer rows than the last one.
  absl::Status Restart(Matrix<double> residual);

  // One step, z (k x n) and the residual with it. False: some p'Sp is not above
  // n u p'p, or no direction is left; nothing was changed.
  // COST    n^2 (d + 2k) flops, 4 n k^2 and those of N.
  // ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
  absl::StatusOr<bool> Step(TilePrecision precision, Matrix<double>& z);

  const Matrix<double>& residual() const { return r_; }
  // Of each row of the residual, in the norm of b.
  const std::vector<double>& norms() const { return norms_; }
  // What rounding of the tiles did to each since Restart: an estimate.
  const std::vector<double>& tile_errors() const { return tile_errors_; }

  // Of N^-1 S, of the longest run so far.
  LanczosCoefficients lanczos() const;
  // The least Ritz value of the runs that ended; infinity: of none.
  double least_of_ended() const { return least_of_ended_; }

 private:
  // N^-1 S seen by one vector.
  struct Companion {
    Matrix<double> r;
    Matrix<double> p;
    double square = 0.0;
    bool done = false;
  };
  absl::Status Precondition(Matrix<double>& v) const;
  absl::Status NewDirections();
  absl::Status StartCompanion();
  absl::Status AdvanceCompanion(const double* sp);
  void Update(const Matrix<double>& a, double unit, Matrix<double>& z);
  struct SquaredNorms {
    double residual = 0.0;
    double error = 0.0;
  };
  SquaredNorms UpdatePanel(Index c, Index first, double unit,
                           const Matrix<double>& step,
                           const Matrix<double>& change, Matrix<double>& z);
  void Record(double a, double b);

  ScaledSystem& system_;
  const Preconditioner* preconditioner_;
  const ComputeContext& context_;
  Matrix<double> r_;
  Matrix<double> p_;
  Matrix<double> sp_;
  Matrix<double> psp_;
  bool conjugate_ = false;  // sp_ and psp_ are those of p_
  std::vector<double> norms_;
  std::vector<double> tile_errors_;  // squares while they are summed
  double mean_square_ = 0.0;         // of the s|a - c|^2
  // One right-hand side: lengths of the direction before it was normalised.
  double length_ = 1.0;
  std::optional<double> pending_alpha_;
  LanczosCoefficients current_;
  LanczosCoefficients longest_;
  double least_of_ended_ = std::numeric_limits<double>::infinity();
  std::optional<Companion> companion_;
};

}  // namespace steelyard
