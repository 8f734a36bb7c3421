// One line on a terminal that says where a long solve stands.
#pragma once

#include <ostream>
#include <string>

#include "client/cli/stopwatch.h"
#include "steelyard/client/regression.h"

namespace steelyard::cli {

class ProgressBar {
 public:
  // Writes to `err` only when it is a terminal.
  ProgressBar(std::ostream& err, bool is_terminal)
      : err_(err), is_terminal_(is_terminal) {}
  ~ProgressBar() { Clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Shown from the first half second on, so that quick answers do not flicker.
  void Show(const client::Progress& progress);

  // Takes the line away.
  void Clear();

  // "[#####.....]  50 %  iterate 12  residual 1e-05  3.2 s left".
  static std::string Line(const client::Progress& progress);

 private:
  std::ostream& err_;
  bool is_terminal_;
  bool shown_ = false;
  Stopwatch stopwatch_;
};

}  // namespace steelyard::cli
