#include "sensitivity/certificate.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "sensitivity/tall_products.h"
#include "tests/core/sensitivity/power_keys.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/power_oracle.h"

namespace steelyard {
namespace {

using test::PowerKeys;
using test::PreparedKeys;
using test::Tail;

class SensitivityCertificateTest : public testing::TestWithParam<double> {};

// Whatever y and z are, the ends must hold the truth between them.
TEST_P(SensitivityCertificateTest, AnyQueryAndAnyDualHoldTheTruth) {
  const double p = GetParam();
  const Matrix<double> keys = PowerKeys(40, 2, 1e3, Tail::kHeavy, 1);
  const PreparedKeys prepared = test::Prepare(keys.view());
  const PowerCertificate certificate(prepared.white, p);
  const auto wide = test::Widened(keys.view());
  std::vector<double> t(40);
  for (Index j = 0; j < 40; j += 7) {
    const auto truth =
        static_cast<double>(test::BestQuery(wide, j, p).sensitivity);
    const Matrix<double> y = test::NormalMatrix(2, 5, Seed{10});
    const Matrix<double> z = test::NormalMatrix(5, 40, Seed{11});
    for (Index k = 0; k < 5; ++k) {
      const std::vector<double> query = {y(0, k), y(1, k)};
      MultiplyTall(prepared.white.x, query.data(), {}, t.data());
      const auto witness = certificate.WitnessOf(query.data(), t.data());
      // The oracle's 1e-9.
      EXPECT_LE(
          certificate.LowerEnd(witness, j, t[static_cast<std::size_t>(j)]),
          truth * (1.0 + 1e-8));
      std::vector<double> dual(z.row(k), z.row(k) + 40);
      EXPECT_GE(certificate.UpperEnd(j, {}, dual.data()), truth);
    }
  }
}

TEST_P(SensitivityCertificateTest, AlmostNoDualIsAsGoodAsTheGenericBound) {
  // z = 0 is corrected to the z of least 2-norm: tau^(p/2) n^max(0, p/2 - 1).
  const double p = GetParam();
  const Matrix<double> keys = PowerKeys(40, 3, 10.0, Tail::kNormal, 2);
  const PreparedKeys prepared = test::Prepare(keys.view());
  const PowerCertificate certificate(prepared.white, p);
  for (Index j = 0; j < 40; ++j) {
    const double generic =
        std::pow(certificate.longest() *
                     prepared.white.norms[static_cast<std::size_t>(j)],
                 p);
    std::vector<double> dual(40, 0.0);
    EXPECT_LE(certificate.UpperEnd(j, {}, dual.data()), std::min(1.0, generic));
  }
}

TEST(CertificateTransferTest, IsNearOneForWellConditionedKeys) {
  const Matrix<double> keys = PowerKeys(500, 4, 10.0, Tail::kNormal, 3);
  const PreparedKeys prepared = test::Prepare(keys.view());
  for (const double p : {1.0, 3.0, 64.0}) {
    const PowerCertificate certificate(prepared.white, p);
    EXPECT_GE(certificate.transfer(), 1.0);
    // 4 p times the error of rows, 2 (d + 2) u ||R||_F ||R^-1||_F, times
    // n^|1/2-1/p| sqrt d: some 1e-10 at p = 64.
    EXPECT_LE(certificate.transfer(), 1.0 + 1e-9);
  }
}

INSTANTIATE_TEST_SUITE_P(Powers, SensitivityCertificateTest,
                         testing::Values(1.0, 1.3, 2.5, 4.0, 64.0));

}  // namespace
}  // namespace steelyard
