// R of all keys so far, block after block, in d^2 numbers, and how wrong it can
// be.
//
// METHOD  QR of [R; block]. A Gram, compensated, stands in for R only while its
//   certified error stays below 1e-3 with the block to come, which is tested
//   before the block is added; else R = chol(G), and on with QR. ||R^-1|| only
//   falls as keys arrive, so a bound of an earlier R serves for the test.
//   Column scales are raised, exactly, as larger keys arrive in some columns.
//   Every QR adds 20 sqrt(d) u ||[R; block]||_F to the backward error: the
//   bound grows with the number of blocks (10 million keys in blocks of 4096,
//   d = 64: f = 6e-11 ||K||_F ||R^-1||_F), which is why small blocks wait.
//
// SOURCE  NUMERICS N5.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "factor/row_loader.h"
#include "linalg/block.h"
#include "one_pass/certified_factor.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Columns that are zero in all keys of this R.
std::vector<Index> ZeroColumns(const Matrix<double>& r);

class RunningFactor {
 public:
  explicit RunningFactor(Index d);

  // Goes on from an R of `keys` keys; triangle.error.gram is 0.
  explicit RunningFactor(Triangle triangle);

  Index d() const { return static_cast<Index>(exponents_.size()); }
  Index keys() const { return keys_; }
  // Of the columns: those of a column of zeros are 0.
  const std::vector<int>& exponents() const { return exponents_; }
  double bytes() const;
  bool IsZeroColumn(Index c) const { return ColumnSquare(c) == 0.0; }

  // More keys. `row_offset` is added to the row that an error names. `lengths`:
  // of the keys, measured on the way (its factors are set); its squares are
  // empty where no Gram of the keys as they are was made.
  // COST    c d^2 flops while a Gram may stand in, else 2 (c + d) d^2; memory
  //         as UpperGram and TallSkinnyQr of c + d rows.
  // ERRORS  InvalidArgument NOT_FINITE, field "keys"; Cancelled,
  //         DeadlineExceeded, Aborted. Then this object is good for nothing but
  //         being thrown away.
  absl::Status Fold(const AnyMatrixView& keys, Index row_offset,
                    const ComputeContext& context,
                    RowLengths* lengths = nullptr);

  // Scales for keys that come next; `scales` as ScanColumns gives them.
  absl::Status RaiseScales(const AnyMatrixView& keys,
                           const ColumnScales& scales,
                           const ComputeContext& context);

  // All keys of another shard (N6).
  absl::Status FoldTriangle(const Triangle& other,
                            const ComputeContext& context);

  // The factor of all keys so far.
  absl::StatusOr<Factor> Refactor(FactorDetail detail,
                                  const ComputeContext& context);

  // R itself, its `error.gram` 0: what a state carries.
  absl::StatusOr<Triangle> Export(const ComputeContext& context) const;

 private:
  double ColumnSquare(Index c) const;
  int NormExponent(Index c) const;  // unscaled
  double SquaredNorm() const;
  void Raise(const std::vector<int>& exponents);
  absl::Status RaiseFor(const std::vector<int>& wanted,
                        const ComputeContext& context);
  absl::Status ChooseForm(double more, Index panel_rows,
                          const ComputeContext& context);
  bool GramIsGood(double more, Index panel_rows) const;
  void EnterGram();
  absl::Status LeaveGram(const ComputeContext& context);
  absl::StatusOr<Matrix<double>> FactorOfGram(
      const ComputeContext& context) const;
  absl::Status FoldGram(const AnyMatrixView& keys,
                        const std::vector<int>& norms, Matrix<double> gram,
                        const ComputeContext& context);
  absl::Status FoldByQr(const AnyMatrixView& keys,
                        const ComputeContext& context);
  void AddGram(const Matrix<double>& gram, Index rows);
  absl::Status AddByQr(Index rows,
                       const std::function<void(Index, Block<double>)>& load,
                       const ComputeContext& context);

  std::vector<int> exponents_;
  Index keys_ = 0;
  bool is_gram_ = false;
  Matrix<double> r_;   // R, or the upper triangle of K'K, high part
  Matrix<double> lo_;  // of K'K, low part; empty for R
  TriangleError error_;
  // Bound on ||R^-1||_F of these or fewer keys, in the scales of now.
  double inverse_norm_;
};

}  // namespace steelyard
