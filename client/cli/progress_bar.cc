#include "client/cli/progress_bar.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/text_table.h"

namespace steelyard::cli {
namespace {

constexpr double kQuietSeconds = 0.5;
constexpr double kCells = 24;

}  // namespace

std::string ProgressBar::Line(const client::Progress& progress) {
  std::string line;
  if (progress.fraction) {
    const double fraction = std::clamp(*progress.fraction, 0.0, 1.0);
    const auto full = static_cast<std::size_t>(std::floor(fraction * kCells));
    const std::size_t empty = static_cast<std::size_t>(kCells) - full;
    line = absl::StrFormat("[%s%s] %3.0f %%  ", std::string(full, '#'),
                           std::string(empty, '.'), 100 * fraction);
  }
  absl::StrAppend(&line, progress.phase);
  if (progress.iteration > 0) absl::StrAppend(&line, " ", progress.iteration);
  if (progress.relative_residual) {
    absl::StrAppend(&line, "  residual ", Brief(*progress.relative_residual));
  }
  absl::StrAppend(&line, "  ", BriefSeconds(progress.elapsed.count()));
  if (progress.time_left) {
    absl::StrAppend(&line, ", ", BriefSeconds(progress.time_left->count()),
                    " left");
  }
  if (progress.attempt > 1) {
    absl::StrAppend(&line, "  (attempt ", progress.attempt, ")");
  }
  return line;
}

void ProgressBar::Show(const client::Progress& progress) {
  if (!is_terminal_ || stopwatch_.seconds() < kQuietSeconds) return;
  // Back to the first column, and away with what stands behind.
  err_ << "\r" << Line(progress) << "\x1b[K" << std::flush;
  shown_ = true;
}

void ProgressBar::Clear() {
  if (shown_) err_ << "\r\x1b[K" << std::flush;
  shown_ = false;
}

}  // namespace steelyard::cli
