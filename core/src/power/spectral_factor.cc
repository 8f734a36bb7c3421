#include "power/spectral_factor.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "linalg/column_products.h"
#include "linalg/double_double.h"
#include "linalg/double_double_rows.h"
#include "linalg/stopped.h"
#include "linalg/svd.h"
#include "power/gram_solver.h"
#include "power/split_gram.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// Beyond this the levels, refined with A, are the better road.
constexpr double kConditionMax = 1e7;
// First order is enough below: second-order terms are 1e-3 of it.
constexpr double kErrorMax = 1e-3;
// A pair of vectors is turned by this at most: the square is what is neglected.
constexpr double kTurnMax = 0x1p-20;
// Sums over fewer columns are not near their expected value.
constexpr Index kColumnsMin = 8;
// Of (I + F)^-1, beside what F is rounded to.
constexpr double kInverseError = 0x1p-60;
// Directions of a matrix of any size, and numbers of A times directions that
// cost next to nothing.
constexpr Index kDirectionsMin = 16;
constexpr double kFreeWork = 2e8;

// R S, times 2^-top.
Matrix<double> Unscaled(const Factor& factor, int top) {
  const Index d = factor.r.cols();
  Matrix<double> root(d, d);
  for (Index i = 0; i < d; ++i) {
    for (Index j = i; j < d; ++j) {
      root(i, j) = std::ldexp(
          factor.r(i, j),
          factor.scales.exponents[static_cast<std::size_t>(j)] - top);
    }
  }
  return root;
}

// One step towards the eigenvectors of root'root: V := V + V Y, to first order
// those of root'root in V's place [OA18],
//   Y_pq = (E_pq - l_q N_pq) / (l_q - l_p), Y_qq = -N_qq / 2,
//   S^2 + E = V'root'root V in double-double, l_q = (s_q^2 + E_qq) / (1 +
//   N_qq).
// What the SVD was off by is gone but for the roundings of V; pairs too close
// to be told apart stay as they are.
absl::Status RefineVectors(const Matrix<double>& root,
                           const ComputeContext& context,
                           SpectralFactor& spectral) {
  const Matrix<double>& v = spectral.v_transposed;
  const Index d = v.rows();
  const auto size = static_cast<std::size_t>(d);
  Matrix<double> y(d, d);  // row q: column q of E, then of Y
  Matrix<double> n(d, d);
  std::vector<double> values(size);
  context.workers.ParallelFor(d, context.stop, [&](Index q) {
    std::vector<double> hi(size), lo(size), sum_hi(size), sum_lo(size);
    DotRows({root.data(), d, d}, v.row(q), lo.data(), hi.data(), lo.data());
    AddRows({root.data(), d, d}, hi.data(), lo.data(), sum_hi.data(),
            sum_lo.data());
    for (std::size_t i = 0; i < size; ++i) {
      const DoubleDouble sum = TwoSum(sum_hi[i], sum_lo[i]);
      sum_hi[i] = sum.hi;
      sum_lo[i] = sum.lo;
    }
    DotRows({v.data(), d, d}, sum_hi.data(), sum_lo.data(), y.row(q),
            lo.data());
    values[static_cast<std::size_t>(q)] = y(q, q);
    std::fill(sum_lo.begin(), sum_lo.end(), 0.0);
    DotRows({v.data(), d, d}, v.row(q), sum_lo.data(), n.row(q), lo.data());
    n(q, q) = (n(q, q) - 1.0) + lo[static_cast<std::size_t>(q)];
  });
  if (absl::Status stopped = CheckStop(context.stop); !stopped.ok()) {
    return stopped;
  }
  for (Index q = 0; q < d; ++q) {
    values[static_cast<std::size_t>(q)] /= 1.0 + n(q, q);
  }
  for (Index q = 0; q < d; ++q) {
    const double own = values[static_cast<std::size_t>(q)];
    for (Index p = 0; p < d; ++p) {
      const double gap = own - values[static_cast<std::size_t>(p)];
      const double off = y(q, p) - own * n(q, p);
      const bool apart = p != q && std::abs(off) <= kTurnMax * std::abs(gap);
      y(q, p) = apart ? off / gap : -0.5 * n(q, p);
    }
    spectral.s[static_cast<std::size_t>(q)] = std::sqrt(own);
  }
  // Rows of V' are the vectors: V' := V' + Y'V'.
  const Index width = PaddedColumns(d);
  Matrix<double> wide(d, width);
  for (Index p = 0; p < d; ++p) std::copy_n(v.row(p), d, wide.row(p));
  Matrix<double> turn(d, width);
  absl::Status done =
      MultiplyColumns(BlockOf(y), BlockOf(wide), BlockOf(turn), context);
  for (Index p = 0; p < d; ++p) {
    for (Index i = 0; i < d; ++i) spectral.v_transposed(p, i) += turn(p, i);
  }
  return done;
}

class Measurement {
 public:
  // `gram`: of a; null: A is read.
  Measurement(const ScaledMatrix& a, const std::vector<double>& ridge_diagonal,
              const SplitGram* gram, int top, SpectralFactor& spectral)
      : a_(a),
        ridge_diagonal_(ridge_diagonal),
        gram_(gram),
        top_(top),
        spectral_(spectral),
        d_(spectral.v_transposed.rows()) {}

  // F and N of the last directions, as many as are `measured`.
  absl::Status Run(const ComputeContext& context) {
    const Index m = spectral_.measured;
    Matrix<double> z(d_, m);  // column scales times V_m
    for (Index r = 0; r < m; ++r) {
      const double* const v = spectral_.v_transposed.row(d_ - m + r);
      for (Index i = 0; i < d_; ++i) z(i, r) = std::ldexp(v[i], Shift(i));
    }
    const absl::StatusOr<PassResult> pass =
        gram_ == nullptr ? ReadMatrix(z, context) : MultiplyGram(z, context);
    if (!pass.ok()) return pass.status();
    spectral_.f = Matrix<double>(m, d_);
    spectral_.n = Matrix<double>(m, d_);
    quotients_.assign(static_cast<std::size_t>(m), 0.0);
    context.workers.ParallelFor(m, context.stop,
                                [&](Index r) { AddDirection(r, z, *pass); });
    if (absl::Status stopped = CheckStop(context.stop); !stopped.ok()) {
      return stopped;
    }
    std::vector<double>& s = spectral_.s;
    std::copy(quotients_.begin(), quotients_.end(), s.end() - m);
    for (Index r = 0; r < m; ++r) {
      const double own = quotients_[static_cast<std::size_t>(r)];
      for (Index q = 0; q < d_; ++q) {
        spectral_.f(r, q) /= own * s[static_cast<std::size_t>(q)];
      }
    }
    return absl::OkStatus();
  }

 private:
  int Shift(Index i) const {
    return a_.exponents[static_cast<std::size_t>(i)] - top_;
  }

  // -A_s'A_s z
  absl::StatusOr<PassResult> ReadMatrix(const Matrix<double>& z,
                                        const ComputeContext& context) const {
    return ResidualPass({.a = a_,
                         .b = std::nullopt,
                         .z_hi = &z,
                         .z_lo = nullptr,
                         .k = z.cols()},
                        Precision::kDoubleDouble, context);
  }

  absl::StatusOr<PassResult> MultiplyGram(const Matrix<double>& z,
                                          const ComputeContext& context) const {
    PassResult result{
        Matrix<double>(d_, z.cols()), Matrix<double>(d_, z.cols()), {}};
    context.workers.ParallelFor(z.cols(), context.stop, [&](Index r) {
      const auto size = static_cast<std::size_t>(d_);
      std::vector<double> column(size), zero(size), hi(size), lo(size);
      std::vector<double> low(size), rest(size);
      for (Index i = 0; i < d_; ++i) {
        column[static_cast<std::size_t>(i)] = z(i, r);
      }
      DotRows({gram_->hi.data(), d_, d_}, column.data(), zero.data(), hi.data(),
              lo.data());
      DotRows({gram_->lo.data(), d_, d_}, column.data(), zero.data(),
              low.data(), rest.data());
      for (Index i = 0; i < d_; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const DoubleDouble sum = Add({hi[at], lo[at]}, {low[at], rest[at]});
        result.hi(i, r) = -sum.hi;
        result.lo(i, r) = -sum.lo;
      }
    });
    if (absl::Status stopped = CheckStop(context.stop); !stopped.ok()) {
      return stopped;
    }
    return result;
  }

  // Row r of F and N: V' times A'A v and v. The pass gave -A_s'A_s z.
  void AddDirection(Index r, const Matrix<double>& z, const PassResult& pass) {
    const auto size = static_cast<std::size_t>(d_);
    std::vector<double> hi(size), lo(size), y_hi(size), y_lo(size);
    for (Index i = 0; i < d_; ++i) {
      const auto at = static_cast<std::size_t>(i);
      DoubleDouble sum{-pass.hi(i, r), -pass.lo(i, r)};
      if (!ridge_diagonal_.empty()) {
        sum = Add(sum, Multiply(ridge_diagonal_[at], {z(i, r), 0.0}));
      }
      hi[at] = std::ldexp(sum.hi, Shift(i));
      lo[at] = std::ldexp(sum.lo, Shift(i));
    }
    const Matrix<double>& v = spectral_.v_transposed;
    const Index own = d_ - spectral_.measured + r;
    const auto mine = static_cast<std::size_t>(own);
    DotRows({v.data(), d_, d_}, hi.data(), lo.data(), y_hi.data(), y_lo.data());
    // The Rayleigh quotient is nearer to the truth than what the SVD says.
    const double s = std::sqrt(y_hi[mine]);
    quotients_[static_cast<std::size_t>(r)] = s;
    for (Index q = 0; q < d_; ++q) {
      const auto at = static_cast<std::size_t>(q);
      DoubleDouble e{y_hi[at], y_lo[at]};
      if (q == own) e = Subtract(e, TwoProduct(s, s));
      spectral_.f(r, q) = e.hi;
    }
    std::fill(lo.begin(), lo.end(), 0.0);
    DotRows({v.data(), d_, d_}, v.row(own), lo.data(), y_hi.data(),
            y_lo.data());
    for (Index q = 0; q < d_; ++q) {
      const auto at = static_cast<std::size_t>(q);
      DoubleDouble dot{y_hi[at], y_lo[at]};
      if (q == own) dot = Subtract(dot, {1.0, 0.0});
      spectral_.n(r, q) = dot.hi;
    }
  }

  const ScaledMatrix& a_;
  const std::vector<double>& ridge_diagonal_;
  const SplitGram* gram_;
  int top_;
  SpectralFactor& spectral_;
  Index d_;
  std::vector<double> quotients_;  // of the directions
};

// A column q: root mean square of F_pq / (s_p^-2 + s_q^-2)^(1/2), p measured.
std::vector<double> BackwardErrors(const SpectralFactor& spectral) {
  const Index m = spectral.measured;
  const Index d = spectral.f.cols();
  std::vector<double> errors;
  for (Index q = 0; q < d; ++q) {
    const double other = spectral.s[static_cast<std::size_t>(q)];
    double sum = 0.0;
    for (Index r = 0; r < m; ++r) {
      const double s = spectral.s[static_cast<std::size_t>(d - m + r)];
      const double f = spectral.f(r, q);
      sum += f * f / (1.0 / (s * s) + 1.0 / (other * other));
    }
    errors.push_back(std::sqrt(sum / static_cast<double>(m)));
  }
  return errors;
}

double LargestNorm(const Matrix<double>& f) {
  double sum = 0.0;
  for (Index i = 0; i < f.size(); ++i) sum += f.data()[i] * f.data()[i];
  return std::sqrt(sum);
}

// (I + F)^-1 = I + H: H := -F (I + H), as often as tells.
absl::Status AddInverse(const ComputeContext& context,
                        SpectralFactor& spectral) {
  const Matrix<double>& f = spectral.f;
  const Index d = f.cols();
  const double norm = LargestNorm(f);
  Matrix<double> h(d, d);
  for (Index e = 0; e < f.size(); ++e) h.data()[e] = -f.data()[e];
  for (double left = norm; left > kInverseError; left *= norm) {
    Matrix<double> product;
    absl::Status done = Product(BlockOf(f), h, product, context);
    if (!done.ok()) return done;
    for (Index e = 0; e < f.size(); ++e) {
      h.data()[e] = -f.data()[e] - product.data()[e];
    }
  }
  const std::vector<double>& s = spectral.s;
  for (Index p = 0; p < d; ++p) {
    for (Index q = 0; q < d; ++q) {
      h(p, q) /=
          s[static_cast<std::size_t>(p)] * s[static_cast<std::size_t>(q)];
    }
  }
  absl::Status done =
      Product(BlockOf(std::as_const(h)), spectral.n, spectral.next, context);
  for (Index p = 0; p < d; ++p) {
    const double own = s[static_cast<std::size_t>(p)];
    for (Index q = 0; q < d; ++q) {
      spectral.next(p, q) += h(p, q) + spectral.n(p, q) / (own * own);
    }
  }
  spectral.first = std::move(h);
  return done;
}

// The last `count` rows.
Matrix<double> LastRows(const Matrix<double>& all, Index count) {
  Matrix<double> rows(count, all.cols());
  std::copy_n(all.row(all.rows() - count), rows.size(), rows.data());
  return rows;
}

// S, F, N by A'A itself.
absl::Status Measure(const ScaledMatrix& a,
                     const std::vector<double>& ridge_diagonal, int top,
                     const ComputeContext& context, SpectralFactor& spectral) {
  const Index d = spectral.v_transposed.rows();
  const Index kept = DirectionsToMeasure(Rows(a.view), d);
  spectral.measured = kept;
  if (std::holds_alternative<AnyCsrView>(a.view)) {
    return Measurement(a, ridge_diagonal, nullptr, top, spectral).Run(context);
  }
  const absl::StatusOr<SplitGram> gram = MakeSplitGram(a, context);
  if (!gram.ok()) return gram.status();
  spectral.measured = d;
  absl::Status done =
      Measurement(a, ridge_diagonal, &*gram, top, spectral).Run(context);
  if (!done.ok()) return done;
  spectral.gram_rounding = gram->rounding;
  for (const int exponent : a.exponents) {
    spectral.scales.push_back(std::ldexp(1.0, exponent - top));
  }
  if (LargestNorm(spectral.f) <= kErrorMax) {
    done = AddInverse(context, spectral);
    if (!done.ok()) return done;
  }
  spectral.f = LastRows(spectral.f, kept);
  spectral.n = LastRows(spectral.n, kept);
  spectral.measured = kept;
  return done;
}

}  // namespace

std::int64_t SpectralFactor::bytes() const {
  return 8 * (v_transposed.size() + f.size() + n.size() + first.size() +
              next.size() + static_cast<std::int64_t>(scales.capacity()) +
              static_cast<std::int64_t>(s.capacity()));
}

Index DirectionsToMeasure(Index n, Index d) {
  const double work = static_cast<double>(n) * static_cast<double>(d);
  const auto free =
      static_cast<Index>(std::min(kFreeWork / work, static_cast<double>(d)));
  return std::min(d, std::max({kDirectionsMin, d / 8, free}));
}

absl::StatusOr<std::optional<SpectralFactor>> MakeSpectralFactor(
    const ScaledMatrix& a, const Factor& factor,
    const std::vector<double>& ridge_diagonal, const ComputeContext& context) {
  std::optional<SpectralFactor> none;
  const Index d = factor.r.cols();
  if (d < kColumnsMin || factor.rank < d || factor.condition > kConditionMax) {
    return none;
  }
  const std::vector<int>& exponents = factor.scales.exponents;
  const auto [low, high] =
      std::minmax_element(exponents.begin(), exponents.end());
  if (*high - *low > std::ilogb(kConditionMax)) return none;
  if (absl::Status stopped = CheckStop(context.stop); !stopped.ok()) {
    return stopped;
  }
  const Matrix<double> root = Unscaled(factor, *high);
  absl::StatusOr<RightSvd> svd = ComputeRightSvd(root);
  if (!svd.ok()) return svd.status();
  SpectralFactor spectral;
  spectral.v_transposed = std::move(svd->v_transposed);
  spectral.s = std::move(svd->singular_values);
  if (!(spectral.s.back() * kConditionMax >= spectral.s.front())) return none;
  absl::Status done = RefineVectors(root, context, spectral);
  if (!done.ok()) return done;
  // The last one in [1, 2).
  const int top = *high + std::ilogb(spectral.s.back());
  for (double& s : spectral.s) s = std::ldexp(s, *high - top);
  spectral.shift = top;
  done = Measure(a, ridge_diagonal, top, context, spectral);
  if (!done.ok()) return done;
  // No better than the R of a sketch or of a Gram: the levels refine it.
  const double grade = 40.0 * static_cast<double>(d) * kUnitRoundoff *
                       spectral.s.front() / spectral.s.back();
  if (!(LargestNorm(spectral.f) <= std::min(kErrorMax, grade))) return none;
  spectral.backward_errors = BackwardErrors(spectral);
  return spectral;
}

}  // namespace steelyard
