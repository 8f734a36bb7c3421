#include "client/cli/progress_bar.h"

#include <chrono>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace steelyard::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

client::Progress Halfway() {
  client::Progress progress;
  progress.phase = "iterate";
  progress.iteration = 12;
  progress.relative_residual = 1e-5;
  progress.fraction = 0.5;
  progress.elapsed = client::Seconds(3.0);
  progress.time_left = client::Seconds(2.0);
  return progress;
}

TEST(ProgressBarTest, ALineSaysWhereItStands) {
  EXPECT_EQ(ProgressBar::Line(Halfway()),
            "[############............]  50 %  iterate 12  residual 1e-05  "
            "3 s, 2 s left");
  client::Progress bare;
  bare.phase = "queue";
  bare.attempt = 2;
  EXPECT_EQ(ProgressBar::Line(bare), "queue  0 us  (attempt 2)");
  bare.fraction = 7.0;
  EXPECT_THAT(ProgressBar::Line(bare), HasSubstr("100 %"));
}

TEST(ProgressBarTest, QuietWithoutATerminalAndAtFirst) {
  std::ostringstream pipe;
  std::ostringstream terminal;
  ProgressBar off(pipe, false);
  ProgressBar on(terminal, true);
  on.Show(Halfway());
  EXPECT_THAT(terminal.str(), IsEmpty());
  std::this_thread::sleep_for(std::chrono::milliseconds(550));
  off.Show(Halfway());
  on.Show(Halfway());
  EXPECT_THAT(pipe.str(), IsEmpty());
  EXPECT_THAT(terminal.str(), HasSubstr("iterate 12"));
  on.Clear();
  EXPECT_THAT(terminal.str(), EndsWith("\r\x1b[K"));
}

}  // namespace
}  // namespace steelyard::cli
