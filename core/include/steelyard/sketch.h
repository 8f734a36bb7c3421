// Random sketches S A of tall matrices: few rows that keep every length,
// (1 - eta) |A x| <= |S A x| <= (1 + eta) |A x|.
//
//   kind          S (s x n)                                   flops
//   kGaussian     independent N(0, 1/s)                       2 s n d
//   kSrht         s rows of a Hadamard transform of D A       n d log2 n
//   kCountSketch  one +-1 a column of S                       nonzeros of A
//   kSparseSign   8 entries +-1/sqrt(8) a column of S         8 nonzeros
//
// RANDOM  counter-based: entry (i, j) of S is a function of the seed, i and j
//   alone, so that S A is the same for any number of workers and any cut into
//   blocks of rows.
//
// SOURCE  Martinsson, Tropp, Randomized numerical linear algebra, Acta Numerica
//   2020, sections 8 and 9; NUMERICS N1.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/csr_view.h"
#include "steelyard/matrix.h"
#include "steelyard/random.h"

namespace steelyard {

enum class SketchKind { kGaussian, kSrht, kCountSketch, kSparseSign };

// Unset: chosen for the matrix by cost (SketchFor).
struct SketchOptions {
  std::optional<SketchKind> kind = std::nullopt;
  std::optional<Index> rows = std::nullopt;  // s, in [1, n]
};

// A sketch that is decided.
struct SketchPlan {
  SketchKind kind = SketchKind::kSparseSign;
  Index rows = 0;
  Seed seed = {};
};

// "sparse sign", for reports.
const char* NameOf(SketchKind kind);

// An SRHT of a sparse matrix would make it dense; all else can be done.
bool CanSketch(SketchKind kind, const DenseOrCsr& a);

// What is set stays; the rest by a cost model of the sizes alone. Kind: sparse
// sign, the cheapest of those that keep any subspace with O(d) rows. Rows: m d
// for the m from 4 to 12 that makes a QR of S A and the passes over A of a
// preconditioned iteration (fewer with more rows) cheapest together;
// CountSketch, which needs d^2 rows for subspaces with heavy rows: d^2, but 12 d
// at the least and 32 d at most. Never more than n.
SketchPlan SketchFor(const DenseOrCsr& a, const SketchOptions& options,
                     Seed seed);
// The same from the sizes; nonzeros: n d of a dense matrix.
SketchPlan SketchFor(Index n, Index d, Index nonzeros,
                     const SketchOptions& options, Seed seed);

// S A, s x d, of the matrix whose column c is A's times 2^-exponents[c]
// (empty: 1). Right-hand sides are sketched by the same S as a matrix of their
// own.
//
// ERRORS  InvalidArgument CONFLICTING_FIELDS: not CanSketch. Cancelled, DeadlineExceeded, Aborted:
//         the stop token, looked at between blocks of rows.
absl::StatusOr<Matrix<double>> ApplySketch(const SketchPlan& plan,
                                           const DenseOrCsr& a,
                                           const std::vector<int>& exponents,
                                           const ComputeContext& context);

// nonzeros: n d of a dense matrix. The sketch itself is included.
Cost CostOfSketch(const SketchPlan& plan, Index n, Index d, Index nonzeros,
                  int workers);

}  // namespace steelyard
