#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/key_inputs.h"
#include "client/cli/set_options.h"
#include "client/cli/set_report.h"
#include "client/cli/stopwatch.h"
#include "client/cli/text_table.h"
#include "client/cli/verdict_report.h"
#include "client/tensor_files/tensor_output.h"
#include "client/verify/query_check.h"
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
  auto function = ScoreFunctionOf(arguments);
  auto keep = KeepingOf(arguments);
  auto lengths = IntegersOf(arguments, "lengths");
  for (const absl::Status& status :
       {function.status(), keep.status(), lengths.status()}) {
    if (!status.ok()) return status;
  }
  if (*function) options.function = **std::move(function);
  options.keep = *std::move(keep);
  options.lengths = *std::move(lengths);
  options.causal = arguments.Has("causal");
  options.seed = arguments.Unsigned("seed");
  if (const auto lambda = arguments.Real("ridge")) {
    options.ridge = client::RidgeVariant{
        *lambda, arguments.Real("ridge-ratio").value_or(1.0)};
  } else if (arguments.Has("ridge-ratio")) {
    return absl::InvalidArgumentError("--ridge-ratio goes with --ridge");
  }
  const std::string selection =
      arguments.Text("selection").value_or("automatic");
  options.selection = selection == "direct" ? client::Selection::kDirect
                      : selection == "fast" ? client::Selection::kFast
                      : selection == "jl"
                          ? client::Selection::kJohnsonLindenstrauss
                          : client::Selection::kAutomatic;
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
  const auto* power = std::get_if<client::Power>(&options.function);
  const bool plain =
      power != nullptr && power->p == 2.0 && !options.causal &&
      !options.ridge &&
      options.selection != client::Selection::kJohnsonLindenstrauss;
  for (std::size_t h = 0; h < std::min(heads.size(), sets.size()); ++h) {
    verify::Rows head = heads[h];
    if (h < options.lengths.size() && options.lengths[h] <= head.rows()) {
      head = head.First(options.lengths[h]);
    }
    const verify::LeverageReference reference(head);
    if (plain) {
      result.heads.push_back(
          verify::CheckUniversalSet(head, reference, options, sets[h]));
    } else {
      result.heads.push_back(
          verify::CheckByQueries(head, reference, options, sets[h]));
    }
    result.all.Append(result.heads.back().verdict);
  }
  result.seconds = stopwatch.seconds();
  return result;
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

void PrintText(const Answer& answer, int64_t show, std::ostream& out) {
  PrintSets(answer.sets, answer.columns, show, out);
  out << "Answered in " << BriefSeconds(answer.call_seconds) << ", of which "
      << BriefSeconds(answer.sets.compute_time.count()) << " compute.\n";
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

// Whether --output can hold the answer of that many heads.
absl::Status CheckOutput(const Arguments& arguments,
                         const std::vector<int64_t>& shape) {
  const std::optional<std::string> path = arguments.Text("output");
  if (!path) return absl::OkStatus();
  const bool one = shape.size() < 3 || shape[0] == 1;
  return tensor_files::CheckOutputPath(*path, one ? 1 : 3);
}

}  // namespace

ExitCode RunUniversalSet(const Arguments& arguments, const Console& console) {
  const auto options = OptionsOf(arguments);
  const auto names = KeyNamesOf(arguments, /*queries=*/false);
  const auto access = Connect(arguments, console);
  for (const absl::Status& status :
       {options.status(), names.status(), access.status()}) {
    if (!status.ok()) {
      return ReportBadArguments(status, console);
    }
  }
  const KeyInputs inputs = LoadKeyInputs(*names, *access, console);
  if (inputs.code != ExitCode::kOk) return inputs.code;
  if (auto good = CheckOutput(arguments, inputs.shape); !good.ok()) {
    return ReportUsage(std::string(good.message()), console);
  }

  Answer answer;
  const Stopwatch stopwatch;
  auto sets =
      access->client.FindUniversalSet(inputs.source(), *options, access->call);
  if (!sets.ok()) {
    return ReportCallError(sets.status(), access->address, console);
  }
  answer.call_seconds = stopwatch.seconds();
  answer.sets = *std::move(sets);
  answer.columns = inputs.shape.back();
  if (arguments.Has("verify")) {
    answer.verification = Verify(*inputs.keys, *options, answer.sets.heads);
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
