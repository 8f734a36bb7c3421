#include "softmax/page_scan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "softmax/page_kernel.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Rows whose scores rounding leaves to this are exact ones.
constexpr double kExact = 0x1p-30;
// Beyond this share (a half) of the pages that a query sees, it opens them all.
constexpr Index kMostOfPages = 2;
// What may be spent on undecided keys: as many pages as the proof took, or this
// part of those the query sees, if that is more.
constexpr Index kPartForUndecided = 16;
constexpr Index kPagesBetweenLooks = 8;

// ln(e^a + e^b).
double LogAdd(double a, double b) {
  const double high = std::max(a, b);
  if (high == -kInfinity) return high;
  return high + std::log1p(std::exp(std::min(a, b) - high));
}

struct Candidate {
  Index label;
  double logit;
};

// What is known of one query.
struct Query {
  double error = 0.0;  // of every logit
  Index last = std::numeric_limits<Index>::max();
  // sum e^(logit - shift) of the keys looked at.
  double sum = 0.0;
  double shift = -kInfinity;
  // Z >= e^log_low; a key of a logit below `threshold` scores below epsilon.
  double log_low = -kInfinity;
  double threshold = -kInfinity;
  std::vector<Candidate> found;
  std::size_t compact_at = 64;
  Index keys_looked = 0;
  Index pages_opened = 0;
  Index pages_seen = 0;
  bool begun = false;
  bool proven = false;
  Index budget = 0;  // pages, once proven
};

class Scan {
 public:
  Scan(const SoftmaxPages& pages, double epsilon, PageBounds bounds,
       const QueryRange& range)
      : pages_(pages),
        epsilon_(epsilon),
        log_epsilon_(std::log(epsilon)),
        bounds_(std::move(bounds)),
        // Exponentials, their arguments, sums over a page, over pages, and
        // rescaled sums: each key's term passes through fewer roundings.
        sum_error_(4.0 * kUnitRoundoff *
                   static_cast<double>(pages.pages() + kPageKeys + 1024)),
        queries_(static_cast<std::size_t>(range.count)),
        logits_(range.count, kPageKeys),
        first_of_page_(static_cast<std::size_t>(pages.pages()) + 1) {
    for (Index i = 0; i < range.count; ++i) {
      Query& query = At(i);
      query.error = bounds_.logit_errors[static_cast<std::size_t>(i)];
      if (!range.positions.empty()) {
        query.last = range.positions[static_cast<std::size_t>(range.first + i)];
      }
      const double* upper = bounds_.upper.row(i);
      for (Index p = 0; p < pages.pages(); ++p) {
        if (upper[p] > -kInfinity) ++query.pages_seen;
      }
    }
  }

  void Run(const StopToken& stop) {
    while (!stop.stop_requested()) {
      wanted_.clear();
      for (Index i = 0; i < Count(); ++i) Choose(i);
      if (wanted_.empty()) return;
      Open(stop);
    }
  }

  void Answer(Index i, HeavyRow* row) const;

 private:
  Index Count() const { return static_cast<Index>(queries_.size()); }
  Query& At(Index i) { return queries_[static_cast<std::size_t>(i)]; }
  const Query& At(Index i) const {
    return queries_[static_cast<std::size_t>(i)];
  }

  // ln of the smallest and largest that Z can be.
  double LogLow(Index i) const;
  double LogHigh(Index i) const;
  // Some key found may or may not reach epsilon.
  bool HasUndecided(Index i) const;
  // Which pages query i opens next; none: it is finished.
  void Choose(Index i);
  // The `count` closed pages of the largest bounds, of those that reach
  // `least`.
  void Want(Index i, double least, Index count);
  void Open(const StopToken& stop);
  void OpenPage(Index page, const Index* queries, Index count);
  void Take(Index i, Index page, const double* logits);

  const SoftmaxPages& pages_;
  const double epsilon_;
  const double log_epsilon_;
  PageBounds bounds_;
  const double sum_error_;
  std::vector<Query> queries_;
  Matrix<double> logits_;
  std::vector<std::pair<Index, Index>> wanted_;  // page, query
  std::vector<std::size_t> first_of_page_;
  std::vector<std::size_t> next_of_page_;
  std::vector<Index> by_page_;
  std::vector<const double*> rows_;
  std::vector<Index> chosen_;
};

double Scan::LogLow(Index i) const {
  const Query& query = At(i);
  const double looked = query.shift + std::log(query.sum) - query.error;
  // Of the closed pages: opened ones have mass -infinity.
  const double* mass = bounds_.log_mass.row(i);
  const double most = LargestOf(mass, pages_.pages());
  const double closed =
      most == -kInfinity
          ? most
          : most + std::log(SumOfExponentials(mass, pages_.pages(), most));
  return LogAdd(query.sum > 0.0 ? looked : -kInfinity, closed) - sum_error_;
}

double Scan::LogHigh(Index i) const {
  const Query& query = At(i);
  const double looked = query.shift + std::log(query.sum) + query.error;
  return LogAdd(query.sum > 0.0 ? looked : -kInfinity,
                LogOfClosedMass(pages_, bounds_, i, query.log_low)) +
         sum_error_;
}

bool Scan::HasUndecided(Index i) const {
  const Query& query = At(i);
  const double log_high = LogHigh(i);
  for (const Candidate& key : query.found) {
    if (key.logit + query.error >= query.threshold &&
        key.logit - query.error < log_high + log_epsilon_) {
      return true;
    }
  }
  return false;
}

void Scan::Want(Index i, double least, Index count) {
  const double* upper = bounds_.upper.row(i);
  chosen_.clear();
  for (Index p = 0; p < pages_.pages(); ++p) {
    if (upper[p] > -kInfinity && upper[p] >= least) chosen_.push_back(p);
  }
  if (static_cast<Index>(chosen_.size()) > count) {
    std::nth_element(chosen_.begin(), chosen_.begin() + count, chosen_.end(),
                     [&](Index a, Index b) {
                       return upper[a] != upper[b] ? upper[a] > upper[b]
                                                   : a < b;
                     });
    chosen_.resize(static_cast<std::size_t>(count));
  }
  for (const Index p : chosen_) wanted_.push_back({p, i});
}

void Scan::Choose(Index i) {
  Query& query = At(i);
  const Index closed = query.pages_seen - query.pages_opened;
  query.log_low = LogLow(i);
  query.threshold = query.log_low + log_epsilon_;
  if (closed == 0) return;
  if (!query.begun) {  // The best page says most about Z.
    query.begun = true;
    return Want(i, -kInfinity, 1);
  }
  const auto opens_most = [&](Index more) {
    return kMostOfPages * (query.pages_opened + more) > query.pages_seen;
  };
  if (!query.proven) {
    const double* upper = bounds_.upper.row(i);
    const Index needed = std::count_if(
        upper, upper + pages_.pages(),
        [&](double x) { return x > -kInfinity && x >= query.threshold; });
    if (needed > 0) {
      if (opens_most(needed)) return Want(i, -kInfinity, closed);
      return Want(i, query.threshold, std::max<Index>(2, query.pages_opened));
    }
    query.proven = true;
    query.budget =
        std::max(query.pages_opened, query.pages_seen / kPartForUndecided);
    if (opens_most(query.budget)) query.budget = closed;
  }
  if (query.budget == 0 || !HasUndecided(i)) return;
  const Index more =
      std::min(query.budget, std::max<Index>(2, query.pages_opened / 2));
  query.budget -= more;
  Want(i, -kInfinity, more);
}

void Scan::Open(const StopToken& stop) {
  // Queries by page, both ascending: counting sort.
  std::fill(first_of_page_.begin(), first_of_page_.end(), 0);
  for (const auto& [page, query] : wanted_) {
    ++first_of_page_[static_cast<std::size_t>(page) + 1];
  }
  std::partial_sum(first_of_page_.begin(), first_of_page_.end(),
                   first_of_page_.begin());
  by_page_.resize(wanted_.size());
  next_of_page_.assign(first_of_page_.begin(), first_of_page_.end() - 1);
  for (const auto& [page, query] : wanted_) {
    by_page_[next_of_page_[static_cast<std::size_t>(page)]++] = query;
  }
  Index opened = 0;
  for (std::size_t page = 0; page + 1 < first_of_page_.size(); ++page) {
    const std::size_t begin = first_of_page_[page];
    const std::size_t count = first_of_page_[page + 1] - begin;
    if (count == 0) continue;
    if (++opened % kPagesBetweenLooks == 0 && stop.stop_requested()) return;
    OpenPage(static_cast<Index>(page), by_page_.data() + begin,
             static_cast<Index>(count));
  }
}

void Scan::OpenPage(Index page, const Index* queries, Index count) {
  rows_.clear();
  for (Index k = 0; k < count; ++k) {
    rows_.push_back(bounds_.scaled.row(queries[k]));
  }
  if (pages_.wide.empty()) {
    PageLogits(rows_.data(), count, pages_.narrow.row(page), pages_.columns,
               logits_.data());
  } else {
    PageLogits(rows_.data(), count, pages_.wide.row(page), pages_.columns,
               logits_.data());
  }
  for (Index k = 0; k < count; ++k) Take(queries[k], page, logits_.row(k));
}

void Scan::Take(Index i, Index page, const double* logits) {
  Query& query = At(i);
  const Index keys = query.last == std::numeric_limits<Index>::max()
                         ? pages_.Count(page)
                         : pages_.CountUpTo(page, query.last);
  bounds_.upper(i, page) = -kInfinity;
  bounds_.log_mass(i, page) = -kInfinity;
  ++query.pages_opened;
  query.keys_looked += keys;
  const double largest = LargestOf(logits, keys);
  if (largest > query.shift) {
    query.sum *= std::exp(query.shift - largest);
    query.shift = largest;
  }
  query.sum += SumOfExponentials(logits, keys, query.shift);
  // Z >= e^(shift - error), whatever else there is.
  query.threshold = std::max(
      query.threshold, query.shift - query.error - sum_error_ + log_epsilon_);
  const double least = query.threshold - query.error;
  if (largest < least) return;
  const Index* labels =
      pages_.labels.data() + pages_.begins[static_cast<std::size_t>(page)];
  std::uint32_t reach = AtLeast(logits, least);
  if (keys < kPageKeys) reach &= (std::uint32_t{1} << keys) - 1;
  for (; reach != 0; reach &= reach - 1) {
    const int l = std::countr_zero(reach);
    query.found.push_back({labels[l], logits[l]});
  }
  if (query.found.size() < query.compact_at) return;
  query.found.erase(
      std::remove_if(query.found.begin(), query.found.end(),
                     [&](const Candidate& key) { return key.logit < least; }),
      query.found.end());
  query.compact_at = std::max<std::size_t>(64, 2 * query.found.size());
}

// Z of e^log as mantissa and power of two, not above it.
void SetNormalizer(double log, HeavyRow* row) {
  const double plain = std::exp(log - 4.0 * kUnitRoundoff * std::abs(log));
  if (std::isnormal(plain)) {
    row->normalizer = plain * (1.0 - 4.0 * kUnitRoundoff);
    return;
  }
  constexpr double kLn2 = 0.693147180559945309417;
  constexpr auto kMost = static_cast<double>(std::numeric_limits<int>::max());
  const double exponent = std::floor(log / kLn2);
  if (exponent < -kMost) return;  // 0 is a lower end
  row->normalizer_exponent = static_cast<int>(std::min(exponent, kMost));
  // In [1, 2) up to what rounding takes from so large a logarithm.
  const double rest = log - exponent * kLn2;
  row->normalizer = exponent > kMost
                        ? 1.0
                        : std::exp(std::clamp(rest, 0.0, kLn2) -
                                   8.0 * kUnitRoundoff * std::abs(log));
}

void Scan::Answer(Index i, HeavyRow* row) const {
  const Query& query = At(i);
  row->keys_scored = query.keys_looked;
  row->undefined = query.pages_seen == 0;
  if (row->undefined) return;
  const double log_low = query.log_low;
  const double log_high = LogHigh(i);
  SetNormalizer(log_low, row);
  const bool exact = query.pages_opened == query.pages_seen &&
                     2.0 * (query.error + sum_error_) <= kExact;
  std::vector<Candidate> found = query.found;
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.label < b.label; });
  for (const Candidate& key : found) {
    const double upper =
        std::min(1.0, std::exp(key.logit + query.error - log_low));
    if (upper < epsilon_) continue;
    const double lower =
        std::min(1.0, std::exp(key.logit - query.error - log_high));
    const double middle =
        std::min(1.0, std::exp(key.logit - 0.5 * (log_low + log_high)));
    row->indices.push_back(key.label);
    row->scores.push_back(exact ? middle : lower);
    if (!exact) row->scores_upper.push_back(upper);
    row->captured_mass += row->scores.back();
  }
  row->captured_mass = std::min(1.0, row->captured_mass);
}

}  // namespace

void ScanPages(const SoftmaxPages& pages, double scale, double epsilon,
               const QueryRange& range, const StopToken& stop, HeavyRow* rows) {
  PageBounds bounds = BoundPages(pages, scale, range, stop);
  if (stop.stop_requested()) return;
  Scan scan(pages, epsilon, std::move(bounds), range);
  scan.Run(stop);
  if (stop.stop_requested()) return;
  for (Index i = 0; i < range.count; ++i) scan.Answer(i, rows + i);
}

}  // namespace steelyard
