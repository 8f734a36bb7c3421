#include "softmax/page_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "factor/factor.h"
#include "linalg/blas.h"
#include "softmax/page_kernel.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Index kMostQueries = 64;
constexpr Index kFewestQueries = 8;
// Numbers of `upper` and of `log_mass` of one block: 16 MiB each.
constexpr Index kBoundNumbers = Index{1} << 21;
// Products of pages and columns in one GEMM: some 0.5e9 flops.
constexpr Index kGemmNumbers = Index{1} << 22;
// Entries that left the range of float64 are below this in any logit.
constexpr double kUnderflow = 0x1p-100;
// |scale| times the largest entry of a query beyond which logits are not
// resolved. The factor is cut there and every logit is taken to be uncertain by
// kCutError: a key that is then excluded, its logit more than twice that below
// another one, is excluded all the more by the true factor, which is larger;
// and no lower end of a score survives.
constexpr int kLargestExponent = 700;
constexpr double kCutError = 800.0;

struct ScaledQuery {
  double norm = 0.0;  // of the row of `scaled`, not below it
  bool cut = false;
};

// q := 2^e q' with the largest entry of q' in [1, 2), then F q' with F = scale
// 2^e. The norm is |F| ||q'||: squares of F q' may overflow.
ScaledQuery ScaleQuery(const std::vector<int>& key_exponents, double scale,
                       absl::Span<double> q) {
  const auto exponent_of = [&](std::size_t c) {
    return key_exponents.empty() ? 0 : key_exponents[c];
  };
  int largest = std::numeric_limits<int>::min();
  for (std::size_t c = 0; c < q.size(); ++c) {
    if (q[c] == 0.0) continue;
    largest = std::max(largest, std::ilogb(q[c]) + exponent_of(c));
  }
  if (largest == std::numeric_limits<int>::min() || scale == 0.0) {
    std::fill(q.begin(), q.end(), 0.0);
    return {};
  }
  ScaledQuery result;
  double factor = std::ldexp(scale, largest);
  if (std::abs(factor) > std::ldexp(1.0, kLargestExponent)) {
    result.cut = true;
    factor = std::copysign(std::ldexp(1.0, kLargestExponent), scale);
  }
  double square = 0.0;
  for (std::size_t c = 0; c < q.size(); ++c) {
    const double x = std::ldexp(q[c], exponent_of(c) - largest);
    square += x * x;
    q[c] = factor * x;
  }
  const double up = 1.0 + (static_cast<double>(q.size()) + 8.0) * kUnitRoundoff;
  result.norm = std::abs(factor) * std::sqrt(square) * up;
  return result;
}

// Rows of `upper` := q+ . highs + q- . lows, of `centre` := q . means.
void MultiplyBounds(const SoftmaxPages& pages, const Matrix<double>& scaled,
                    const StopToken& stop, Matrix<double>* upper,
                    Matrix<double>* centre) {
  const Index count = scaled.rows();
  const Index d = scaled.cols();
  Matrix<double> positive(count, d);
  Matrix<double> negative(count, d);
  for (Index i = 0; i < count * d; ++i) {
    positive.data()[i] = std::max(scaled.data()[i], 0.0);
    negative.data()[i] = std::min(scaled.data()[i], 0.0);
  }
  const Index step = std::max<Index>(1, kGemmNumbers / d);
  for (Index p = 0; p < pages.pages(); p += step) {
    if (stop.stop_requested()) return;
    const Index width = std::min(step, pages.pages() - p);
    const auto part = [&](const Matrix<double>& rows) {
      return Transposed(BlockOf(rows).Part(p, 0, width, d));
    };
    const Block<double> u = BlockOf(*upper).Part(0, p, count, width);
    Gemm(1.0, BlockOf(positive), part(pages.highs), 0.0, u);
    Gemm(1.0, BlockOf(negative), part(pages.lows), 1.0, u);
    Gemm(1.0, BlockOf(scaled), part(pages.means), 0.0,
         BlockOf(*centre).Part(0, p, count, width));
  }
}

}  // namespace

double LogOfClosedMass(const SoftmaxPages& pages, const PageBounds& bounds,
                       Index i, double about) {
  const auto at = static_cast<std::size_t>(i);
  const double sum = SumOfPageMasses(
      {.upper = bounds.upper.row(i),
       .log_mass = bounds.log_mass.row(i),
       .radii = pages.radii.data(),
       .spreads = pages.spreads.data(),
       .pages = pages.pages(),
       .norm = bounds.norms[at],
       .upper_shift = std::log(static_cast<double>(kPageKeys)) - about,
       .mass_shift = 2.0 * bounds.mean_errors[at] - about});
  return sum > 0.0 ? about + std::log(sum) : -kInfinity;
}

Index QueryBlockRows(Index pages) {
  return std::clamp(kBoundNumbers / std::max<Index>(pages, 1), kFewestQueries,
                    kMostQueries);
}

PageBounds BoundPages(const SoftmaxPages& pages, double scale,
                      const QueryRange& range, const StopToken& stop) {
  const Index count = range.count;
  const Index d = pages.columns;
  PageBounds bounds;
  bounds.scaled = Matrix<double>::Unset(count, d);
  bounds.upper = Matrix<double>::Unset(count, pages.pages());
  bounds.log_mass = Matrix<double>::Unset(count, pages.pages());
  LoadScaledRows(range.queries, range.first, count, {}, bounds.scaled.data());
  std::vector<ScaledQuery> queries;
  for (Index i = 0; i < count; ++i) {
    queries.push_back(ScaleQuery(
        pages.exponents, scale,
        absl::MakeSpan(bounds.scaled.row(i), static_cast<std::size_t>(d))));
  }
  MultiplyBounds(pages, bounds.scaled, stop, &bounds.upper, &bounds.log_mass);

  for (Index i = 0; i < count && !stop.stop_requested(); ++i) {
    const ScaledQuery& query = queries[static_cast<std::size_t>(i)];
    // |<q', k>| <= size. Logits: q' rounds once more, d products and sums, and
    // logarithms of that size that are added to them. Bounds: 2 d products, and
    // means that are off by (kPageKeys + 2) u of the largest entry.
    const double size = query.norm * pages.largest_norm;
    const auto columns = static_cast<double>(d);
    const double cut = query.cut ? kCutError : 0.0;
    bounds.norms.push_back(query.norm);
    bounds.logit_errors.push_back((columns + 16.0) * kUnitRoundoff * size +
                                  kUnderflow + cut);
    const double error =
        (2.0 * columns + static_cast<double>(kPageKeys) + 32.0) *
            kUnitRoundoff * size +
        kUnderflow + cut;
    bounds.mean_errors.push_back(error);
    const Index last =
        range.positions.empty()
            ? std::numeric_limits<Index>::max()
            : range.positions[static_cast<std::size_t>(range.first + i)];
    double* upper = bounds.upper.row(i);
    double* mass = bounds.log_mass.row(i);
    for (Index p = 0; p < pages.pages(); ++p) {
      const Index keys = pages.Count(p);
      const Index seen =
          range.positions.empty() ? keys : pages.CountUpTo(p, last);
      const double ball =
          mass[p] + query.norm * pages.radii[static_cast<std::size_t>(p)];
      upper[p] = seen == 0 ? -kInfinity : std::min(upper[p], ball) + error;
      // sum_P e^s >= |P| e^(mean of s)
      mass[p] = seen < keys
                    ? -kInfinity
                    : mass[p] - error + std::log(static_cast<double>(keys));
    }
  }
  return bounds;
}

}  // namespace steelyard
