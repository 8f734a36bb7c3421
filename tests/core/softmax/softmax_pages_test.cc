#include "softmax/softmax_pages.h"

#include <cmath>

#include "softmax/page_kernel.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

Index LabelAt(const SoftmaxPages& pages, Index page, Index l) {
  const Index begin = pages.begins[static_cast<std::size_t>(page)];
  return pages.labels[static_cast<std::size_t>(begin + l)];
}

SoftmaxPages Make(const AnyMatrixView& keys, absl::Span<const Index> labels,
                  const SoftmaxIndexOptions& options, int workers = 2) {
  const Workers threads(workers);
  auto pages = MakeSoftmaxPages(keys, labels, options, {threads});
  EXPECT_TRUE(pages.ok()) << pages.status();
  return *std::move(pages);
}

// Coordinate c of the key at place l of a page, as it was given.
double KeyAt(const SoftmaxPages& pages, Index page, Index l, Index c) {
  const Index at = c * kPageKeys + l;
  if (pages.wide.empty()) return pages.narrow(page, at);
  return std::ldexp(pages.wide(page, at),
                    pages.exponents[static_cast<std::size_t>(c)]);
}

template <typename T>
class SoftmaxPagesTest : public testing::Test {};
using StorageTypes = testing::Types<Half, BFloat16, float, double>;
TYPED_TEST_SUITE(SoftmaxPagesTest, StorageTypes);

TYPED_TEST(SoftmaxPagesTest, HoldEveryKeyExactlyAndBoundIt) {
  const auto keys =
      test::Stored<TypeParam>(test::NormalMatrix(150, 5, Seed{1}));
  for (const Index queries : {1, 1000}) {
    const SoftmaxPages pages =
        Make(keys.view(), {}, {.expected_queries = queries});
    ASSERT_GE(pages.pages(), 5);
    ASSERT_LE(pages.pages(), 10);
    ASSERT_EQ(pages.begins.back(), 150);
    for (Index p = 0; p < pages.pages(); ++p) {
      ASSERT_GE(pages.Count(p), 1);
      ASSERT_LE(pages.Count(p), kPageKeys);
      for (Index l = 0; l < pages.Count(p); ++l) {
        const Index j = LabelAt(pages, p, l);
        long double distance = 0.0L;
        long double norm = 0.0L;
        for (Index c = 0; c < 5; ++c) {
          EXPECT_EQ(KeyAt(pages, p, l, c), keys(j, c));
          const double scaled =
              pages.exponents.empty()
                  ? keys(j, c)
                  : std::ldexp(keys(j, c),
                               -pages.exponents[static_cast<std::size_t>(c)]);
          EXPECT_LE(pages.lows(p, c), scaled);
          EXPECT_GE(pages.highs(p, c), scaled);
          const long double t = scaled - pages.means(p, c);
          distance += t * t;
          norm += static_cast<long double>(scaled) * scaled;
        }
        EXPECT_LE(std::sqrt(distance),
                  pages.radii[static_cast<std::size_t>(p)]);
        EXPECT_LE(std::sqrt(norm), pages.largest_norm);
      }
    }
  }
}

// <v, k - mean>^2 averages to at most spread radius^2 for every unit v: for
// random ones, and for those towards each key.
TEST(SoftmaxPagesShapeTest, SpreadBoundsTheVarianceInEveryDirection) {
  Matrix<double> keys = test::NormalMatrix(90, 4, Seed{5});
  for (Index j = 0; j < 90; ++j) keys(j, 0) *= j < 64 ? 40.0 : 1e-9;
  const SoftmaxPages pages = Make(keys.view(), {}, {});
  const Matrix<double> random = test::NormalMatrix(50, 4, Seed{6});
  for (Index p = 0; p < pages.pages(); ++p) {
    const auto at = static_cast<std::size_t>(p);
    const auto centred = [&](Index l, Index c) {
      return pages.wide(p, c * kPageKeys + l) - pages.means(p, c);
    };
    for (Index v = 0; v < 50 + pages.Count(p); ++v) {
      double norm = 0.0;
      double sum = 0.0;
      std::vector<double> direction;
      for (Index c = 0; c < 4; ++c) {
        direction.push_back(v < 50 ? random(v, c) : centred(v - 50, c));
        norm += direction.back() * direction.back();
      }
      for (Index l = 0; l < pages.Count(p); ++l) {
        double t = 0.0;
        for (Index c = 0; c < 4; ++c) {
          t += centred(l, c) * direction[static_cast<std::size_t>(c)];
        }
        sum += t * t;
      }
      EXPECT_LE(sum / static_cast<double>(pages.Count(p)),
                norm * pages.spreads[at] * pages.radii[at] * pages.radii[at]);
    }
    EXPECT_LE(pages.spreads[at], 1.0 + 0x1p-10);
  }
}

TEST(SoftmaxPagesShapeTest, LabelsAscendInAPageAndCountWhatAQuerySees) {
  const Matrix<double> keys = test::NormalMatrix(70, 2, Seed{2});
  std::vector<Index> labels;
  for (Index j = 0; j < 70; ++j) labels.push_back(3 * j + 5);
  const SoftmaxPages pages = Make(keys.view(), labels, {.causal = true});
  Index seen = 0;
  for (Index p = 0; p < pages.pages(); ++p) {
    EXPECT_EQ(pages.CountUpTo(p, 4), 0);
    EXPECT_EQ(pages.CountUpTo(p, 1000), pages.Count(p));
    seen += pages.CountUpTo(p, 5 + 3 * 41);
  }
  EXPECT_EQ(seen, 42);
}

TEST(SoftmaxPagesShapeTest, DoNotDependOnTheWorkers) {
  const Matrix<double> keys = test::NormalMatrix(40000, 2, Seed{3});
  const SoftmaxPages one = Make(keys.view(), {}, {}, 1);
  const SoftmaxPages four = Make(keys.view(), {}, {}, 4);
  EXPECT_EQ(one.labels, four.labels);
  EXPECT_EQ(one.radii, four.radii);
  EXPECT_EQ(one.largest_norm, four.largest_norm);
}

TEST(SoftmaxPagesShapeTest, StopWhenAsked) {
  const Matrix<double> keys = test::NormalMatrix(400, 2, Seed{4});
  const Workers workers(2);
  StopSource source;
  source.RequestStop(StopReason::kCancelled);
  const auto pages =
      MakeSoftmaxPages(keys.view(), {}, {}, {workers, source.token()});
  EXPECT_EQ(pages.status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard
