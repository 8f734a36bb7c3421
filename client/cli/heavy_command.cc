#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/input_tensors.h"
#include "client/cli/stopwatch.h"
#include "client/cli/text_table.h"
#include "client/cli/verdict_report.h"
#include "client/tensor_files/tensor_output.h"
#include "client/verify/heavy_check.h"

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
                    double epsilon, const std::vector<client::HeavyRow>& rows) {
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
    if (h != factored) reference.emplace(key_heads[h]);
    factored = h;
    result.heads.push_back(verify::CheckHeavyRows(
        key_heads[h], *reference, query_heads[g], epsilon,
        absl::MakeSpan(rows).subspan(g * per_head, per_head)));
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
                            {"normalizer", row.normalizer},
                            {"normalizer_exponent", row.normalizer_exponent},
                            {"captured_mass", row.captured_mass},
                            {"undefined", row.undefined}});
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

}  // namespace

ExitCode RunHeavy(const Arguments& arguments, const Console& console) {
  const auto access = Connect(arguments, console);
  if (!access.ok()) {
    return ReportBadArguments(access.status(), console);
  }
  const std::optional<std::string> output = arguments.Text("output");
  if (output) {
    if (auto good = tensor_files::CheckOutputPath(*output, 4); !good.ok()) {
      return ReportUsage(std::string(good.message()), console);
    }
  }
  const InputTensors inputs = LoadInputs(
      {arguments.positional(0), arguments.positional(1)}, *access, console);
  if (inputs.code != ExitCode::kOk) return inputs.code;
  const StoredTensor& keys = inputs.tensors[0];
  const StoredTensor& queries = inputs.tensors[1];

  Answer answer;
  answer.epsilon = arguments.Real("epsilon").value_or(0.01);
  const Stopwatch stopwatch;
  auto scores = access->client.QueryHeavy(
      ViewOf(keys), ViewOf(queries), {.epsilon = answer.epsilon}, access->call);
  if (!scores.ok()) {
    return ReportCallError(scores.status(), access->address, console);
  }
  answer.call_seconds = stopwatch.seconds();
  answer.scores = *std::move(scores);
  if (arguments.Has("verify")) {
    answer.verification =
        Verify(keys, queries, answer.epsilon, answer.scores.rows);
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
