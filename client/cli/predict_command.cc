#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/entries_text.h"
#include "client/cli/kernel_flags.h"
#include "client/cli/predict_inputs.h"
#include "client/cli/progress_bar.h"
#include "client/cli/stopwatch.h"
#include "client/cli/text_table.h"
#include "client/cli/verdict_report.h"
#include "client/tensor_files/tensor_output.h"
#include "client/verify/prediction_check.h"

namespace steelyard::cli {
namespace {

using tensor_files::NamedArray;

struct Answer {
  client::Prediction prediction;
  double call_seconds = 0.0;
  std::optional<verify::PredictionCheck> check;  // --verify
  double verify_seconds = 0.0;
};

std::vector<double> Flat(const client::RowMajorMatrix& matrix) {
  return {matrix.data(), matrix.data() + matrix.size()};
}

void PrintJson(const Answer& answer, std::ostream& out) {
  const client::Prediction& prediction = answer.prediction;
  nlohmann::ordered_json json = {
      {"y_shape", {prediction.y.rows(), prediction.y.cols()}},
      {"y", Flat(prediction.y)},
      {"y_exponents", prediction.y_exponents},
      {"call_seconds", answer.call_seconds}};
  if (answer.check) {
    json["verification"] = {{"held", answer.check->verdict.held()},
                            {"seconds", answer.verify_seconds},
                            {"largest_error", answer.check->largest_error},
                            {"rules", RulesJson(answer.check->verdict)}};
  }
  out << json.dump(2) << "\n";
}

void PrintText(const Answer& answer, int64_t show, std::ostream& out) {
  const client::Prediction& prediction = answer.prediction;
  out << prediction.y.rows() << " rows of " << prediction.y.cols()
      << " predicted in " << BriefSeconds(answer.call_seconds) << "\n";
  PrintEntries({"y", prediction.y, prediction.y_exponents}, show, out);
  if (!answer.check) return;
  out << "\n";
  PrintRules(answer.check->verdict, /*broken_only=*/false, "", out);
  PrintOutcome(answer.check->verdict, answer.verify_seconds, out);
}

absl::Status Write(const std::string& path,
                   const client::Prediction& prediction) {
  const std::vector<int64_t> shape = {prediction.y.rows(), prediction.y.cols()};
  std::vector<NamedArray> arrays = {
      NamedArray::Doubles("y", Flat(prediction.y), shape)};
  if (!prediction.y_exponents.empty()) {
    arrays.push_back(NamedArray::Integers(
        "y_exponents",
        {prediction.y_exponents.begin(), prediction.y_exponents.end()}, shape));
  }
  return tensor_files::WriteArraysOrBeside(
      path, arrays, {{"content", "steelyard predict: y times 2^y_exponents"}});
}

ExitCode Print(const Arguments& arguments, const Answer& answer,
               const Console& console) {
  if (arguments.Has("json")) {
    PrintJson(answer, console.out);
  } else {
    PrintText(answer, arguments.Integer("show").value_or(10), console.out);
  }
  if (const auto path = arguments.Text("output")) {
    if (auto written = Write(*path, answer.prediction); !written.ok()) {
      return ReportError(ExitCode::kFile, std::string(written.message()),
                         console);
    }
  }
  return answer.check ? CodeOf(answer.check->verdict) : ExitCode::kOk;
}

}  // namespace

ExitCode RunPredict(const Arguments& arguments, const Console& console) {
  const auto names = PredictNamesOf(arguments);
  const auto access = Connect(arguments, console);
  absl::Status output;
  if (const auto path = arguments.Text("output")) {
    output = tensor_files::CheckOutputPath(*path, 1);
  }
  for (const absl::Status& status : {names.status(), access.status(), output}) {
    if (!status.ok()) return ReportBadArguments(status, console);
  }
  const PredictFiles files = LoadPredictFiles(*names, *access, console);
  if (files.code != ExitCode::kOk) return files.code;
  const client::PredictOptions options{
      .scale = arguments.Real("scale").value_or(1.0),
      .normalization = NormalizationOf(arguments)};

  Answer answer;
  const Stopwatch stopwatch;
  {
    ProgressBar bar(console.err, console.err_is_terminal);
    auto prediction = access->client.Predict(
        files.inputs(), options,
        [&bar](const client::Progress& progress) { bar.Show(progress); },
        access->call);
    bar.Clear();
    if (!prediction.ok()) {
      return ReportCallError(prediction.status(), access->address, console);
    }
    answer.prediction = *std::move(prediction);
  }
  answer.call_seconds = stopwatch.seconds();
  if (arguments.Has("verify")) {
    const Stopwatch verifying;
    answer.check = verify::CheckPrediction(
        {*files.a, *files.x, files.x_exponents, *files.queries}, options,
        answer.prediction);
    answer.verify_seconds = verifying.seconds();
  }
  return Print(arguments, answer, console);
}

}  // namespace steelyard::cli
