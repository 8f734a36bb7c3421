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
// Parts above this are cut side by side.
constexpr Index kSerialKeys = 8192;
// Parts up to this are looked at for groups.
constexpr Index kGroupedKeys = 2048;
// Groups lie apart when the cut explains this share of the spread along the
// direction. Normal numbers: 0.64; uniform ones: 0.75.
constexpr double kApart = 0.78;

Index PagesOf(Index keys) { return (keys + kPageKeys - 1) / kPageKeys; }

struct Part {
  Index begin;
  Index end;
  Index spare;  // pages it may have beyond full ones

  Index count() const { return end - begin; }
};

using Projection = std::pair<double, Index>;  // <k, v>, row

// What one thread needs to cut a part.
struct Workspace {
  explicit Workspace(Index d)
      : mean(static_cast<std::size_t>(d)), direction(mean), next(mean) {}
  std::vector<double> mean;
  std::vector<double> direction;
  std::vector<double> next;
  std::vector<Projection> projected;
};

class Splitter {
 public:
  Splitter(Block<const double> keys, const ComputeContext& context)
      : keys_(keys),
        context_(context),
        order_(static_cast<std::size_t>(keys.rows)),
        begins_page_(order_.size()) {
    std::iota(order_.begin(), order_.end(), Index{0});
  }

  PageOrder Split() {
    SplitSideBySide({0, keys_.rows, PagesOf(keys_.rows)});
    PageOrder result;
    for (Index place = 0; place < keys_.rows; ++place) {
      // After a stop parts may be uncut.
      const bool full =
          !result.begins.empty() && place - result.begins.back() == kPageKeys;
      if (begins_page_[static_cast<std::size_t>(place)] != 0 || full ||
          place == 0) {
        result.begins.push_back(place);
      }
    }
    result.begins.push_back(keys_.rows);
    result.order = std::move(order_);
    return result;
  }

 private:
  std::vector<Index>::iterator At(Index place) {
    return order_.begin() + place;
  }
  const double* Key(Index place) const {
    return keys_.row(order_[static_cast<std::size_t>(place)]);
  }

  // Recursion: halves of halves, at most log2(n / kSerialKeys) deep.
  void SplitSideBySide(const Part& part) {
    if (part.count() <= kSerialKeys) return SplitSerially(part);
    std::pair<Part, Part> parts;
    {
      Workspace work(keys_.cols);
      parts = Cut(part, &work);
    }
    context_.workers.ParallelFor(2, context_.stop, [&](Index side) {
      SplitSideBySide(side == 0 ? parts.first : parts.second);
    });
  }

  void SplitSerially(const Part& part) {
    Workspace work(keys_.cols);
    std::vector<Part> open{part};
    while (!open.empty() && !context_.stop.stop_requested()) {
      const Part next = open.back();
      open.pop_back();
      if (next.count() <= kPageKeys) {
        std::sort(At(next.begin), At(next.end));
        begins_page_[static_cast<std::size_t>(next.begin)] = 1;
        continue;
      }
      const auto [left, right] = Cut(next, &work);
      open.push_back(left);
      open.push_back(right);
    }
  }

  std::pair<Part, Part> Cut(const Part& part, Workspace* work) {
    // Full pages on the left, so that only the last page is short.
    Index middle = part.begin + (PagesOf(part.count()) + 1) / 2 * kPageKeys;
    if (FindDirection(part, work)) {
      Project(part, work);
      const bool grouped = part.count() <= kGroupedKeys && part.spare > 0;
      if (grouped) {
        std::sort(work->projected.begin(), work->projected.end());
        const Index gap = GroupsApart(work->projected);
        if (gap > 0) middle = part.begin + gap;
      } else {
        std::nth_element(work->projected.begin(),
                         work->projected.begin() + (middle - part.begin),
                         work->projected.end());
      }
      for (Index i = 0; i < part.count(); ++i) {
        *At(part.begin + i) =
            work->projected[static_cast<std::size_t>(i)].second;
      }
    }
    Part left{part.begin, middle, 0};
    Part right{middle, part.end, 0};
    const Index more =
        PagesOf(left.count()) + PagesOf(right.count()) - PagesOf(part.count());
    const Index spare = part.spare - more;
    left.spare = spare * left.count() / part.count();
    right.spare = spare - left.spare;
    return {left, right};
  }

  // How many of the sorted numbers lie in the lower of two groups; 0: there
  // are no two. The cut that explains most: max k (n - k) / n (mean difference)
  // squared.
  static Index GroupsApart(const std::vector<Projection>& sorted) {
    const auto n = static_cast<double>(sorted.size());
    double total = 0.0;
    for (const Projection& x : sorted) total += x.first;
    double square = 0.0;
    for (const Projection& x : sorted) {
      square += (x.first - total / n) * (x.first - total / n);
    }
    double below = 0.0;
    double most = 0.0;
    Index cut = 0;
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      below += sorted[i - 1].first;
      const auto k = static_cast<double>(i);
      const double difference = below / k - (total - below) / (n - k);
      const double explained = k * (n - k) / n * difference * difference;
      if (explained > most) {
        most = explained;
        cut = static_cast<Index>(i);
      }
    }
    return most >= kApart * square ? cut : 0;
  }

  // False when the sampled keys are all the same: any halves will do.
  bool FindDirection(const Part& part, Workspace* work) const {
    const Index d = keys_.cols;
    const Index step = std::max<Index>(1, part.count() / kSample);
    double* mean = work->mean.data();
    double* next = work->next.data();
    double terms = 0.0;
    std::fill_n(mean, d, 0.0);
    for (Index place = part.begin; place < part.end; place += step) {
      AddScaled(1.0, Key(place), mean, d);
      terms += 1.0;
    }
    Scale(1.0 / terms, mean, d);

    double farthest = 0.0;
    for (Index place = part.begin; place < part.end; place += step) {
      std::copy_n(Key(place), d, next);
      AddScaled(-1.0, mean, next, d);
      const double square = Dot(next, next, d);
      if (square > farthest) {
        farthest = square;
        work->direction = work->next;
      }
    }
    if (farthest == 0.0) return false;

    // v <- sum (k - mean) <k - mean, v>
    double* direction = work->direction.data();
    for (int power = 0; power < kPowerSteps; ++power) {
      Normalize(direction);
      const double shift = Dot(mean, direction, d);
      std::fill_n(next, d, 0.0);
      double sum = 0.0;
      for (Index place = part.begin; place < part.end; place += step) {
        const double t = Dot(Key(place), direction, d) - shift;
        AddScaled(t, Key(place), next, d);
        sum += t;
      }
      AddScaled(-sum, mean, next, d);
      if (!(Dot(next, next, d) > 0.0)) break;
      std::copy_n(next, d, direction);
    }
    Normalize(direction);
    return true;
  }

  void Normalize(double* v) const {
    const double square = Dot(v, v, keys_.cols);
    if (square > 0.0) Scale(1.0 / std::sqrt(square), v, keys_.cols);
  }

  void Project(const Part& part, Workspace* work) const {
    work->projected.clear();
    for (Index place = part.begin; place < part.end; ++place) {
      // A stop: zeros are as good as anything.
      const bool stopped = (place - part.begin) % kProjectionsBetweenLooks ==
                               kProjectionsBetweenLooks - 1 &&
                           context_.stop.stop_requested();
      if (stopped) {
        for (; place < part.end; ++place) {
          work->projected.push_back(
              {0.0, order_[static_cast<std::size_t>(place)]});
        }
        return;
      }
      work->projected.push_back(
          {Dot(Key(place), work->direction.data(), keys_.cols),
           order_[static_cast<std::size_t>(place)]});
    }
  }

  const Block<const double> keys_;
  const ComputeContext& context_;
  std::vector<Index> order_;
  std::vector<char> begins_page_;  // by place
};

}  // namespace

PageOrder OrderIntoPages(Block<const double> keys,
                         const ComputeContext& context) {
  return Splitter(keys, context).Split();
}

PageOrder NaturalPages(Index keys) {
  PageOrder result;
  result.order.resize(static_cast<std::size_t>(keys));
  std::iota(result.order.begin(), result.order.end(), Index{0});
  for (Index place = 0; place < keys; place += kPageKeys) {
    result.begins.push_back(place);
  }
  result.begins.push_back(keys);
  return result;
}

}  // namespace steelyard
