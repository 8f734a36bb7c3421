#include "published/sketched_triangle.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "factor/row_loader.h"
#include "factor/triangle.h"
#include "linalg/svd.h"
#include "linalg/tall_skinny_qr.h"
#include "sparse/sparse_rows.h"

namespace steelyard {
namespace {

// Below this many rows for each column a sketch keeps nothing.
constexpr Index kRowsForSketch = 4;
// A sketch with hardly more rows than columns: steps stay positive.
constexpr double kDistortionMax = 0.95;

bool SketchIsTaken(const SketchPlan& plan, Index n, Index d) {
  return n >= kRowsForSketch * d && plan.rows < n;
}

// Rows of a stored matrix, for a QR.
RowSource RowsOf(const DenseOrCsr& a, const std::vector<int>& exponents) {
  if (const auto* const csr = std::get_if<AnyCsrView>(&a)) {
    return {
        Rows(a), Cols(a),
        [rows = SparseRows(*csr, exponents)](Index first, Block<double> out) {
          AlignedVector<double> values;
          for (Index i = 0; i < out.rows; ++i) {
            std::fill_n(out.row(i), out.cols, 0.0);
            const SparseBlock row = rows.Load(first + i, 1, values);
            for (Index e = 0; e < row.entries(); ++e) {
              out(i, row.columns[e]) = row.values[e];
            }
          }
        }};
  }
  const AnyMatrixView& dense = std::get<AnyMatrixView>(a);
  return {Rows(a), Cols(a),
          [rows = RowLoader(dense, exponents)](Index first, Block<double> out) {
            rows.Load(first, 0, out);
          }};
}

// Columns that the ridge alone fills get its size.
void RaiseZeroColumns(const Matrix<double>& sketch, int ridge_exponent,
                      std::vector<int>& exponents) {
  for (Index c = 0; c < sketch.cols(); ++c) {
    bool zero = true;
    for (Index i = 0; i < sketch.rows() && zero; ++i)
      zero = sketch(i, c) == 0.0;
    if (zero) exponents[static_cast<std::size_t>(c)] = ridge_exponent;
  }
}

absl::StatusOr<Matrix<double>> TriangleOf(const DenseOrCsr& a,
                                          const SketchPlan& plan, double ridge,
                                          const ComputeContext& context,
                                          SketchedTriangle& made) {
  std::vector<int>& exponents = made.factor.scales.exponents;
  const int ridge_exponent = ridge > 0.0 ? std::ilogb(std::sqrt(ridge)) : 0;
  if (ridge > 0.0) {
    for (int& exponent : exponents) {
      exponent = std::max(exponent, ridge_exponent);
    }
  }
  Matrix<double> sketch;
  const bool sketched = SketchIsTaken(plan, Rows(a), Cols(a));
  if (sketched) {
    absl::StatusOr<Matrix<double>> applied =
        ApplySketch(plan, a, exponents, context);
    if (!applied.ok()) return applied.status();
    sketch = *std::move(applied);
    if (ridge > 0.0) RaiseZeroColumns(sketch, ridge_exponent, exponents);
  }
  std::vector<double> roots;
  if (ridge > 0.0) {
    for (const int exponent : exponents) {
      roots.push_back(std::ldexp(std::sqrt(ridge), -exponent));
      made.ridge_diagonal.push_back(
          std::ldexp(std::ldexp(ridge, -exponent), -exponent));
    }
  }
  if (!sketched) return TallSkinnyQr(RowsOf(a, exponents), roots, context);
  return TallSkinnyQr(RowsOf(AnyMatrixView(std::as_const(sketch).view()), {}),
                      roots, context);
}

}  // namespace

absl::StatusOr<SketchedTriangle> SketchTriangle(const DenseOrCsr& a,
                                                const ColumnScales& scales,
                                                const SketchPlan& plan,
                                                double ridge,
                                                const ComputeContext& context) {
  const Index n = Rows(a);
  const Index d = Cols(a);
  const bool sketched = SketchIsTaken(plan, n, d);
  SketchedTriangle made;
  made.factor.scales = scales;
  absl::StatusOr<Matrix<double>> r = TriangleOf(a, plan, ridge, context, made);
  if (!r.ok()) return r.status();
  made.factor.r = *std::move(r);
  made.factor.method = FactorMethod::kQr;
  if (sketched) {
    made.distortion = std::min(
        std::sqrt(static_cast<double>(d) / static_cast<double>(plan.rows)),
        kDistortionMax);
    made.factor.description =
        absl::StrCat(NameOf(plan.kind), " sketch of ", plan.rows, " rows of ",
                     n, " x ", d, ", its QR");
  } else {
    made.factor.description =
        absl::StrCat("QR of ", n, " x ", d, ", too few rows for a sketch");
  }
  absl::Status done = MeasureTriangle(n, context, made.factor);
  if (!done.ok()) return done;
  done =
      SettleRank(ridge > 0.0 ? d : std::min(n, d), false, context, made.factor);
  if (!done.ok()) return done;
  return made;
}

Cost CostOfSketchedTriangle(const SketchPlan& plan, Index n, Index d,
                            Index nonzeros, int workers) {
  const bool sketched = SketchIsTaken(plan, n, d);
  Cost cost;
  if (sketched) cost += CostOfSketch(plan, n, d, nonzeros, workers);
  cost += CostOfTallSkinnyQr(sketched ? plan.rows : n, d, workers);
  cost += CostOfRightSvd(d);
  // R, its inverse, what a QR loads.
  cost.bytes += 24.0 * static_cast<double>(d) * static_cast<double>(d);
  return cost;
}

}  // namespace steelyard
