#include "sparse/csr_cost_model.h"

namespace steelyard {
namespace {

// A pair of the Gram while the triangle of 8 d^2 bytes stays in the caches
// (d = 500, 1000: 2.2 to 2.5), and where it does not (d = 2000: 9 to 12).
constexpr double kPair = 2.5;
constexpr double kPairFromMemory = 10.0;
constexpr double kBytesInCache = 16e6;
// An entry of that triangle: made, added up, taken apart (17).
constexpr double kTriangleEntry = 17.0;
// Of Cholesky in double-double (0.22 to 0.29).
constexpr double kCholeskyStep = 0.3;
// Of Householder QR (0.025 to 0.027); an entry of a row made dense (1 to 3).
constexpr double kQrFlop = 0.026;
constexpr double kDenseEntry = 2.0;
// Of a sparse-sign sketch: signs of a row (400 to 500), an entry (12), an entry
// of the sketch (5).
constexpr double kSignsOfRow = 450.0;
constexpr double kSketchedEntry = 12.0;
constexpr double kSketchEntry = 5.0;
// A step: an entry of A (2.5 to 5.7), and two triangular solves (0.1 to 0.2
// each).
constexpr double kPassEntry = 3.0;
constexpr double kSolveEntry = 0.4;

double Real(Index i) { return static_cast<double>(i); }

}  // namespace

double WorkOfGram(const CsrCounts& a) {
  const double d = Real(a.d);
  const double pair = 8.0 * d * d <= kBytesInCache ? kPair : kPairFromMemory;
  return pair * a.pairs + kTriangleEntry * d * d / 2.0 +
         kCholeskyStep * d * d * d / 6.0;
}

double WorkOfRows(const CsrCounts& a) {
  const double d = Real(a.d);
  // And one triangle more.
  return (kQrFlop * 2.0 * d + kDenseEntry) * d * (Real(a.n) + d);
}

double WorkOfSketch(const CsrCounts& a, Index sketch_rows, double steps) {
  const double d = Real(a.d);
  const double s = Real(sketch_rows);
  return kSignsOfRow * Real(a.n) + kSketchedEntry * a.nonzeros +
         kSketchEntry * s * d + kQrFlop * 2.0 * s * d * d +
         steps * (kPassEntry * a.nonzeros + kSolveEntry * d * d);
}

}  // namespace steelyard
