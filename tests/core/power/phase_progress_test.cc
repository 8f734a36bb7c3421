#include "power/phase_progress.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace steelyard::test {
namespace {

TEST(PhaseProgressTest, FractionCoversTheCallAndNeverFalls) {
  std::vector<double> fractions;
  std::vector<std::string> phases;
  std::vector<int> iterations;
  const Workers workers(1);
  const ComputeContext context{
      workers, {}, [&](const ProgressUpdate& update) {
        fractions.push_back(update.fraction.value_or(-1.0));
        phases.emplace_back(update.phase);
        iterations.push_back(update.iteration);
      }};
  PhaseProgress progress(context);
  progress.Enter("scan", 0.0, 0.25);
  progress.Sink()({.phase = "scan", .fraction = 0.5});
  progress.Enter("iterate", 0.25, 1.0);
  progress.Report("iterate", 0.5);
  progress.Report("verify", 0.25);  // an earlier part: the fraction stays
  progress.Report("verify", 1.0, 1e-9);
  EXPECT_EQ(fractions,
            (std::vector<double>{0.0, 0.125, 0.25, 0.625, 0.625, 1.0}));
  EXPECT_EQ(phases, (std::vector<std::string>{"scan", "scan", "iterate",
                                              "iterate", "verify", "verify"}));
  EXPECT_EQ(iterations, (std::vector<int>{0, 0, 0, 1, 0, 1}));
}

TEST(PhaseProgressTest, NobodyListensNothingIsSent) {
  const Workers workers(1);
  const ComputeContext context{workers};
  PhaseProgress progress(context);
  EXPECT_FALSE(progress.Sink());
}

}  // namespace
}  // namespace steelyard::test
