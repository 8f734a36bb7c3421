#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/input_tensors.h"
#include "client/cli/key_inputs.h"
#include "client/cli/set_options.h"
#include "client/cli/stopwatch.h"
#include "client/cli/text_table.h"
#include "client/cli/verdict_report.h"
#include "client/tensor_files/tensor_output.h"
#include "client/verify/heavy_check.h"
#include "client/verify/score_check.h"

namespace steelyard::cli {
namespace {

using tensor_files::NamedArray;
using tensor_files::StoredTensor;

struct Verification {
  std::vector<verify::HeavyCheck> heads;  // Of the queries.
  verify::Verdict whole;                  // Of the answer as a whole.
  verify::Verdict all;
  double seconds = 0.0;
};

struct Answer {
  double epsilon = 0.0;
  client::HeavyScores scores;
  double call_seconds = 0.0;
  std::optional<Verification> verification;
};

Verification Verify(const StoredTensor& keys, const StoredTensor& queries,
                    const client::HeavyOptions& options,
                    const std::vector<client::HeavyRow>& rows) {
  const client::ScoreFunction function =
      options.function.value_or(client::Power{});
  const auto* power = std::get_if<client::Power>(&function);
  const bool plain = power != nullptr && power->p == 2.0 && !options.causal;
  const Stopwatch stopwatch;
  Verification result;
  const std::vector<verify::Rows> key_heads = verify::HeadsOf(keys);
  const std::vector<verify::Rows> query_heads = verify::HeadsOf(queries);
  const auto per_head = static_cast<std::size_t>(query_heads[0].rows());
  const bool complete = rows.size() == per_head * query_heads.size();
  result.whole.Add("one row a query", complete, absl::StrCat(rows.size()));
  result.all.Append(result.whole);
  std::optional<verify::LeverageReference> reference;
  std::size_t factored = key_heads.size();
  for (std::size_t g = 0; complete && g < query_heads.size(); ++g) {
    const std::size_t h = g * key_heads.size() / query_heads.size();
    verify::Rows head = key_heads[h];
    if (h < options.lengths.size() && options.lengths[h] <= head.rows()) {
      head = head.First(options.lengths[h]);
    }
    const auto part = absl::MakeSpan(rows).subspan(g * per_head, per_head);
    if (plain) {
      if (h != factored) reference.emplace(head);
      factored = h;
      result.heads.push_back(verify::CheckHeavyRows(
          head, *reference, query_heads[g], options.epsilon, part));
    } else {
      result.heads.push_back(verify::CheckScores(head, query_heads[g], function,
                                                 options.positions,
                                                 options.epsilon, part));
    }
    result.all.Append(result.heads.back().verdict);
  }
  result.seconds = stopwatch.seconds();
  return result;
}

void PrintJson(const Answer& answer, std::ostream& out) {
  nlohmann::ordered_json json = {{"epsilon", answer.epsilon}};
  json["rows"] = nlohmann::ordered_json::array();
  for (std::size_t r = 0; r < answer.scores.rows.size(); ++r) {
    const client::HeavyRow& row = answer.scores.rows[r];
    json["rows"].push_back({{"row", r},
                            {"indices", row.indices},
                            {"scores", row.scores},
                            {"scores_upper", row.scores_upper},
                            {"normalizer", row.normalizer},
                            {"normalizer_exponent", row.normalizer_exponent},
                            {"captured_mass", row.captured_mass},
                            {"undefined", row.undefined},
                            {"keys_scored", row.keys_scored}});
  }
  json["queue_seconds"] = answer.scores.queue_time.count();
  json["compute_seconds"] = answer.scores.compute_time.count();
  json["call_seconds"] = answer.call_seconds;
  if (answer.verification) {
    auto heads = nlohmann::ordered_json::array();
    for (std::size_t g = 0; g < answer.verification->heads.size(); ++g) {
      const verify::HeavyCheck& check = answer.verification->heads[g];
      heads.push_back({{"head", g},
                       {"held", check.verdict.held()},
                       {"expected", check.expected},
                       {"returned", check.returned},
                       {"undecided", check.undecided},
                       {"largest_score_error", check.largest_score_error},
                       {"rules", RulesJson(check.verdict)}});
    }
    json["verification"] = {{"held", answer.verification->all.held()},
                            {"seconds", answer.verification->seconds},
                            {"heads", heads},
                            {"rules", RulesJson(answer.verification->whole)}};
  }
  out << json.dump(2) << "\n";
}

// "17:0.41 3:0.2 ...", the largest first.
std::string LargestScores(const client::HeavyRow& row) {
  constexpr std::size_t kMost = 5;
  if (row.undefined) return "undefined: no key meets this query";
  std::vector<std::size_t> order(row.indices.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&row](std::size_t a, std::size_t b) {
                     return row.scores[a] > row.scores[b];
                   });
  std::string text;
  for (std::size_t i = 0; i < std::min(kMost, order.size()); ++i) {
    absl::StrAppend(&text, i > 0 ? " " : "", row.indices[order[i]], ":",
                    Brief(row.scores[order[i]]));
  }
  if (order.size() > kMost) absl::StrAppend(&text, " ...");
  return text;
}

void PrintText(const Answer& answer, int64_t show, std::ostream& out) {
  const std::vector<client::HeavyRow>& rows = answer.scores.rows;
  std::size_t found = 0;
  for (const client::HeavyRow& row : rows) found += row.indices.size();
  out << found << " scores >= " << Brief(answer.epsilon) << " in "
      << rows.size() << " rows; answered in "
      << BriefSeconds(answer.call_seconds) << ", of which "
      << BriefSeconds(answer.scores.compute_time.count()) << " compute.\n";
  const std::size_t count =
      std::min(rows.size(), static_cast<std::size_t>(show));
  if (count > 0) {
    TextTable table({"row", "keys", "captured", "key:score, largest first"});
    for (std::size_t r = 0; r < count; ++r) {
      table.AddRow({absl::StrCat(r), absl::StrCat(rows[r].indices.size()),
                    Brief(rows[r].captured_mass), LargestScores(rows[r])});
    }
    table.Print(out);
    if (count < rows.size()) {
      out << "  (" << rows.size() - count << " more; see --show, --json)\n";
    }
  }
  if (!answer.verification) return;
  const Verification& verification = *answer.verification;
  out << "\n";
  const bool several = verification.heads.size() > 1;
  PrintRules(verification.whole, several, "", out);
  for (std::size_t g = 0; g < verification.heads.size(); ++g) {
    PrintRules(verification.heads[g].verdict, several,
               several ? absl::StrCat("head ", g, "  ") : "", out);
  }
  PrintOutcome(verification.all, verification.seconds, out);
}

absl::Status WriteScores(const std::string& path,
                         const std::vector<client::HeavyRow>& rows) {
  std::vector<int64_t> offsets = {0};
  std::vector<int64_t> indices;
  std::vector<double> scores;
  std::vector<double> captured;
  for (const client::HeavyRow& row : rows) {
    indices.insert(indices.end(), row.indices.begin(), row.indices.end());
    scores.insert(scores.end(), row.scores.begin(), row.scores.end());
    captured.push_back(row.captured_mass);
    offsets.push_back(static_cast<int64_t>(indices.size()));
  }
  const auto count = static_cast<int64_t>(indices.size());
  const auto row_count = static_cast<int64_t>(rows.size());
  return tensor_files::WriteArrays(
      path,
      {NamedArray::Integers("row_offsets", std::move(offsets), {row_count + 1}),
       NamedArray::Integers("indices", std::move(indices), {count}),
       NamedArray::Doubles("scores", std::move(scores), {count}),
       NamedArray::Doubles("captured_mass", std::move(captured), {row_count})},
      {{"content", "steelyard heavy"}});
}

absl::StatusOr<client::HeavyOptions> OptionsOf(const Arguments& arguments) {
  client::HeavyOptions options;
  options.epsilon = arguments.Real("epsilon").value_or(0.01);
  auto function = ScoreFunctionOf(arguments);
  auto positions = IntegersOf(arguments, "positions");
  auto lengths = IntegersOf(arguments, "lengths");
  for (const absl::Status& status :
       {function.status(), positions.status(), lengths.status()}) {
    if (!status.ok()) return status;
  }
  options.function = *std::move(function);
  options.positions = *std::move(positions);
  options.lengths = *std::move(lengths);
  options.causal = arguments.Has("causal");
  if (!options.positions.empty() && !options.causal) {
    return absl::InvalidArgumentError("--positions goes with --causal");
  }
  const bool has_set = arguments.Has("set");
  if (has_set && arguments.Has("matrix")) {
    return absl::InvalidArgumentError(
        "--set and --matrix are two sets of keys");
  }
  if (has_set && arguments.positionals().size() != 1) {
    return absl::InvalidArgumentError("'heavy' with --set takes QUERIES alone");
  }
  if (has_set && options.causal && options.positions.empty()) {
    return absl::InvalidArgumentError("--causal with --set needs --positions");
  }
  if (has_set && arguments.Has("verify")) {
    return absl::InvalidArgumentError(
        "--verify needs KEYS; it does not go with --set");
  }
  return options;
}

// With --set there are no keys to load.
absl::StatusOr<KeyNames> NamesOf(const Arguments& arguments) {
  if (!arguments.Has("set")) return KeyNamesOf(arguments, /*queries=*/true);
  return KeyNames{.stored = std::nullopt,
                  .file = std::nullopt,
                  .beside = arguments.positionals()};
}

// The last query is at the last key.
void DefaultPositions(const std::vector<int64_t>& keys,
                      const StoredTensor& queries,
                      client::HeavyOptions* options) {
  if (!options->causal || !options->positions.empty()) return;
  if (keys.size() < 2 || queries.shape().size() < 2) return;
  const int64_t n = keys[keys.size() - 2];
  const int64_t m = queries.shape()[queries.shape().size() - 2];
  for (int64_t i = 0; i < m; ++i) options->positions.push_back(n - m + i);
}

absl::StatusOr<client::HeavyScores> Ask(const Arguments& arguments,
                                        const ServerAccess& access,
                                        const KeyInputs& inputs,
                                        const client::HeavyOptions& options) {
  const client::TensorView queries = ViewOf(inputs.beside[0]);
  const bool streamed = arguments.Has("stream");
  if (const auto name = arguments.Text("set")) {
    const client::KeptSet set(*name);
    return streamed
               ? access.client.StreamQueryHeavy(set, queries, options,
                                                access.call)
               : access.client.QueryHeavy(set, queries, options, access.call);
  }
  const client::DenseSource keys = inputs.source();
  return streamed
             ? access.client.StreamQueryHeavy(keys, queries, options,
                                              access.call)
             : access.client.QueryHeavy(keys, queries, options, access.call);
}

}  // namespace

ExitCode RunHeavy(const Arguments& arguments, const Console& console) {
  auto options = OptionsOf(arguments);
  const auto names = NamesOf(arguments);
  const auto access = Connect(arguments, console);
  for (const absl::Status& status :
       {options.status(), names.status(), access.status()}) {
    if (!status.ok()) return ReportBadArguments(status, console);
  }
  const std::optional<std::string> output = arguments.Text("output");
  if (output) {
    if (auto good = tensor_files::CheckOutputPath(*output, 4); !good.ok()) {
      return ReportUsage(std::string(good.message()), console);
    }
  }
  const KeyInputs inputs = LoadKeyInputs(*names, *access, console);
  if (inputs.code != ExitCode::kOk) return inputs.code;
  const StoredTensor& queries = inputs.beside[0];
  if (!arguments.Has("set")) DefaultPositions(inputs.shape, queries, &*options);

  Answer answer;
  answer.epsilon = options->epsilon;
  const Stopwatch stopwatch;
  auto scores = Ask(arguments, *access, inputs, *options);
  if (!scores.ok()) {
    return ReportCallError(scores.status(), access->address, console);
  }
  answer.call_seconds = stopwatch.seconds();
  answer.scores = *std::move(scores);
  if (arguments.Has("verify")) {
    answer.verification =
        Verify(*inputs.keys, queries, *options, answer.scores.rows);
  }
  if (arguments.Has("json")) {
    PrintJson(answer, console.out);
  } else {
    PrintText(answer, arguments.Integer("show").value_or(10), console.out);
  }
  if (output) {
    if (auto written = WriteScores(*output, answer.scores.rows);
        !written.ok()) {
      return ReportError(ExitCode::kFile, std::string(written.message()),
                         console);
    }
  }
  return answer.verification ? CodeOf(answer.verification->all) : ExitCode::kOk;
}

}  // namespace steelyard::cli
