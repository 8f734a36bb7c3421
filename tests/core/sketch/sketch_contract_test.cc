// What every sketch promises, whatever its kind: one suite that a new kind
// joins by one line in AllKinds.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include "factor/factor.h"
#include "gmock/gmock.h"
#include "linalg/svd.h"
#include "linalg/tall_skinny_qr.h"
#include "steelyard/sketch.h"
#include "tests/core/sketch/sparse_matrices.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

// Slots of a sketch, each one task.
constexpr std::int64_t kMostTasks = 16;

using test::CsrMatrix;
using test::StoredMatrix;

// A new kind joins here.
std::vector<SketchKind> AllKinds() {
  return {SketchKind::kGaussian, SketchKind::kSrht, SketchKind::kCountSketch,
          SketchKind::kSparseSign};
}

std::string Word(SketchKind kind) {
  switch (kind) {
    case SketchKind::kGaussian:
      return "Gaussian";
    case SketchKind::kSrht:
      return "Srht";
    case SketchKind::kCountSketch:
      return "CountSketch";
    case SketchKind::kSparseSign:
      return "SparseSign";
  }
  return "";
}

Matrix<double> Sketch(const SketchPlan& plan, const DenseOrCsr& a,
                      const std::vector<int>& exponents = {}, int workers = 2) {
  const Workers pool(workers);
  absl::StatusOr<Matrix<double>> sketch =
      ApplySketch(plan, a, exponents, ComputeContext{pool});
  EXPECT_TRUE(sketch.ok()) << sketch.status();
  return sketch.ok() ? *std::move(sketch) : Matrix<double>(plan.rows, Cols(a));
}

DenseOrCsr Dense(const Matrix<double>& a) { return AnyMatrixView(a.view()); }

// S, s x n.
Matrix<double> Formed(const SketchPlan& plan, Index n) {
  Matrix<double> identity(n, n);
  for (Index i = 0; i < n; ++i) identity(i, i) = 1.0;
  return Sketch(plan, Dense(identity));
}

// Column norms of a times those of S, entry by entry an upper bound of |S||a|.
double EntryBound(const Matrix<double>& a, Index column) {
  double square = 0.0;
  for (Index i = 0; i < a.rows(); ++i) square += a(i, column) * a(i, column);
  return std::sqrt(square);
}

// Dense, or a third of its entries kept as CSR.
enum class Shape { kDense, kCsr };

class SketchContractTest
    : public testing::TestWithParam<std::tuple<SketchKind, Shape>> {
 protected:
  SketchKind kind() const { return std::get<0>(GetParam()); }
  bool sparse() const { return std::get<1>(GetParam()) == Shape::kCsr; }
  SketchPlan Plan(Index rows, std::uint64_t seed = 5) const {
    return {kind(), rows, {seed}};
  }

  // body(matrix) for a float64 matrix with all its entries.
  template <class Body>
  void OnWhole(const Matrix<double>& a, const Body& body) const {
    const CsrMatrix<double> csr(a);
    body(sparse() ? DenseOrCsr(AnyCsrView(csr.view())) : Dense(a));
  }

  // body(matrix, the same numbers) for a matrix of every storage type.
  template <class Body>
  void OnEveryStorage(const Matrix<double>& a, const Body& body) const {
    OnStorage<double>(a, body);
    OnStorage<float>(a, body);
    OnStorage<Half>(a, body);
    OnStorage<BFloat16>(a, body);
  }

  template <typename T, class Body>
  void OnStorage(const Matrix<double>& a, const Body& body) const {
    const StoredMatrix<T> stored = test::Stored<T>(a);
    Matrix<double> same(a.rows(), a.cols());
    for (Index i = 0; i < a.rows(); ++i) {
      for (Index c = 0; c < a.cols(); ++c) {
        const bool kept = !sparse() || (i + 2 * c) % 3 == 0;
        same(i, c) = kept ? stored(i, c) : 0.0;
      }
    }
    if (sparse()) {
      const CsrMatrix<T> csr(same);
      body(DenseOrCsr(AnyCsrView(csr.view())), same);
    } else {
      body(DenseOrCsr(AnyMatrixView(stored.view())), same);
    }
  }
};

std::vector<std::tuple<SketchKind, Shape>> KindsAndShapes() {
  std::vector<std::tuple<SketchKind, Shape>> all;
  for (const SketchKind kind : AllKinds()) {
    all.emplace_back(kind, Shape::kDense);
    if (kind != SketchKind::kSrht) all.emplace_back(kind, Shape::kCsr);
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, SketchContractTest,
                         testing::ValuesIn(KindsAndShapes()),
                         [](const auto& test) {
                           return Word(std::get<0>(test.param)) +
                                  (std::get<1>(test.param) == Shape::kDense
                                       ? "Dense"
                                       : "Csr");
                         });

TEST_P(SketchContractTest, IsTheFormedSketchTimesTheMatrix) {
  // Odd widths, and more rows than a block and a slot have.
  for (const auto& [n, d, s] : std::vector<std::tuple<Index, Index, Index>>{
           {1, 1, 1}, {700, 19, 60}, {33, 1, 7}, {1, 7, 1}, {90, 5, 90}}) {
    const SketchPlan plan = Plan(s);
    const Matrix<double> formed = Formed(plan, n);
    OnEveryStorage(
        test::NormalMatrix(n, d, {11}),
        [&, d = d, n = n, s = s](const DenseOrCsr& a,
                                 const Matrix<double>& same) {
          const Matrix<double> got = Sketch(plan, a);
          ASSERT_EQ(got.rows(), s);
          ASSERT_EQ(got.cols(), d);
          for (Index c = 0; c < d; ++c) {
            for (Index i = 0; i < s; ++i) {
              long double sum = 0.0L;
              long double size = 0.0L;
              for (Index j = 0; j < n; ++j) {
                const long double term =
                    static_cast<long double>(formed(i, j)) * same(j, c);
                sum += term;
                size += std::abs(term);
              }
              // A sum of n terms in any order, entries of S rounded twice.
              EXPECT_NEAR(got(i, c), static_cast<double>(sum),
                          test::Gamma(n + 4) * (static_cast<double>(size) +
                                                EntryBound(same, c)));
            }
          }
        });
  }
}

TEST_P(SketchContractTest, AnyNumberOfWorkersGivesTheSameBits) {
  OnEveryStorage(test::NormalMatrix(9000, 37, {12}),
                 [&](const DenseOrCsr& a, const Matrix<double>&) {
                   const Matrix<double> one = Sketch(Plan(150), a, {}, 1);
                   for (const int workers : {2, 3, 4}) {
                     const Matrix<double> many =
                         Sketch(Plan(150), a, {}, workers);
                     EXPECT_TRUE(std::equal(one.data(), one.data() + one.size(),
                                            many.data()))
                         << workers;
                   }
                 });
}

TEST_P(SketchContractTest, AnotherSeedIsAnotherSketch) {
  const Matrix<double> one = Formed(Plan(20, 1), 64);
  const Matrix<double> other = Formed(Plan(20, 2), 64);
  EXPECT_FALSE(std::equal(one.data(), one.data() + one.size(), other.data()));
}

TEST_P(SketchContractTest, AColumnOfACompanionIsSketchedByTheSameS) {
  const Matrix<double> wide = test::NormalMatrix(5000, 40, {13});
  OnStorage<double>(wide, [&](const DenseOrCsr& a, const Matrix<double>& same) {
    const Matrix<double> together = Sketch(Plan(64), a);
    Matrix<double> last(5000, 1);
    for (Index i = 0; i < 5000; ++i) last(i, 0) = same(i, 39);
    const Matrix<double> alone = Sketch(Plan(64), Dense(last));
    for (Index i = 0; i < 64; ++i) {
      EXPECT_NEAR(together(i, 39), alone(i, 0),
                  test::Gamma(5000) * EntryBound(last, 0));
    }
  });
}

TEST_P(SketchContractTest, IsLinear) {
  // a, and a with 3 b added where a has an entry, as CSR has it there too.
  const Matrix<double> a = test::NormalMatrix(900, 7, {24});
  const Matrix<double> b = test::NormalMatrix(900, 7, {25});
  Matrix<double> sum = a;
  for (Index e = 0; e < sum.size(); ++e) sum.data()[e] += 3.0 * b.data()[e];
  std::vector<Matrix<double>> sketches;
  for (const Matrix<double>* matrix : {&a, &b, &std::as_const(sum)}) {
    OnStorage<double>(*matrix, [&](const DenseOrCsr& m, const Matrix<double>&) {
      sketches.push_back(Sketch(Plan(50), m));
    });
  }
  for (Index i = 0; i < 50; ++i) {
    for (Index c = 0; c < 7; ++c) {
      EXPECT_NEAR(
          sketches[2](i, c), sketches[0](i, c) + 3.0 * sketches[1](i, c),
          test::Gamma(3 * 900) * (EntryBound(a, c) + 3.0 * EntryBound(b, c)));
    }
  }
}

TEST_P(SketchContractTest, ExponentsScaleColumnsOfAnySize) {
  const Matrix<double> plain = test::NormalMatrix(300, 3, {14});
  Matrix<double> sized = plain;
  const std::vector<int> exponents{1010, -1010, 0};
  for (Index i = 0; i < 300; ++i) {
    for (Index c = 0; c < 3; ++c) {
      sized(i, c) =
          std::ldexp(plain(i, c), exponents[static_cast<std::size_t>(c)]);
    }
  }
  Matrix<double> expected;
  OnStorage<double>(plain, [&](const DenseOrCsr& a, const Matrix<double>&) {
    expected = Sketch(Plan(30), a);
  });
  OnStorage<double>(sized, [&](const DenseOrCsr& a, const Matrix<double>&) {
    const Matrix<double> got = Sketch(Plan(30), a, exponents);
    for (Index i = 0; i < got.rows(); ++i) {
      for (Index c = 0; c < 3; ++c) EXPECT_EQ(got(i, c), expected(i, c));
    }
  });
}

TEST_P(SketchContractTest, ZeroStaysZero) {
  OnEveryStorage(Matrix<double>(200, 5),
                 [&](const DenseOrCsr& a, const Matrix<double>&) {
                   const Matrix<double> sketch = Sketch(Plan(20), a);
                   for (Index e = 0; e < sketch.size(); ++e) {
                     EXPECT_EQ(sketch.data()[e], 0.0);
                   }
                 });
}

TEST_P(SketchContractTest, AStopAtAnyLookEndsIt) {
  OnStorage<
      float>(test::NormalMatrix(20000, 20, {15}), [&](const DenseOrCsr& a,
                                                      const Matrix<double>&) {
    const Workers workers(2);
    StopSource counting;
    ASSERT_TRUE(ApplySketch(Plan(80), a, {}, {workers, counting.token()}).ok());
    const std::int64_t looks = counting.token().looks();
    ASSERT_GT(looks, 5);
    for (std::int64_t at = 1; at < looks; at += 1 + looks / 7) {
      StopSource source;
      source.StopAtLook(at);
      const auto stopped =
          ApplySketch(Plan(80), a, {}, {workers, source.token()});
      EXPECT_EQ(stopped.status().code(), absl::StatusCode::kCancelled);
      // Either thread ends its block; each task that has not begun asks
      // once and does nothing; then the caller asks.
      EXPECT_LE(source.token().looks_after_stop(), kMostTasks + 3);
    }
  });
}

TEST_P(SketchContractTest, TheCostCoversTheMemory) {
  for (const auto& [n, d] : std::vector<std::pair<Index, Index>>{
           {1, 1}, {30000, 3}, {2000, 100}, {10000, 30}}) {
    OnStorage<Half>(
        test::NormalMatrix(n, d, {16}),
        [&, n = n, d = d](const DenseOrCsr& a, const Matrix<double>&) {
          const SketchPlan plan = SketchFor(a, {.kind = kind()}, {3});
          for (const int count : {1, 4}) {
            const Workers workers(count);
            const Cost cost = CostOfSketch(plan, n, d, Nonzeros(a), count);
            const test::AllocationPeak peak;
            ASSERT_TRUE(ApplySketch(plan, a, {}, {workers}).ok());
            EXPECT_LE(static_cast<double>(peak.bytes()), cost.bytes)
                << n << " x " << d << ", " << count;
            EXPECT_GT(cost.flops, 0.0);
          }
        });
  }
}

// Largest and smallest length that S gives to a unit vector of the columns of
// `basis`.
std::pair<double, double> Lengths(const SketchPlan& plan,
                                  const DenseOrCsr& basis) {
  const Matrix<double> sketch = Sketch(plan, basis);
  const Workers workers(1);
  const RowSource rows{
      sketch.rows(), sketch.cols(), [&](Index first, Block<double> out) {
        for (Index i = 0; i < out.rows; ++i) {
          std::copy_n(sketch.row(first + i), out.cols, out.row(i));
        }
      }};
  const auto r = TallSkinnyQr(rows, {}, ComputeContext{workers});
  const auto values = SingularValues(*r);
  return {values->back(), values->front()};
}

// sqrt(d / s) for Gaussian (Davidson, Szarek) and the same up to a factor for
// the others; 2 covers them and what is left to chance (fixed seeds).
double Distortion(Index d, Index s) {
  return 2.0 * std::sqrt(static_cast<double>(d) / static_cast<double>(s));
}

TEST_P(SketchContractTest, KeepsEveryLengthOfASubspace) {
  constexpr Index kColumns = 20;
  constexpr Index kSketchRows = 240;
  const Matrix<double> basis = test::RandomOrthogonal(4000, kColumns, {17});
  OnWhole(basis, [&](const DenseOrCsr& a) {
    const auto [least, most] = Lengths(Plan(kSketchRows), a);
    EXPECT_GE(least, 1.0 - Distortion(kColumns, kSketchRows));
    EXPECT_LE(most, 1.0 + Distortion(kColumns, kSketchRows));
  });
}

// Heavy rows: CountSketch keeps them with d^2 rows only.
TEST_P(SketchContractTest, KeepsEveryLengthOfACoherentSubspace) {
  constexpr Index kColumns = 20;
  const Index rows = kind() == SketchKind::kCountSketch
                         ? 4 * kColumns * kColumns
                         : 12 * kColumns;
  Matrix<double> identity(4000, kColumns);
  for (Index i = 0; i < kColumns; ++i) identity(i, i) = 1.0;
  // One heavy row among light ones.
  Matrix<double> heavy = test::RandomOrthogonal(4000, kColumns - 1, {18});
  Matrix<double> with_heavy(4000, kColumns);
  for (Index i = 0; i < 4000; ++i) {
    for (Index c = 0; c + 1 < kColumns; ++c) {
      with_heavy(i, c) = i == 77 ? 0.0 : heavy(i, c);
    }
  }
  with_heavy(77, kColumns - 1) = 1.0;
  for (const Matrix<double>* basis : {&identity, &with_heavy}) {
    OnWhole(*basis, [&](const DenseOrCsr& a) {
      const auto [least, most] = Lengths(Plan(rows), a);
      EXPECT_GE(least, 1.0 - Distortion(kColumns, 12 * kColumns));
      EXPECT_LE(most, 1.0 + Distortion(kColumns, 12 * kColumns));
    });
  }
}

}  // namespace
}  // namespace steelyard
