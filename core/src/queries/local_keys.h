// Which keys are near a query: a window in one dimension, or a Manhattan ball
// on a grid.
//
// SOURCE  NUMERICS N8; [KBKW25] section 5.
#pragma once

#include <vector>

#include "steelyard/attend.h"

namespace steelyard {

class LocalKeys {
 public:
  // Of n keys; neither window nor grid: no key is local.
  LocalKeys(Index n, const AttendOptions& options);

  bool any() const { return window_.has_value() || grid_.has_value(); }

  // Is `key`, in [0, n), near a query at `position`, which may be anything?
  bool IsLocal(Index position, Index key) const;

  // Every key near one of the positions, ascending, each once.
  std::vector<Index> Union(const std::vector<Index>& positions) const;

  // Positions that differ by this much still share most of their local keys.
  Index span() const;

  // The most local keys that one query has.
  double most() const;

 private:
  void AddWindow(Index position, std::vector<Index>* keys) const;
  void AddBall(Index position, std::vector<Index>* keys) const;

  Index n_;
  std::optional<Index> window_;
  std::optional<LocalGrid> grid_;
};

}  // namespace steelyard
