// OpenBLAS called from four threads gives the bits of one: Debian's serial
// build has no lock around its buffers and returned wrong numbers in 14 % of
// small dsyrk calls from two threads.
#include <cstring>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "linalg/blas.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

constexpr int kThreads = 4;
constexpr int kCalls = 200;

// What one call of each routine makes of inputs that depend on `call` alone.
std::vector<double> Results(int call) {
  const Index n = 40 + call % 30;
  const Matrix<double> a =
      test::NormalMatrix(n, n, Seed{static_cast<std::uint64_t>(call)});
  Matrix<double> gram(n, n), product(n, n), solved = a;
  SyrkUpper(1.0, Transposed(BlockOf(a)), 0.0, BlockOf(gram));
  Gemm(1.0, BlockOf(a), BlockOf(a), 0.0, BlockOf(product));
  Matrix<double> factor = gram;
  for (Index i = 0; i < n; ++i) factor(i, i) += static_cast<double>(n);
  EXPECT_EQ(PotrfUpper(BlockOf(factor)), -1);
  TrsmUpper(Side::kRight, BlockOf(factor), BlockOf(solved));
  std::vector<double> all;
  for (const Matrix<double>* m : {&gram, &product, &factor, &solved}) {
    all.insert(all.end(), m->data(), m->data() + m->size());
  }
  return all;
}

TEST(BlasThreadsTest, FourThreadsGetTheBitsOfOne) {
  std::vector<std::vector<double>> alone;
  for (int call = 0; call < kCalls; ++call) alone.push_back(Results(call));
  std::vector<int> wrong(kThreads, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; ++i) {
        const int call = (i * 7 + t * 50) % kCalls;
        const std::vector<double> now = Results(call);
        const std::vector<double>& then = alone[static_cast<std::size_t>(call)];
        if (std::memcmp(now.data(), then.data(),
                        then.size() * sizeof(double)) != 0) {
          ++wrong[static_cast<std::size_t>(t)];
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(kThreads, 0));
}

}  // namespace
}  // namespace steelyard
