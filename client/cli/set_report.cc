#include "client/cli/set_report.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/text_table.h"
#include "client/tensor_files/tensor_output.h"

namespace steelyard::cli {
namespace {

using tensor_files::NamedArray;

std::ptrdiff_t BoundsIn(const client::UniversalSet& set) {
  return std::count(set.upper_bounds.begin(), set.upper_bounds.end(), true);
}

// A random projection or a heuristic may have missed a member.
bool IsCertain(const client::UniversalSet& set) {
  return set.exact || BoundsIn(set) > 0 || !set.undecided.empty();
}

std::string Exactness(const client::UniversalSet& set) {
  if (set.exact) return "exact";
  if (!IsCertain(set)) return "not certain";
  if (const auto bounds = BoundsIn(set); bounds > 0) {
    return absl::StrCat(bounds, " by bounds");
  }
  return absl::StrCat(set.undecided.size(), " undecided");
}

void PrintMembers(const client::UniversalSet& set, int64_t show,
                  std::ostream& out) {
  std::vector<std::size_t> order(set.indices.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&set](std::size_t a, std::size_t b) {
                     return set.sensitivities[a] > set.sensitivities[b];
                   });
  const std::size_t count =
      std::min(order.size(), static_cast<std::size_t>(show));
  if (count == 0) return;
  out << "\nhead " << set.head
      << ": the keys that can get the largest scores\n";
  TextTable table({"key", "largest score"});
  for (std::size_t i = 0; i < count; ++i) {
    table.AddRow({absl::StrCat(set.indices[order[i]]),
                  Brief(set.sensitivities[order[i]])});
  }
  table.Print(out);
  if (count < order.size()) {
    out << "  (" << order.size() - count << " more; see --show, --json)\n";
  }
}

std::vector<NamedArray> ArraysOf(const client::UniversalSets& sets) {
  std::vector<int64_t> offsets = {0};
  std::vector<int64_t> indices;
  std::vector<double> scores;
  for (const client::UniversalSet& set : sets.heads) {
    indices.insert(indices.end(), set.indices.begin(), set.indices.end());
    scores.insert(scores.end(), set.sensitivities.begin(),
                  set.sensitivities.end());
    offsets.push_back(static_cast<int64_t>(indices.size()));
  }
  const auto count = static_cast<int64_t>(indices.size());
  const auto rows = static_cast<int64_t>(offsets.size());
  return {NamedArray::Integers("row_offsets", std::move(offsets), {rows}),
          NamedArray::Integers("indices", std::move(indices), {count}),
          NamedArray::Doubles("sensitivities", std::move(scores), {count})};
}

}  // namespace

nlohmann::ordered_json SetJson(const client::UniversalSet& set,
                               int64_t columns) {
  return {{"head", set.head},
          {"keys", set.keys},
          {"columns", columns},
          {"rank", set.rank},
          {"size", set.indices.size()},
          {"size_bound", set.size_bound},
          {"epsilon", set.epsilon},
          {"effective_epsilon", set.effective_epsilon},
          {"exact", set.exact},
          {"relative_score_error", set.relative_score_error},
          {"total_sensitivity", set.total_sensitivity},
          {"condition_estimate", set.condition_estimate},
          {"method", set.method},
          {"indices", set.indices},
          {"sensitivities", set.sensitivities},
          {"upper_bounds", set.upper_bounds},
          {"undecided", set.undecided},
          {"new_direction", set.new_direction}};
}

void PrintSets(const client::UniversalSets& sets, int64_t columns, int64_t show,
               std::ostream& out) {
  TextTable table({"head", "n", "d", "rank", "|U|", "bound", "outside at most",
                   "delta", "the set is"});
  for (const client::UniversalSet& set : sets.heads) {
    table.AddRow({absl::StrCat(set.head), absl::StrCat(set.keys),
                  absl::StrCat(columns), absl::StrCat(set.rank),
                  absl::StrCat(set.indices.size()), Brief(set.size_bound),
                  absl::StrFormat("%.6g", set.effective_epsilon),
                  Brief(set.relative_score_error), Exactness(set)});
  }
  table.Print(out);
  const auto uncertain =
      std::find_if_not(sets.heads.begin(), sets.heads.end(), IsCertain);
  if (uncertain == sets.heads.end()) {
    out << "No query gives a key outside U a score above 'outside at most'.\n";
  } else {
    out << "Not certain: " << uncertain->method << ".\n";
  }
  if (sets.heads.size() == 1) PrintMembers(sets.heads[0], show, out);
}

absl::Status WriteSets(const std::string& path,
                       const client::UniversalSets& sets) {
  const std::vector<NamedArray> arrays = ArraysOf(sets);
  if (path.ends_with(".npy")) {
    return tensor_files::WriteArrays(path, {arrays[1]});
  }
  return tensor_files::WriteArrays(path, arrays,
                                   {{"content", "steelyard universal-set"}});
}

}  // namespace steelyard::cli
