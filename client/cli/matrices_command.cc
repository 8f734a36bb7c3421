#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/matrix_file.h"
#include "client/cli/progress_bar.h"
#include "client/cli/stopwatch.h"
#include "client/cli/text_table.h"

namespace steelyard::cli {
namespace {

std::string TimeText(std::chrono::system_clock::time_point time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(time),
                          absl::UTCTimeZone());
}

nlohmann::ordered_json InfoJson(const client::MatrixInfo& info) {
  nlohmann::ordered_json json = {{"name", info.name}};
  std::vector<std::int64_t> shape;
  if (const auto* dense = std::get_if<client::DenseLayout>(&info.layout)) {
    json["layout"] = "dense";
    shape = dense->shape;
  } else {
    const auto& csr = std::get<client::CsrLayout>(info.layout);
    json["layout"] = "csr";
    json["nonzeros"] = csr.nonzeros;
    shape = {csr.rows, csr.columns};
  }
  const std::string text = LayoutText(info.layout);
  json["dtype"] = text.substr(0, text.find(' '));
  json["shape"] = shape;
  json["size_bytes"] = info.size_bytes;
  json["crc32c"] = info.crc32c;
  json["create_time"] = TimeText(info.create_time);
  return json;
}

void PrintInfos(const std::vector<client::MatrixInfo>& infos,
                std::ostream& out) {
  TextTable table({"name", "matrix", "size", "CRC32C", "created"});
  for (const client::MatrixInfo& info : infos) {
    table.AddRow(
        {info.name, LayoutText(info.layout), BriefBytes(info.size_bytes),
         absl::StrFormat("%08x", info.crc32c), TimeText(info.create_time)});
  }
  table.Print(out);
}

// As the bar shows a solve.
client::Progress Shown(const client::UploadProgress& upload) {
  client::Progress progress;
  progress.phase =
      absl::StrCat(upload.phase, " ", BriefBytes(upload.bytes_done), " of ",
                   BriefBytes(upload.bytes_total));
  progress.fraction = static_cast<double>(upload.bytes_done) /
                      static_cast<double>(upload.bytes_total);
  progress.elapsed = upload.elapsed;
  progress.attempt = upload.attempt;
  return progress;
}

// Time left, from the bytes that were really sent.
class UploadClock {
 public:
  void Estimate(const client::UploadProgress& upload,
                client::Progress* progress) {
    if (upload.phase != "upload") return;
    if (upload.attempt != attempt_) {
      attempt_ = upload.attempt;
      first_byte_ = upload.bytes_done;
      first_time_ = upload.elapsed;
    }
    const auto sent = static_cast<double>(upload.bytes_done - first_byte_);
    if (sent <= 0) return;
    const auto left =
        static_cast<double>(upload.bytes_total - upload.bytes_done);
    progress->time_left = (upload.elapsed - first_time_) * (left / sent);
  }

 private:
  int attempt_ = 0;
  std::int64_t first_byte_ = 0;
  client::Seconds first_time_{0.0};
};

// One run of `matrices`; each action reports its own errors.
class MatricesRun {
 public:
  MatricesRun(const Arguments& arguments, const ServerAccess& access,
              const Console& console)
      : arguments_(arguments), access_(access), console_(console) {}

  ExitCode List() const {
    const auto infos = access_.client.ListMatrices(access_.call);
    if (!infos.ok()) return Failed(infos.status());
    if (json()) {
      nlohmann::ordered_json out = {
          {"matrices", nlohmann::ordered_json::array()}};
      for (const client::MatrixInfo& info : *infos) {
        out["matrices"].push_back(InfoJson(info));
      }
      console_.out << out.dump(2) << "\n";
    } else if (infos->empty()) {
      console_.out << "no matrices\n";
    } else {
      PrintInfos(*infos, console_.out);
    }
    return ExitCode::kOk;
  }

  ExitCode Show(const std::string& name) const {
    const auto info = access_.client.GetMatrix(name, access_.call);
    if (!info.ok()) return Failed(info.status());
    if (json()) {
      console_.out << InfoJson(*info).dump(2) << "\n";
    } else {
      PrintInfos({*info}, console_.out);
    }
    return ExitCode::kOk;
  }

  ExitCode Status(const std::string& name) const {
    const auto status = access_.client.GetUploadStatus(name, access_.call);
    if (!status.ok()) return Failed(status.status());
    if (json()) {
      console_.out << nlohmann::ordered_json{{"committed_size",
                                              status->committed_size},
                                             {"total_size", status->total_size},
                                             {"complete", status->complete}}
                          .dump(2)
                   << "\n";
    } else if (status->complete) {
      console_.out << "complete, " << BriefBytes(status->total_size) << "\n";
    } else {
      console_.out << "unfinished: " << BriefBytes(status->committed_size)
                   << " of " << BriefBytes(status->total_size)
                   << " are there; run the upload again to go on\n";
    }
    return ExitCode::kOk;
  }

  ExitCode Delete(const std::vector<std::string>& names) const {
    for (const std::string& name : names) {
      const absl::Status gone = access_.client.DeleteMatrix(name, access_.call);
      if (!gone.ok()) return Failed(gone);
    }
    if (json()) {
      console_.out << nlohmann::ordered_json{{"deleted", names}}.dump(2)
                   << "\n";
    }
    return ExitCode::kOk;
  }

  ExitCode Upload(const std::string& name, const std::string& text) const {
    const auto file = MatrixFile::Open(text);
    if (!file.ok()) {
      return ReportError(ExitCode::kFile, std::string(file.status().message()),
                         console_);
    }
    const Stopwatch stopwatch;
    ProgressBar bar(console_.err, console_.err_is_terminal);
    UploadClock clock;
    const auto uploaded =
        file->Upload(access_.client, name,
                     {.on_progress =
                          [&](const client::UploadProgress& upload) {
                            client::Progress progress = Shown(upload);
                            clock.Estimate(upload, &progress);
                            bar.Show(progress);
                          }},
                     access_.call);
    bar.Clear();
    if (!uploaded.ok()) return UploadFailed(uploaded.status(), name, text);
    PrintUpload(*uploaded, stopwatch.seconds());
    return ExitCode::kOk;
  }

 private:
  bool json() const { return arguments_.Has("json"); }

  ExitCode Failed(const absl::Status& status) const {
    return ReportCallError(status, access_.address, console_);
  }

  ExitCode UploadFailed(const absl::Status& status, const std::string& name,
                        const std::string& text) const {
    // The server has no such code: the file shrank.
    if (absl::IsDataLoss(status)) {
      return ReportError(ExitCode::kFile, std::string(status.message()),
                         console_);
    }
    const auto detail = client::DetailOf(status);
    if (detail && detail->reason == "CHECKSUM_MISMATCH") {
      return ReportError(
          ExitCode::kFile,
          absl::StrCat(text,
                       ": changed while it was uploaded, or was damaged "
                       "on its way; run it again"),
          console_);
    }
    if (absl::IsAlreadyExists(status)) {
      return ReportCallError(
          absl::AlreadyExistsError(
              absl::StrCat(status.message(),
                           "; choose another name, or: steelyard matrices "
                           "delete ",
                           name)),
          access_.address, console_);
    }
    return Failed(status);
  }

  void PrintUpload(const client::UploadedMatrix& uploaded,
                   double seconds) const {
    if (json()) {
      nlohmann::ordered_json out = InfoJson(uploaded.info);
      out["resumed_at"] = uploaded.resumed_at;
      out["bytes_sent"] = uploaded.bytes_sent;
      out["reconnects"] = uploaded.reconnects;
      out["call_seconds"] = seconds;
      console_.out << out.dump(2) << "\n";
      return;
    }
    std::ostream& out = console_.out;
    out << uploaded.info.name << ": " << LayoutText(uploaded.info.layout)
        << ", " << BriefBytes(uploaded.info.size_bytes) << ", CRC32C "
        << absl::StrFormat("%08x", uploaded.info.crc32c) << "\n";
    if (uploaded.bytes_sent == 0) {
      out << "  it was there already; nothing was sent\n";
      return;
    }
    if (uploaded.resumed_at > 0) {
      out << "  went on at " << BriefBytes(uploaded.resumed_at)
          << ", where an earlier upload had stopped\n";
    }
    out << "  sent " << BriefBytes(uploaded.bytes_sent) << " in "
        << BriefSeconds(seconds);
    if (uploaded.reconnects > 0) {
      out << ", over " << uploaded.reconnects + 1 << " connections";
    }
    out << "\n";
  }

  const Arguments& arguments_;
  const ServerAccess& access_;
  const Console& console_;
};

absl::Status CheckWords(const std::vector<std::string>& words) {
  const struct {
    const char* action;
    std::size_t least;
    std::size_t most;
    const char* takes;
  } rows[] = {{"upload", 2, 2, "NAME FILE"},
              {"list", 0, 0, "no name"},
              {"show", 1, 1, "NAME"},
              {"status", 1, 1, "NAME"},
              {"delete", 1, words.size(), "NAME..."}};
  const std::string& action = words[0];
  std::vector<std::string> known;
  for (const auto& row : rows) {
    known.push_back(row.action);
    if (action != row.action) continue;
    const std::size_t given = words.size() - 1;
    if (given < row.least || given > row.most) {
      return absl::InvalidArgumentError(
          absl::StrCat("'matrices ", action, "' takes ", row.takes, ", but ",
                       given, " were given"));
    }
    const std::size_t names = action == "upload" ? 2 : words.size();
    for (std::size_t i = 1; i < names; ++i) {
      if (IsMatrixName(words[i])) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("'", words[i],
                       "' is no name of a matrix: a-z, then a-z, 0-9 and -, at "
                       "most 63"));
    }
    return absl::OkStatus();
  }
  const std::string nearest = Nearest(action, known);
  return absl::InvalidArgumentError(absl::StrCat(
      "'matrices ", action, "' is none of ", absl::StrJoin(known, ", "),
      nearest.empty() ? "" : absl::StrCat("; did you mean '", nearest, "'?")));
}

}  // namespace

ExitCode RunMatrices(const Arguments& arguments, const Console& console) {
  const std::vector<std::string>& words = arguments.positionals();
  const absl::Status good = CheckWords(words);
  const auto access = Connect(arguments, console);
  for (const absl::Status& status : {good, access.status()}) {
    if (!status.ok()) return ReportBadArguments(status, console);
  }
  const MatricesRun run(arguments, *access, console);
  const std::string& action = words[0];
  if (action == "upload") return run.Upload(words[1], words[2]);
  if (action == "list") return run.List();
  if (action == "show") return run.Show(words[1]);
  if (action == "status") return run.Status(words[1]);
  return run.Delete({words.begin() + 1, words.end()});
}

}  // namespace steelyard::cli
