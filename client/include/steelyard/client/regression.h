// Regressions against attention proxies, min |M x - b|: what is asked and what
// is answered. The calls are in client.h.
//
// A is n x d; b has one column or k.
//
//   Problem              M              rows of b, x  ridge l > 0
//   GramPower{j}         (A'A)^j        d, d          (A'A + l I)^j x = b
//   LeftGramPower{j}     A (A'A)^j      n, d          least squares with l,
//   then
//                                                     (A'A + l I)^j x = z
//   MatrixExponential{}  e^(A'A)        d, d          refused
//   AttentionKernel{s}   K = exp(s AA') n, n          see normalization
//
// A sparse A is taken by all but the kernel.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "steelyard/client/options.h"

namespace steelyard::client {

// (A'A)^j x = b.
struct GramPower {
  int exponent = 1;  // j, in [1, ServerInfo::exponent_max].
};

// min |A (A'A)^j x - b|.
struct LeftGramPower {
  int exponent = 0;  // j, in [0, ServerInfo::exponent_max]. 0: least squares.
};

// e^(A'A) x = b.
struct MatrixExponential {
  // Method::kSeries only: how many terms of the series are added. >= 1. Unset:
  // as many as the tolerance takes, at most max_iterations.
  std::optional<std::int32_t> terms = std::nullopt;
};

// Which matrix the ridge is added to. G = D^-1 K D^-1 has a unit diagonal.
enum class KernelNormalization {
  kNone,          // (K + l I) x = b
  kUnitDiagonal,  // (G + l I) x = b
  kSoftmaxRows,   // (P + l I) x = b, P = diag(K 1)^-1 K
};

// What the iteration for a kernel is preconditioned with. None wins everywhere:
// kAutomatic tries them on some steps and tells SolveReport::trials.
enum class Preconditioner {
  kAutomatic,  // In a trial: one that this version of the client cannot name.
  kNone,
  kJacobi,  // Its diagonal.
  // Randomly pivoted Cholesky of the kernel scaled to a unit diagonal.
  kRpCholesky,
  // A sketch of the Taylor features of exp, arXiv 2308.14304. Only where
  // s |a - c|^2 <= 30 for every row a of A, c their centre.
  kPolynomialSketch,
};

// "AUTOMATIC", "NONE", "JACOBI", "RPCHOLESKY", "POLYNOMIAL_SKETCH".
std::string Name(Preconditioner preconditioner);

// exp(s A A') x = b, exp entry by entry.
struct AttentionKernel {
  double scale = 1.0;  // s > 0, finite. 1 / sqrt(d) is usual.
  KernelNormalization normalization = KernelNormalization::kNone;

  // n numbers, >= 0, finite, each added to the ridge in its own row, in the
  // units of the matrix that `normalization` names. Empty: none.
  std::vector<double> row_ridge = {};

  // Not with Method::kCholesky.
  Preconditioner preconditioner = Preconditioner::kAutomatic;

  // Columns of the factor of kRpCholesky or kPolynomialSketch, in [1, n];
  // refused without one of them. Unset: grown while it pays.
  std::optional<std::int32_t> preconditioner_rank = std::nullopt;
};

using Problem =
    std::variant<GramPower, LeftGramPower, MatrixExponential, AttentionKernel>;

enum class Method {
  kAutomatic,          // Chosen by the server, and told in SolveReport::method.
  kGram,               // Gram, Cholesky, refinement with the true A.
  kQr,                 // Blocked tall-skinny QR.
  kSvd,                // Truncated, minimum norm.
  kCholesky,           // Kernel: dense.
  kConjugateGradient,  // Kernel: matrix-free.
  // Powers: sketch A, precondition with the QR of the sketch, backward stable.
  kSketch,
  // Powers: the algorithm of arXiv 2308.14304 as written. To look at: kSketch
  // is as fast and reaches a smaller error.
  kSketchPublished,
  // MatrixExponential term by term. To look at: its error grows like
  // e^(s_1^2 + s_d^2), s the singular values of A.
  kSeries,
  // Kernel: matrix-free, a block of rows a step, an iteration being a pass over
  // all of them. For n of 100,000 and more.
  kBlockCoordinate,
};

enum class SketchKind {
  kAutomatic,    // Chosen by the server, and told in SolveReport::method.
  kGaussian,     // Independent normal entries: the best, the dearest.
  kSrht,         // Subsampled randomised Hadamard transform. Dense A only.
  kCountSketch,  // One entry a row of A, +1 or -1.
  kSparseSign,   // 8 entries a row of A, each +-1/sqrt(8).
};

// Of kSketch and kSketchPublished, and of kAutomatic where the server sketches;
// refused with other methods.
struct SketchOptions {
  SketchKind kind = SketchKind::kAutomatic;

  // Rows of the sketch, in [d, n]. More: a better preconditioner, a dearer QR.
  // Unset: chosen by the server, 4 d to 12 d.
  std::optional<std::int64_t> rows = std::nullopt;
};

struct SolveOptions {
  // Goal on the residual that the family is judged by. Dimensionless, in
  // (0, 1). Unset: 1e-8 for AttentionKernel; else as good as float64 allows.
  std::optional<double> tolerance = std::nullopt;

  // Refinement steps, or steps of the iteration. >= 1. Unset: 1000.
  std::optional<std::int32_t> max_iterations = std::nullopt;

  // Of every random choice. Unset: chosen by the server, told in the report.
  // Same seed: same bits, on one type of processor.
  std::optional<std::uint64_t> seed = std::nullopt;

  Method method = Method::kAutomatic;

  std::optional<SketchOptions> sketch = std::nullopt;

  // l of the table above, >= 0, finite. Unset: 0.
  std::optional<double> ridge = std::nullopt;

  // Also return x_low. GramPower and LeftGramPower only.
  bool extended_output = false;

  // > 0. Stop after this much work with the best x so far (kTimeLimit). Unset:
  // the deadline of the call alone counts, and ends it with an error.
  std::optional<Seconds> time_limit = std::nullopt;
};

// Why the solve ended, decided by measured quantities only. The worst
// right-hand side counts.
enum class Termination {
  kUnknown,         // A reason that this version of the client has no name for.
  kConverged,       // The residual is <= tolerance; see forward_error for x.
  kIterationLimit,  // Best x so far.
  kTimeLimit,       // Best x so far.
  kPrecisionFloor,  // At the floor of the format; ask for extended_output.
  kIllConditioned,  // No digit of x is certified, or the kernel needs a ridge.
  kStopped,         // The server is draining; best x so far.
};

// "CONVERGED", "ITERATION_LIMIT", ...
std::string Name(Termination termination);

// One preconditioner that was tried on some steps of the iteration, before one
// was chosen: which one, is in SolveReport::method.
struct PreconditionerTrial {
  Preconditioner preconditioner = Preconditioner::kAutomatic;
  std::int32_t rank = 0;  // Columns of its factor; 0: a diagonal.
  std::int32_t iterations = 0;
  double contraction = 0.0;  // Residual ratio per iteration; >= 1: no progress.
  Seconds build_time{0.0};   // For the reader: no choice depends on it.
};

// Vectors have one entry a right-hand side. u = 2^-53.
struct SolveReport {
  Termination termination = Termination::kUnknown;
  std::string method;           // What was done, in words, with sizes.
  std::int32_t iterations = 0;  // Of the worst right-hand side.
  std::vector<bool> converged;
  // |r| / |b|, r = b - M x. LeftGramPower: need not be small, see
  // excess_residual.
  std::vector<double> relative_residual;
  // |M (x - x*)| / |b|, x* the exact solution. LeftGramPower only.
  std::vector<double> excess_residual;
  // u |M| |x| / |b|: an upper bound on the relative residual of the exact x
  // rounded to float64.
  std::vector<double> residual_floor;
  // |r| / (|M| |x| + |b|). For comparison only.
  std::vector<double> backward_error;
  // LeftGramPower with exponent 0 only: an upper bound on the least
  // |E|_F / |A|_F, columns scaled, for which x is the solution of
  // min |(A + E) x - b|; 1.6 times too large at the most (proto: SolveReport).
  std::vector<double> least_squares_backward_error;
  // |M'r| / (|M|^2 |x| + |M| |b|).
  std::vector<double> optimality;
  // Estimated |x - x*| / |x|; above 0.1 no digit is certified.
  std::vector<double> forward_error;
  // max_i |r_i| / ((K|x|)_i + l|x_i| + |b_i|). AttentionKernel only.
  std::vector<double> componentwise_error;
  double condition_estimate = 0.0;  // Of A, columns scaled, or of the kernel.
  std::int64_t rank = 0;            // Numerical; below d, x has minimum norm.
  double rank_gap = 0.0;            // sigma_(rank+1) / sigma_rank; 0: full.
  std::uint64_t seed = 0;
  // The factor of a stored matrix was there: this call did not compute it.
  bool factor_cache_hit = false;
  // Natural logarithm of the smallest ridge that makes the problem solvable.
  // AttentionKernel with kIllConditioned only.
  double log_smallest_ridge = 0.0;
  // AttentionKernel, matrix-free, Preconditioner::kAutomatic only.
  std::vector<PreconditionerTrial> trials;
  Seconds queue_time{0.0};
  Seconds compute_time{0.0};
};

using RowMajorMatrix =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Solution {
  // As many columns as b. Check report.termination before use.
  RowMajorMatrix x;

  // With extended_output, else 0 x 0: the answer is x + x_low, unevaluated.
  RowMajorMatrix x_low;

  // Empty, or one per entry of x in row-major order: the entry is
  // x[i] * 2^x_exponents[i]. Used only when some entry lies outside the range
  // of float64. x_low is scaled alike.
  std::vector<std::int32_t> x_exponents;

  SolveReport report;
};

// Where a long solve stands.
struct Progress {
  // What is being done: "queue", "scan", "factor", "iterate", "verify".
  std::string phase;
  std::int32_t iteration = 0;               // Of this phase, from 0.
  std::optional<double> relative_residual;  // Of the worst right-hand side.
  std::optional<double> fraction;           // Of the whole, in [0, 1].
  Seconds elapsed{0.0};
  std::optional<Seconds> time_left;  // An estimate.
  // From 1; greater after the connection broke and the solve began anew, when
  // `fraction` begins anew too.
  int attempt = 1;
};

// Called on the thread that made the call, between messages: the stream waits
// while it runs.
using ProgressCallback = std::function<void(const Progress&)>;

}  // namespace steelyard::client
