#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/input_tensors.h"
#include "client/cli/stopwatch.h"
#include "client/cli/text_table.h"
#include "client/cli/verdict_report.h"
#include "client/tensor_files/tensor_output.h"
#include "client/verify/universal_set_check.h"

namespace steelyard::cli {
namespace {

using tensor_files::NamedArray;
using tensor_files::StoredTensor;

struct Verification {
  std::vector<verify::UniversalSetCheck> heads;
  verify::Verdict whole;  // Of the answer as a whole.
  verify::Verdict all;
  double seconds = 0.0;
};

struct Answer {
  client::UniversalSets sets;
  int64_t columns = 0;
  double call_seconds = 0.0;
  std::optional<Verification> verification;
};

absl::StatusOr<client::UniversalSetOptions> OptionsOf(
    const Arguments& arguments) {
  client::UniversalSetOptions options;
  options.epsilon = arguments.Real("epsilon");
  options.top_m = arguments.Integer("top-m");
  if (!options.epsilon && !options.top_m) {
    return absl::InvalidArgumentError(
        "'universal-set' needs --epsilon=X, in (0, 1], or --top-m=M");
  }
  return options;
}

Verification Verify(const StoredTensor& keys,
                    const client::UniversalSetOptions& options,
                    const std::vector<client::UniversalSet>& sets) {
  const Stopwatch stopwatch;
  Verification result;
  const std::vector<verify::Rows> heads = verify::HeadsOf(keys);
  result.whole.Add("one set a head", heads.size() == sets.size(),
                   absl::StrCat(sets.size(), " of ", heads.size()));
  result.all.Append(result.whole);
  for (std::size_t h = 0; h < std::min(heads.size(), sets.size()); ++h) {
    const verify::LeverageReference reference(heads[h]);
    result.heads.push_back(
        verify::CheckUniversalSet(heads[h], reference, options, sets[h]));
    result.all.Append(result.heads.back().verdict);
  }
  result.seconds = stopwatch.seconds();
  return result;
}

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
          {"undecided", set.undecided},
          {"new_direction", set.new_direction}};
}

nlohmann::ordered_json VerificationJson(const Verification& verification) {
  auto heads = nlohmann::ordered_json::array();
  for (std::size_t h = 0; h < verification.heads.size(); ++h) {
    const verify::UniversalSetCheck& check = verification.heads[h];
    heads.push_back({{"head", h},
                     {"held", check.verdict.held()},
                     {"largest_excluded", check.largest_excluded},
                     {"largest_excluded_key", check.largest_excluded_key},
                     {"largest_member_error", check.largest_member_error},
                     {"attaining_queries", check.attaining_queries},
                     {"rules", RulesJson(check.verdict)}});
  }
  return {{"held", verification.all.held()},
          {"seconds", verification.seconds},
          {"heads", heads},
          {"rules", RulesJson(verification.whole)}};
}

void PrintJson(const Answer& answer, std::ostream& out) {
  nlohmann::ordered_json json;
  json["sets"] = nlohmann::ordered_json::array();
  for (const client::UniversalSet& set : answer.sets.heads) {
    json["sets"].push_back(SetJson(set, answer.columns));
  }
  json["queue_seconds"] = answer.sets.queue_time.count();
  json["compute_seconds"] = answer.sets.compute_time.count();
  json["call_seconds"] = answer.call_seconds;
  if (answer.verification) {
    json["verification"] = VerificationJson(*answer.verification);
  }
  out << json.dump(2) << "\n";
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

void PrintText(const Answer& answer, int64_t show, std::ostream& out) {
  TextTable table({"head", "n", "d", "rank", "|U|", "bound", "outside at most",
                   "delta", "the set is"});
  for (const client::UniversalSet& set : answer.sets.heads) {
    table.AddRow({absl::StrCat(set.head), absl::StrCat(set.keys),
                  absl::StrCat(answer.columns), absl::StrCat(set.rank),
                  absl::StrCat(set.indices.size()), Brief(set.size_bound),
                  absl::StrFormat("%.6g", set.effective_epsilon),
                  Brief(set.relative_score_error),
                  set.exact
                      ? "exact"
                      : absl::StrCat(set.undecided.size(), " undecided")});
  }
  table.Print(out);
  out << "No query gives a key outside U a score above 'outside at most'.\n"
      << "Answered in " << BriefSeconds(answer.call_seconds) << ", of which "
      << BriefSeconds(answer.sets.compute_time.count()) << " compute.\n";
  if (answer.sets.heads.size() == 1) {
    PrintMembers(answer.sets.heads[0], show, out);
  }
  if (!answer.verification) return;
  const Verification& verification = *answer.verification;
  out << "\n";
  const bool several = verification.heads.size() > 1;
  PrintRules(verification.whole, several, "", out);
  for (std::size_t h = 0; h < verification.heads.size(); ++h) {
    PrintRules(verification.heads[h].verdict, several,
               several ? absl::StrCat("head ", h, "  ") : "", out);
  }
  PrintOutcome(verification.all, verification.seconds, out);
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

// One head in a .npy file: its indices alone.
absl::Status WriteSets(const std::string& path,
                       const client::UniversalSets& sets) {
  const std::vector<NamedArray> arrays = ArraysOf(sets);
  if (path.ends_with(".npy")) {
    return tensor_files::WriteArrays(path, {arrays[1]});
  }
  return tensor_files::WriteArrays(path, arrays,
                                   {{"content", "steelyard universal-set"}});
}

// The heads of the keys, when --output can hold their answer.
absl::Status CheckOutput(const Arguments& arguments, const StoredTensor& keys) {
  const std::optional<std::string> path = arguments.Text("output");
  if (!path) return absl::OkStatus();
  const bool one = keys.shape().size() < 3 || keys.shape()[0] == 1;
  return tensor_files::CheckOutputPath(*path, one ? 1 : 3);
}

}  // namespace

ExitCode RunUniversalSet(const Arguments& arguments, const Console& console) {
  const auto options = OptionsOf(arguments);
  const auto access = Connect(arguments, console);
  for (const absl::Status& status : {options.status(), access.status()}) {
    if (!status.ok()) {
      return ReportBadArguments(status, console);
    }
  }
  const InputTensors inputs =
      LoadInputs({arguments.positional(0)}, *access, console);
  if (inputs.code != ExitCode::kOk) return inputs.code;
  const StoredTensor& keys = inputs.tensors[0];
  if (auto good = CheckOutput(arguments, keys); !good.ok()) {
    return ReportUsage(std::string(good.message()), console);
  }

  Answer answer;
  const Stopwatch stopwatch;
  auto sets =
      access->client.FindUniversalSet(ViewOf(keys), *options, access->call);
  if (!sets.ok()) {
    return ReportCallError(sets.status(), access->address, console);
  }
  answer.call_seconds = stopwatch.seconds();
  answer.sets = *std::move(sets);
  answer.columns = keys.shape().back();
  if (arguments.Has("verify")) {
    answer.verification = Verify(keys, *options, answer.sets.heads);
  }
  if (arguments.Has("json")) {
    PrintJson(answer, console.out);
  } else {
    PrintText(answer, arguments.Integer("show").value_or(10), console.out);
  }
  if (const auto path = arguments.Text("output")) {
    if (auto written = WriteSets(*path, answer.sets); !written.ok()) {
      return ReportError(ExitCode::kFile, std::string(written.message()),
                         console);
    }
  }
  return answer.verification ? CodeOf(answer.verification->all) : ExitCode::kOk;
}

}  // namespace steelyard::cli
