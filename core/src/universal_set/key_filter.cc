#include "universal_set/key_filter.h"

#include <algorithm>
#include <cmath>

#include "linalg/blas.h"
#include "universal_set/norm_bound.h"

namespace steelyard {
namespace {

constexpr double kFloatRoundoff = 0x1p-24;
constexpr Index kWidth = kStripColumns<float>;
// Past this the bound mu of the leading block costs more than it saves, and
// its products take too long between two looks at the stop token.
constexpr Index kLargestLeading = 512;
// What the product adds to a typical key is this many times its average.
constexpr double kMargin = 1.5;
// m is tried in steps of d / kParts, down to kFewestParts of them.
constexpr Index kParts = 16;
constexpr Index kFewestParts = 4;
// How much a sketched norm may come out too small.
constexpr double kSketchScale = 10.0;

double Real(Index i) { return static_cast<double>(i); }

Index PanelRows(Index d) {
  return std::clamp<Index>(StripRows((Index{1} << 16) / d), 32, 256);
}

// Sums and squared norms of a panel, then its strips.
Index ScratchSize(Index d) {
  const Index rows = PanelRows(d);
  return rows * (kWidth + kWidth) + StripSize<float>(rows, StripsFor<float>(d));
}

double FrobeniusNorm(const Matrix<double>& a) {
  double sum = 0.0;
  for (Index i = 0; i < a.size(); ++i) sum += a.data()[i] * a.data()[i];
  return std::sqrt(sum);
}

// Some keys from all over.
Matrix<double> Sample(const AnyMatrixView& keys, const RowLoader& rows) {
  constexpr Index kMost = 256;
  Matrix<double> sample(std::min(kMost, Rows(keys)), Cols(keys));
  for (Index i = 0; i < sample.rows(); ++i) {
    rows.Load(Rows(keys) * i / sample.rows(), 0,
              BlockOf(sample).Part(i, 0, 1, sample.cols()));
  }
  return sample;
}

// The squared norm of the first m entries that 9 of 10 keys stay below.
double TypicalSquare(const Matrix<double>& sample, Index m) {
  std::vector<double> squares;
  for (Index i = 0; i < sample.rows(); ++i) {
    const double* row = sample.data() + i * sample.cols();
    squares.push_back(Dot(row, row, m));
  }
  const auto at = squares.begin() + (sample.rows() - 1) * 9 / 10;
  std::nth_element(squares.begin(), at, squares.end());
  return *at;
}

}  // namespace

KeyFilter::KeyFilter(const Factor& factor, Index columns)
    : d_(factor.r.cols()),
      exponents_(factor.scales.exponents),
      right_columns_(columns),
      pool_(std::make_unique<ScratchPoolOf<float>>(ScratchSize(d_))) {}

void KeyFilter::Pack(const Matrix<double>& right) {
  right_norm_ = FrobeniusNorm(right);
  const StripBlock<float> shape{nullptr, StripsFor<float>(d_) * kWidth,
                                StripsFor<float>(right_columns_)};
  right_.resize(
      static_cast<std::size_t>(StripSize<float>(shape.rows, shape.strips)));
  const std::vector<double> ones(static_cast<std::size_t>(right_columns_), 1.0);
  PackStrips(static_cast<const double*>(right.data()), right_columns_,
             ones.data(), d_, right_columns_,
             StripBlock<float>{right_.data(), shape.rows, shape.strips});
}

KeyFilter KeyFilter::Certain(const AnyMatrixView& keys, const Factor& factor,
                             const Matrix<double>& inverse, double level) {
  const Index d = inverse.cols();
  KeyFilter filter(factor, d);
  filter.Pack(inverse);
  if (d > kLargestLeading) return filter;
  const Matrix<double> sample =
      Sample(keys, RowLoader(keys, filter.exponents_));
  for (Index parts = kParts; parts >= kFewestParts; --parts) {
    const Index m = parts == kParts ? d : d * parts / kParts / kWidth * kWidth;
    if (m == 0) break;
    const Block<const double> s = BlockOf(inverse).Part(0, 0, m, m);
    const double square = TypicalSquare(sample, m);
    // Squared rows of X sum to 1 for every column.
    const double rest = kMargin * Real(d - m) / Real(Rows(keys));
    const auto fits = [&](double mu) { return mu * square + rest <= level; };
    if (!fits(LargestSquareEstimate(s))) continue;
    const double mu = LargestSquareBound(s);
    if (!fits(mu)) continue;
    filter.leading_ = m;
    filter.leading_factor_ = mu;
    break;
  }
  return filter;
}

KeyFilter KeyFilter::Sketched(const Factor& factor,
                              const Matrix<double>& inverse, Seed seed) {
  const Index d = inverse.cols();
  KeyFilter filter(factor, kSketchColumns);
  // W: independent normals / sqrt(48)
  const RandomStream random{seed, 0};
  Matrix<double> w(d, kSketchColumns);
  for (Index i = 0; i < w.size(); ++i) {
    w.data()[i] = random.Normal(static_cast<std::uint64_t>(i)) /
                  std::sqrt(Real(kSketchColumns));
  }
  Matrix<double> sketch(d, kSketchColumns);
  Gemm(1.0, BlockOf(inverse), BlockOf(w), 0.0, BlockOf(sketch));
  filter.Pack(sketch);
  filter.upper_ = false;
  filter.scale_ = kSketchScale;
  return filter;
}

void KeyFilter::Bound(const AnyMatrixView& keys, Index first, Index count,
                      double* bounds) const {
  const RowLoader rows(keys, exponents_);
  const Index panel = PanelRows(d_);
  for (Index i = 0; i < count; i += panel) {
    BoundPanel(rows, first + i, std::min(panel, count - i), bounds + i);
  }
}

void KeyFilter::BoundPanel(const RowLoader& rows, Index first, Index count,
                           double* bounds) const {
  const Index panel = PanelRows(d_);
  ScratchPoolOf<float>::Lease work = pool_->Borrow();
  float* const sums = work.data();
  float* const squares = sums + panel * kWidth;
  float* const lead = squares + panel;
  float* const norms = lead + panel;
  const StripBlock<float> k{squares + panel * kWidth, StripRows(count),
                            StripsFor<float>(d_)};
  rows.LoadStrips(first, 0, count, d_, k);
  RowSquares(k, k.strips, count, squares);
  const Index lead_strips = StripsFor<float>(leading_);
  RowSquares(k, lead_strips, count, lead);
  const bool product = leading_ < d_;
  if (product) {
    const StripBlock<const float> right{right_.data(), k.strips * kWidth,
                                        StripsFor<float>(right_columns_)};
    RowNorms(k, right, upper_, lead_strips, count, sums, norms,
             rows.RowsToRead(first + count, panel));
  }

  const double d = Real(d_);
  const double columns = Real(std::max(d_, right_columns_));
  // sqrt of a sum of squares in float32, rounded up; what underflows in it is
  // below 2^-126 a square.
  const auto up = [&](float square) {
    return std::sqrt(static_cast<double>(square)) *
               (1.0 + (columns + 2.0) * kFloatRoundoff) +
           0x1p-62 * std::sqrt(columns);
  };
  const double e = 1.01 * (d + 4.0) * kFloatRoundoff * right_norm_;
  const double a = 0x1p-124 * d * (right_norm_ + 2.0 * d);
  for (Index i = 0; i < count; ++i) {
    double bound = 0.0;
    if (leading_ > 0) {
      const double norm = up(lead[i]);
      bound += leading_factor_ * norm * norm;
    }
    if (product) {
      const double norm = up(norms[i]) + e * up(squares[i]) + a;
      bound += norm * norm;
    }
    bounds[i] = scale_ * bound * (1.0 + 0x1p-40);
  }
}

Cost CostOfKeyFilter(Index d, int workers) {
  const double columns = Real(std::max(d, kSketchColumns));
  const double strips =
      Real(StripSize<float>(StripsFor<float>(d) * kWidth,
                            StripsFor<float>(std::max(d, kSketchColumns))));
  const double leading = Real(std::min(d, kLargestLeading));
  return {.flops = 24.0 * columns * columns * columns,
          .bytes = sizeof(float) * (strips + Real(ScratchSize(d)) *
                                                 static_cast<double>(workers)) +
                   sizeof(double) * (2.0 * leading * leading + 512.0 * columns +
                                     2.0 * columns * Real(kSketchColumns))};
}

}  // namespace steelyard
