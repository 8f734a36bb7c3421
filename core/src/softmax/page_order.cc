#include "softmax/page_order.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "linalg/blas.h"
#include "softmax/page_kernel.h"

namespace steelyard {
namespace {

// Keys that a direction is taken from.
constexpr Index kSample = 64;
constexpr int kPowerSteps = 2;
constexpr Index kProjectionsBetweenLooks = 4096;

struct Range {
  Index begin;
  Index end;
};

class Splitter {
 public:
  Splitter(Block<const double> keys, const StopToken &stop)
      : keys_(keys),
        stop_(stop),
        order_(static_cast<std::size_t>(keys.rows)),
        projected_(order_.size()),
        mean_(static_cast<std::size_t>(keys.cols)),
        direction_(mean_.size()),
        next_(mean_.size()) {
    std::iota(order_.begin(), order_.end(), Index{0});
  }

  std::vector<Index> Split() {
    std::vector<Range> open{{0, keys_.rows}};
    while (!open.empty() && !stop_.stop_requested()) {
      const Range range = open.back();
      open.pop_back();
      const Index pages = (range.end - range.begin + kPageKeys - 1) / kPageKeys;
      if (pages <= 1) {
        std::sort(At(range.begin), At(range.end));
        continue;
      }
      // Full pages on the left, so that only the last page of all is short.
      const Index middle = range.begin + (pages + 1) / 2 * kPageKeys;
      if (FindDirection(range)) Partition(range, middle);
      open.push_back({range.begin, middle});
      open.push_back({middle, range.end});
    }
    return std::move(order_);
  }

 private:
  std::vector<Index>::iterator At(Index place) {
    return order_.begin() + place;
  }
  const double *Key(Index place) const {
    return keys_.row(order_[static_cast<std::size_t>(place)]);
  }

  // <k - mean, v>
  double Centred(Index place, const std::vector<double> &v,
                 double mean_product) const {
    return Dot(Key(place), v.data(), keys_.cols) - mean_product;
  }

  // False when the sampled keys are all the same: any halves will do.
  bool FindDirection(Range range) {
    const Index d = keys_.cols;
    const Index count = range.end - range.begin;
    const Index step = std::max<Index>(1, count / kSample);
    double terms = 0.0;
    std::fill(mean_.begin(), mean_.end(), 0.0);
    for (Index place = range.begin; place < range.end; place += step) {
      AddScaled(1.0, Key(place), mean_.data(), d);
      terms += 1.0;
    }
    Scale(1.0 / terms, mean_.data(), d);

    double farthest = 0.0;
    for (Index place = range.begin; place < range.end; place += step) {
      std::copy_n(Key(place), d, next_.data());
      AddScaled(-1.0, mean_.data(), next_.data(), d);
      const double square = Dot(next_.data(), next_.data(), d);
      if (square > farthest) {
        farthest = square;
        direction_ = next_;
      }
    }
    if (farthest == 0.0) return false;

    // v <- sum (k - mean) <k - mean, v>
    for (int power = 0; power < kPowerSteps; ++power) {
      Normalize(&direction_);
      const double shift = Dot(mean_.data(), direction_.data(), d);
      std::fill(next_.begin(), next_.end(), 0.0);
      double sum = 0.0;
      for (Index place = range.begin; place < range.end; place += step) {
        const double t = Centred(place, direction_, shift);
        AddScaled(t, Key(place), next_.data(), d);
        sum += t;
      }
      AddScaled(-sum, mean_.data(), next_.data(), d);
      if (!(Dot(next_.data(), next_.data(), d) > 0.0)) break;
      direction_ = next_;
    }
    Normalize(&direction_);
    return true;
  }

  void Normalize(std::vector<double> *v) const {
    const double square = Dot(v->data(), v->data(), keys_.cols);
    if (square > 0.0) Scale(1.0 / std::sqrt(square), v->data(), keys_.cols);
  }

  // The keys below the median along the direction come first.
  void Partition(Range range, Index middle) {
    for (Index place = range.begin; place < range.end; ++place) {
      if (place % kProjectionsBetweenLooks == 0 && stop_.stop_requested()) {
        return;
      }
      const Index row = order_[static_cast<std::size_t>(place)];
      projected_[static_cast<std::size_t>(row)] =
          Dot(keys_.row(row), direction_.data(), keys_.cols);
    }
    std::nth_element(At(range.begin), At(middle), At(range.end),
                     [&](Index a, Index b) {
                       const double x = projected_[static_cast<std::size_t>(a)];
                       const double y = projected_[static_cast<std::size_t>(b)];
                       return x != y ? x < y : a < b;
                     });
  }

  const Block<const double> keys_;
  const StopToken &stop_;
  std::vector<Index> order_;
  std::vector<double> projected_;  // by row
  std::vector<double> mean_;
  std::vector<double> direction_;
  std::vector<double> next_;
};

}  // namespace

std::vector<Index> OrderIntoPages(Block<const double> keys,
                                  const StopToken &stop) {
  return Splitter(keys, stop).Split();
}

}  // namespace steelyard
