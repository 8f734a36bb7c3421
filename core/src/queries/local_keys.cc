#include "queries/local_keys.h"

#include <algorithm>

namespace steelyard {
namespace {

constexpr Index kSmallestSpan = 64;

// Beyond it no position is near anything: so sums of positions do not overflow.
constexpr Index kFarthest = Index{1} << 60;

bool IsFar(Index position) {
  return position < -kFarthest || position > kFarthest;
}

}  // namespace

LocalKeys::LocalKeys(Index n, const AttendOptions& options)
    : n_(n), window_(options.window), grid_(options.grid) {
  if (window_.has_value()) window_ = std::min(*window_, kFarthest);
}

bool LocalKeys::IsLocal(Index position, Index key) const {
  if (window_.has_value()) {
    return !IsFar(position) && std::abs(position - key) <= *window_;
  }
  if (!grid_.has_value() || IsFar(position)) return false;
  const Index cells = grid_->height * grid_->width;
  const Index query_cell = position - grid_->first;
  const Index key_cell = key - grid_->first;
  if (query_cell < 0 || query_cell >= cells || key_cell < 0 ||
      key_cell >= cells) {
    return false;
  }
  const Index width = grid_->width;
  return std::abs(query_cell / width - key_cell / width) +
             std::abs(query_cell % width - key_cell % width) <=
         grid_->radius;
}

void LocalKeys::AddWindow(Index position, std::vector<Index>* keys) const {
  if (IsFar(position)) return;
  // What the last position has added is there already.
  Index key = std::max<Index>(0, position - *window_);
  if (!keys->empty()) key = std::max(key, keys->back() + 1);
  const Index last = std::min(n_ - 1, position + *window_);
  for (; key <= last; ++key) keys->push_back(key);
}

void LocalKeys::AddBall(Index position, std::vector<Index>* keys) const {
  if (IsFar(position)) return;
  const Index width = grid_->width;
  const Index cell = position - grid_->first;
  if (cell < 0 || cell >= grid_->height * width) return;
  const Index row = cell / width;
  const Index column = cell % width;
  const Index radius = std::min(grid_->radius, grid_->height + width);
  const Index top = std::max<Index>(0, row - radius);
  const Index bottom = std::min(grid_->height - 1, row + radius);
  for (Index r = top; r <= bottom; ++r) {
    const Index reach = radius - std::abs(r - row);
    const Index left = std::max<Index>(0, column - reach);
    const Index right = std::min(width - 1, column + reach);
    for (Index c = left; c <= right; ++c) {
      const Index key = grid_->first + r * width + c;
      if (key < n_) keys->push_back(key);
    }
  }
}

std::vector<Index> LocalKeys::Union(const std::vector<Index>& positions) const {
  std::vector<Index> ordered = positions;
  std::sort(ordered.begin(), ordered.end());
  std::vector<Index> keys;
  for (const Index position : ordered) {
    if (window_.has_value()) AddWindow(position, &keys);
    if (grid_.has_value()) AddBall(position, &keys);
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

Index LocalKeys::span() const {
  return std::max(kSmallestSpan, window_.value_or(0));
}

double LocalKeys::most() const {
  const auto n = static_cast<double>(n_);
  if (window_.has_value()) {
    return std::min(n, 2.0 * static_cast<double>(*window_) + 1.0);
  }
  if (!grid_.has_value()) return 0.0;
  const auto radius = static_cast<double>(grid_->radius);
  return std::min(n, 2.0 * radius * (radius + 1.0) + 1.0);
}

}  // namespace steelyard
