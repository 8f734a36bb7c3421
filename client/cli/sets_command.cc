#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/set_options.h"
#include "client/cli/set_report.h"
#include "client/cli/state_file.h"
#include "client/cli/text_table.h"
#include "client/tensor_files/tensor_output.h"

namespace steelyard::cli {
namespace {

const char* NameOf(client::SetState state) {
  switch (state) {
    case client::SetState::kReceiving:
      return "RECEIVING";
    case client::SetState::kSuspended:
      return "SUSPENDED";
    case client::SetState::kFinished:
      return "FINISHED";
    case client::SetState::kUnknown:
      break;
  }
  return "UNKNOWN";
}

std::string TimeText(std::chrono::system_clock::time_point time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(time),
                          absl::UTCTimeZone());
}

nlohmann::ordered_json InfoJson(const client::SetInfo& info) {
  return {{"name", info.name},
          {"state", NameOf(info.state)},
          {"heads", info.heads},
          {"columns", info.columns},
          {"next_offset", info.next_offset},
          {"epsilon", info.epsilon},
          {"function", FunctionText(info.function)},
          {"causal", info.causal},
          {"size_bytes", info.size_bytes},
          {"create_time", TimeText(info.create_time)},
          {"expire_time", TimeText(info.expire_time)}};
}

std::string KeysText(const client::SetInfo& info) {
  if (info.next_offset.empty()) return "-";
  const std::int64_t first = info.next_offset.front();
  for (const std::int64_t next : info.next_offset) {
    if (next != first) return absl::StrJoin(info.next_offset, ",");
  }
  return absl::StrCat(first);
}

void PrintInfos(const std::vector<client::SetInfo>& infos, std::ostream& out) {
  TextTable table({"name", "state", "heads", "d", "keys", "epsilon", "f",
                   "size", "expires"});
  for (const client::SetInfo& info : infos) {
    table.AddRow({info.name, NameOf(info.state), absl::StrCat(info.heads),
                  absl::StrCat(info.columns), KeysText(info),
                  Brief(info.epsilon),
                  absl::StrCat(FunctionText(info.function),
                               info.causal ? ", causal" : ""),
                  BriefBytes(info.size_bytes), TimeText(info.expire_time)});
  }
  table.Print(out);
}

// One run of `sets`; each action reports its own errors.
class SetsRun {
 public:
  SetsRun(const Arguments& arguments, const ServerAccess& access,
          const Console& console)
      : arguments_(arguments), access_(access), console_(console) {}

  ExitCode List() const {
    const auto infos = access_.client.ListUniversalSets(access_.call);
    if (!infos.ok()) return Failed(infos.status());
    if (json()) {
      nlohmann::ordered_json out = {{"sets", nlohmann::ordered_json::array()}};
      for (const client::SetInfo& info : *infos) {
        out["sets"].push_back(InfoJson(info));
      }
      console_.out << out.dump(2) << "\n";
    } else if (infos->empty()) {
      console_.out << "no sets\n";
    } else {
      PrintInfos(*infos, console_.out);
    }
    return ExitCode::kOk;
  }

  ExitCode Show(const std::string& name) const {
    const auto info = access_.client.GetUniversalSet(name, access_.call);
    return info.ok() ? ShowInfo(*info) : Failed(info.status());
  }

  ExitCode Read(const std::string& name) const {
    const auto heads = IntegersOf(arguments_, "heads");
    if (!heads.ok()) return ReportBadArguments(heads.status(), console_);
    const auto info = access_.client.GetUniversalSet(name, access_.call);
    if (!info.ok()) return Failed(info.status());
    const auto sets =
        access_.client.ReadUniversalSet(name, *heads, access_.call);
    if (!sets.ok()) return Failed(sets.status());
    if (json()) {
      nlohmann::ordered_json out = {{"name", info->name}};
      out["sets"] = nlohmann::ordered_json::array();
      for (const client::UniversalSet& set : sets->heads) {
        out["sets"].push_back(SetJson(set, info->columns));
      }
      console_.out << out.dump(2) << "\n";
    } else {
      PrintSets(*sets, info->columns, arguments_.Integer("show").value_or(10),
                console_.out);
    }
    if (const auto path = arguments_.Text("output")) {
      return Written(WriteSets(*path, *sets));
    }
    return ExitCode::kOk;
  }

  ExitCode Delete(const std::vector<std::string>& names) const {
    for (const std::string& name : names) {
      const absl::Status gone =
          access_.client.DeleteUniversalSet(name, access_.call);
      if (!gone.ok()) return Failed(gone);
    }
    if (json()) {
      console_.out << nlohmann::ordered_json{{"deleted", names}}.dump(2)
                   << "\n";
    }
    return ExitCode::kOk;
  }

  ExitCode Export(const std::string& name) const {
    const auto path = arguments_.Text("output");
    if (!path) {
      return ReportUsage("'sets export' needs --output=FILE", console_);
    }
    const auto state = access_.client.ExportState(name, access_.call);
    if (!state.ok()) return Failed(state.status());
    if (auto code = Written(WriteState(*path, *state)); code != ExitCode::kOk) {
      return code;
    }
    if (json()) {
      console_.out << nlohmann::ordered_json{{"output", *path},
                                             {"bytes", state->size()}}
                          .dump(2)
                   << "\n";
    } else {
      console_.out << *path << ": "
                   << BriefBytes(static_cast<int64_t>(state->size())) << "\n";
    }
    return ExitCode::kOk;
  }

  // What is no name of a set is a file.
  ExitCode Merge(const std::string& name,
                 const std::vector<std::string>& shards) const {
    client::Keeping keep{.set_id = name};
    if (const auto ttl = arguments_.Seconds("ttl")) {
      keep.ttl = client::Seconds(*ttl);
    }
    client::MergeInputs inputs;
    std::vector<std::string> states;
    states.reserve(shards.size());
    for (const std::string& shard : shards) {
      if (IsSetName(shard)) {
        inputs.names.push_back(shard);
        continue;
      }
      auto state = ReadState(shard);
      if (!state.ok()) {
        return ReportError(ExitCode::kFile,
                           std::string(state.status().message()), console_);
      }
      inputs.states.push_back(states.emplace_back(*std::move(state)));
    }
    const auto info = access_.client.MergeStates(inputs, keep, access_.call);
    return info.ok() ? ShowInfo(*info) : Failed(info.status());
  }

 private:
  bool json() const { return arguments_.Has("json"); }

  ExitCode Failed(const absl::Status& status) const {
    return ReportCallError(status, access_.address, console_);
  }

  ExitCode Written(const absl::Status& status) const {
    if (status.ok()) return ExitCode::kOk;
    return ReportError(ExitCode::kFile, std::string(status.message()),
                       console_);
  }

  ExitCode ShowInfo(const client::SetInfo& info) const {
    if (json()) {
      console_.out << InfoJson(info).dump(2) << "\n";
    } else {
      PrintInfos({info}, console_.out);
    }
    return ExitCode::kOk;
  }

  const Arguments& arguments_;
  const ServerAccess& access_;
  const Console& console_;
};

absl::Status CheckWords(const std::vector<std::string>& words) {
  const std::string& action = words[0];
  std::size_t least = 1;
  std::size_t most = 1;
  if (action == "merge") {
    least = 2;
    most = words.size();
  } else if (action == "delete") {
    most = words.size();
  } else if (action == "list") {
    least = most = 0;
  } else if (action != "show" && action != "read" && action != "export") {
    const std::vector<std::string> known = {"list",   "show",   "read",
                                            "delete", "export", "merge"};
    const std::string nearest = Nearest(action, known);
    return absl::InvalidArgumentError(absl::StrCat(
        "'sets ", action, "' is none of ", absl::StrJoin(known, ", "),
        nearest.empty() ? ""
                        : absl::StrCat("; did you mean '", nearest, "'?")));
  }
  const std::size_t given = words.size() - 1;
  if (given < least || given > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("'sets ", action, "' takes ",
                     action == "merge"    ? "NEW SHARD..."
                     : action == "delete" ? "NAME..."
                     : action == "list"   ? "no name"
                                          : "NAME",
                     ", but ", given, " were given"));
  }
  // The shards of a merge may be files.
  const std::size_t names = action == "merge" ? 2 : words.size();
  for (std::size_t i = 1; i < names; ++i) {
    if (!IsSetName(words[i])) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", words[i], "' is no name of a set: a-z, then a-z, 0-9 and -"));
    }
  }
  return absl::OkStatus();
}

// Flags that another action would not look at.
absl::Status CheckFlags(const Arguments& arguments, const std::string& action) {
  const struct {
    const char* flag;
    std::vector<std::string> actions;
  } rows[] = {{"heads", {"read"}},
              {"show", {"read"}},
              {"output", {"export", "read"}},
              {"ttl", {"merge"}}};
  for (const auto& row : rows) {
    if (arguments.Has(row.flag) &&
        std::find(row.actions.begin(), row.actions.end(), action) ==
            row.actions.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", row.flag, " goes with 'sets ",
                       absl::StrJoin(row.actions, "' or 'sets "), "'"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

ExitCode RunSets(const Arguments& arguments, const Console& console) {
  const std::vector<std::string>& words = arguments.positionals();
  absl::Status good = CheckWords(words);
  if (good.ok()) good = CheckFlags(arguments, words[0]);
  const auto access = Connect(arguments, console);
  for (const absl::Status& status : {good, access.status()}) {
    if (!status.ok()) return ReportBadArguments(status, console);
  }
  const SetsRun run(arguments, *access, console);
  const std::string& action = words[0];
  if (action == "list") return run.List();
  if (action == "show") return run.Show(words[1]);
  if (action == "read") return run.Read(words[1]);
  if (action == "delete") return run.Delete({words.begin() + 1, words.end()});
  if (action == "export") return run.Export(words[1]);
  return run.Merge(words[1], {words.begin() + 2, words.end()});
}

}  // namespace steelyard::cli
