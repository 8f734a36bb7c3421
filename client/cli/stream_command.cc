#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/input_tensors.h"
#include "client/cli/set_options.h"
#include "client/cli/set_report.h"
#include "client/cli/state_file.h"
#include "client/cli/stopwatch.h"
#include "client/cli/text_table.h"
#include "client/tensor_files/row_reader.h"
#include "client/tensor_files/tensor_output.h"

namespace steelyard::cli {
namespace {

using tensor_files::RowReader;
using tensor_files::StoredTensor;

constexpr int64_t kBlockBytes = int64_t{8} << 20;

// The files as one long matrix.
struct KeyFiles {
  std::vector<RowReader> readers;

  int64_t heads() const { return readers[0].heads(); }
  int64_t columns() const { return readers[0].columns(); }
  int64_t rows() const {
    int64_t rows = 0;
    for (const RowReader& reader : readers) rows += reader.rows();
    return rows;
  }
};

absl::StatusOr<KeyFiles> OpenFiles(const std::vector<std::string>& texts) {
  KeyFiles files;
  for (const std::string& text : texts) {
    absl::StatusOr<RowReader> reader = RowReader::Open(text);
    if (!reader.ok()) return reader.status();
    files.readers.push_back(*std::move(reader));
    const RowReader& first = files.readers.front();
    const RowReader& last = files.readers.back();
    if (last.heads() != first.heads() || last.columns() != first.columns() ||
        last.info().type != first.info().type) {
      return absl::InvalidArgumentError(
          absl::StrCat(text, ": ", last.info().text(), " does not go on after ",
                       texts[0], ": ", first.info().text()));
    }
  }
  return files;
}

client::ScalarType TypeOf(const KeyFiles& files) {
  switch (files.readers[0].info().type) {
    case tensor_files::ElementType::kFloat32:
      return client::ScalarType::kFloat32;
    case tensor_files::ElementType::kFloat16:
      return client::ScalarType::kFloat16;
    case tensor_files::ElementType::kBfloat16:
      return client::ScalarType::kBFloat16;
    default:
      return client::ScalarType::kFloat64;
  }
}

absl::StatusOr<client::KeyStreamOptions> OptionsOf(const Arguments& arguments) {
  client::KeyStreamOptions options;
  const bool goes_on = arguments.Has("resume") || arguments.Has("import");
  if (arguments.Has("resume") && arguments.Has("import")) {
    return absl::InvalidArgumentError(
        "only one of --resume and --import can be given");
  }
  for (const char* flag :
       {"epsilon", "top-m", "power", "power-sum", "causal", "first-index"}) {
    if (goes_on && arguments.Has(flag)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", flag,
                       " is that of the stream that goes on; it "
                       "cannot be given again"));
    }
  }
  if (!goes_on && !arguments.Has("epsilon")) {
    return absl::InvalidArgumentError(
        "'stream' needs --epsilon=X, in (0, 1], or --resume or --import");
  }
  if (arguments.Has("resume") &&
      (arguments.Has("keep") || arguments.Has("ttl"))) {
    return absl::InvalidArgumentError(
        "--resume has a name; --keep and --ttl "
        "do not go with it");
  }
  if (arguments.Has("checkpoint-every") && !arguments.Has("checkpoint")) {
    return absl::InvalidArgumentError(
        "--checkpoint-every goes with --checkpoint");
  }
  auto function = ScoreFunctionOf(arguments);
  if (!function.ok()) return function.status();
  if (const auto name = arguments.Text("keep")) {
    auto keep = KeepingOf(arguments);
    if (!keep.ok()) return keep.status();
    options.set_id = keep->set_id;
  }
  if (const auto ttl = arguments.Seconds("ttl")) {
    options.ttl = client::Seconds(*ttl);
  }
  options.epsilon = arguments.Real("epsilon").value_or(0.0);
  options.top_m = arguments.Integer("top-m");
  if (*function) options.function = **std::move(function);
  options.causal = arguments.Has("causal");
  options.first_index = arguments.Integer("first-index").value_or(0);
  return options;
}

absl::StatusOr<client::KeyStream> OpenStream(const Arguments& arguments,
                                             const ServerAccess& access,
                                             const KeyFiles& files,
                                             client::KeyStreamOptions options,
                                             const std::string& state) {
  if (const auto name = arguments.Text("resume")) {
    return access.client.ResumeKeyStream(*name, {}, access.call);
  }
  if (arguments.Has("import")) {
    return access.client.ImportKeyStream(state, options, access.call);
  }
  options.heads = files.heads();
  options.columns = files.columns();
  options.type = TypeOf(files);
  return access.client.OpenKeyStream(options, access.call);
}

// The key that is sent first.
absl::StatusOr<int64_t> BeginOf(const client::KeyStream& stream,
                                const KeyFiles& files) {
  const std::vector<int64_t> next = stream.next_offset();
  const auto [least, most] = std::minmax_element(next.begin(), next.end());
  if (*least == *most && static_cast<int64_t>(next.size()) == files.heads()) {
    if (*least <= files.rows()) return *least;
    return absl::FailedPreconditionError(
        absl::StrCat(stream.name(), " has ", *least,
                     " keys; the files have only ", files.rows()));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      stream.name(), " has ", next.size(), " heads at ", *least, " to ", *most,
      " keys; the files have ", files.heads(), " heads of one length"));
}

// Sends the rows from the stream's offset on, and reports on the way.
class Sender {
 public:
  Sender(const Arguments& arguments, const KeyFiles& files,
         client::KeyStream* stream, const Console& console)
      : files_(files),
        stream_(stream),
        console_(console),
        checkpoint_(arguments.Text("checkpoint")),
        checkpoint_every_(arguments.Integer("checkpoint-every")),
        snapshot_every_(arguments.Integer("snapshot-every")) {}

  // Of the files, not of the server.
  const absl::Status& file_error() const { return file_error_; }
  int64_t keys_sent() const { return sent_; }
  int64_t bytes_sent() const { return bytes_; }

  absl::Status Run(int64_t skip) {
    absl::Status status;
    int64_t begin = 0;
    for (const RowReader& reader : files_.readers) {
      const int64_t first = std::clamp<int64_t>(skip - begin, 0, reader.rows());
      if (status.ok()) status = Send(reader, begin, first);
      begin += reader.rows();
    }
    Clear();
    return status.ok() && checkpoint_ ? Checkpoint(begin) : status;
  }

  // The same, and how the stream goes on, where it does.
  absl::Status WithWayOn(const absl::Status& status) const {
    std::string way;
    if (!absl::IsNotFound(status)) {
      way = absl::StrCat("; ", stream_->acknowledged()[0],
                         " keys were acknowledged, see --resume=",
                         absl::StripPrefix(stream_->name(), "universalSets/"));
    } else if (checkpointed_) {
      way = absl::StrCat("; --import=", *checkpoint_, " goes on after ",
                         *checkpointed_, " keys");
    }
    absl::Status told(status.code(), absl::StrCat(status.message(), way));
    status.ForEachPayload(
        [&told](absl::string_view url, const absl::Cord& payload) {
          told.SetPayload(url, payload);
        });
    return told;
  }

 private:
  absl::Status Send(const RowReader& reader, int64_t begin, int64_t first) {
    const int64_t step = std::max<int64_t>(1, kBlockBytes / reader.row_bytes());
    while (first < reader.rows()) {
      int64_t count = std::min(step, reader.rows() - first);
      for (const auto& every : {checkpoint_every_, snapshot_every_}) {
        if (every) count = std::min(count, *every - (begin + first) % *every);
      }
      const absl::StatusOr<StoredTensor> block = reader.Read(first, count);
      if (!block.ok()) return file_error_ = block.status();
      absl::Status status = stream_->Add(ViewOf(*block));
      if (!status.ok()) return status;
      first += count;
      sent_ += count;
      bytes_ += count * reader.row_bytes();
      status = Milestones(begin + first);
      if (!status.ok()) return status;
      Show(begin + first);
    }
    return absl::OkStatus();
  }

  absl::Status Milestones(int64_t at) {
    if (snapshot_every_ && at % *snapshot_every_ == 0) {
      const auto sets = stream_->Snapshot();
      if (!sets.ok()) return sets.status();
      std::size_t members = 0;
      for (const client::UniversalSet& set : sets->heads) {
        members += set.indices.size();
      }
      Clear();
      console_.err << "after " << at << " keys: " << members << " members\n";
    }
    if (checkpoint_every_ && checkpoint_ && at % *checkpoint_every_ == 0) {
      return Checkpoint(at);
    }
    return absl::OkStatus();
  }

  absl::Status Checkpoint(int64_t at) {
    const auto state = stream_->Checkpoint();
    if (!state.ok()) return state.status();
    file_error_ = WriteState(*checkpoint_, *state);
    if (file_error_.ok()) checkpointed_ = at;
    return file_error_;
  }

  void Show(int64_t at) {
    if (!console_.err_is_terminal || stopwatch_.seconds() < 0.5) return;
    const double seconds = stopwatch_.seconds();
    const double share =
        static_cast<double>(at) / static_cast<double>(files_.rows());
    const auto full = static_cast<std::size_t>(24 * share);
    console_.err << "\r"
                 << absl::StrFormat(
                        "[%s%s] %3.0f %%  %d keys  %.3g keys/s  %s  %s/s",
                        std::string(full, '#'), std::string(24 - full, '.'),
                        100 * share, at, static_cast<double>(sent_) / seconds,
                        BriefBytes(bytes_),
                        BriefBytes(static_cast<int64_t>(
                            static_cast<double>(bytes_) / seconds)))
                 << "\x1b[K" << std::flush;
    shown_ = true;
    if (at == files_.rows()) Clear();
  }

  void Clear() {
    if (shown_) console_.err << "\r\x1b[K" << std::flush;
    shown_ = false;
  }

  const KeyFiles& files_;
  client::KeyStream* const stream_;
  const Console& console_;
  const std::optional<std::string> checkpoint_;
  const std::optional<int64_t> checkpoint_every_;
  const std::optional<int64_t> snapshot_every_;
  const Stopwatch stopwatch_;
  absl::Status file_error_;
  std::optional<int64_t> checkpointed_;  // At which key, last.
  int64_t sent_ = 0;
  int64_t bytes_ = 0;
  bool shown_ = false;
};

void Report(const Arguments& arguments, const client::KeyStream& stream,
            const Sender& sender, const client::UniversalSets& sets,
            const KeyFiles& files, double seconds, std::ostream& out) {
  if (arguments.Has("json")) {
    nlohmann::ordered_json json = {{"name", stream.name()}};
    json["sets"] = nlohmann::ordered_json::array();
    for (const client::UniversalSet& set : sets.heads) {
      json["sets"].push_back(SetJson(set, files.columns()));
    }
    json["keys_sent"] = sender.keys_sent();
    json["bytes_sent"] = sender.bytes_sent();
    json["reconnects"] = stream.reconnects();
    json["call_seconds"] = seconds;
    out << json.dump(2) << "\n";
    return;
  }
  PrintSets(sets, files.columns(), arguments.Integer("show").value_or(10), out);
  out << stream.name() << ": " << sender.keys_sent() << " keys, "
      << BriefBytes(sender.bytes_sent()) << ", sent in "
      << BriefSeconds(seconds)
      << absl::StrFormat(", %.3g keys/s",
                         static_cast<double>(sender.keys_sent()) / seconds);
  if (stream.reconnects() > 0) {
    out << ", over " << stream.reconnects() + 1 << " connections";
  }
  out << ".\n";
}

}  // namespace

ExitCode RunStream(const Arguments& arguments, const Console& console) {
  const auto options = OptionsOf(arguments);
  const auto access = Connect(arguments, console);
  for (const absl::Status& status : {options.status(), access.status()}) {
    if (!status.ok()) return ReportBadArguments(status, console);
  }
  const auto file_error = [&](const absl::Status& status) {
    return ReportError(ExitCode::kFile, std::string(status.message()), console);
  };
  const auto files = OpenFiles(arguments.positionals());
  if (!files.ok()) return file_error(files.status());
  const auto output = arguments.Text("output");
  if (output) {
    auto good =
        tensor_files::CheckOutputPath(*output, files->heads() == 1 ? 1 : 3);
    if (!good.ok()) return ReportUsage(std::string(good.message()), console);
  }
  std::string state;
  if (const auto path = arguments.Text("import")) {
    absl::StatusOr<std::string> read = ReadState(*path);
    if (!read.ok()) return file_error(read.status());
    state = *std::move(read);
  }

  const Stopwatch stopwatch;
  auto stream = OpenStream(arguments, *access, *files, *options, state);
  if (!stream.ok()) {
    return ReportCallError(stream.status(), access->address, console);
  }
  const auto begin = BeginOf(*stream, *files);
  if (!begin.ok()) {
    return ReportError(ExitCode::kRefused,
                       std::string(begin.status().message()), console);
  }
  Sender sender(arguments, *files, &*stream, console);
  if (auto sent = sender.Run(*begin); !sent.ok()) {
    const absl::Status told = sender.WithWayOn(sent);
    return sender.file_error().ok()
               ? ReportCallError(told, access->address, console)
               : file_error(told);
  }
  auto sets =
      arguments.Has("no-finish") ? stream->Snapshot() : stream->Finish();
  if (!sets.ok()) {
    return ReportCallError(sender.WithWayOn(sets.status()), access->address,
                           console);
  }
  Report(arguments, *stream, sender, *sets, *files, stopwatch.seconds(),
         console.out);
  if (output) {
    if (auto written = WriteSets(*output, *sets); !written.ok()) {
      return file_error(written);
    }
  }
  return ExitCode::kOk;
}

}  // namespace steelyard::cli
