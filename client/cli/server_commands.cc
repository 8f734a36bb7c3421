// `info` and `health`.
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/connect.h"
#include "client/cli/text_table.h"

namespace steelyard::cli {
namespace {

const char* NameOf(client::ServingStatus status) {
  switch (status) {
    case client::ServingStatus::kServing:
      return "SERVING";
    case client::ServingStatus::kNotServing:
      return "NOT_SERVING";
    case client::ServingStatus::kUnknown:
      break;
  }
  return "UNKNOWN";
}

void PrintInfo(const client::ServerInfo& info, const std::string& address,
               std::ostream& out) {
  const auto line = [&out](const char* what, const std::string& value) {
    std::string label(what);
    label.resize(20, ' ');
    out << "  " << label << value << "\n";
  };
  out << "steelyard-server " << info.version << " at " << address << "\n";
  line("worker threads", absl::StrCat(info.workers));
  line("processor target", info.cpu_target);
  line("BLAS", info.blas);
  line("memory budget",
       absl::StrCat(BriefBytes(info.memory_budget_bytes), ", ",
                    BriefBytes(info.memory_reserved_bytes), " in use"));
  line("memory of sets",
       absl::StrCat(BriefBytes(info.set_memory_bytes), ", ",
                    BriefBytes(info.set_memory_reserved_bytes), " in use"));
  line("stored matrices",
       info.stores_matrices ? absl::StrCat("yes, in memory up to ",
                                           BriefBytes(info.matrix_memory_bytes))
                            : "no; see the server's --matrix-directory");
  line("memory of factors",
       absl::StrCat(BriefBytes(info.factor_memory_bytes), ", ",
                    BriefBytes(info.factor_memory_reserved_bytes), " in use"));
  line("largest request", BriefBytes(info.request_bytes_max));
  line("largest chunk", BriefBytes(info.chunk_bytes_max));
  line("columns d", absl::StrCat("<= ", info.columns_max));
  line("heads", absl::StrCat("<= ", info.heads_max));
  line("right-hand sides", absl::StrCat("<= ", info.right_hand_sides_max));
  line("exponent j", absl::StrCat("<= ", info.exponent_max));
  line("streams", absl::StrCat("<= ", info.streams_max));
}

}  // namespace

ExitCode RunInfo(const Arguments& arguments, const Console& console) {
  const auto access = Connect(arguments, console);
  if (!access.ok()) {
    return ReportBadArguments(access.status(), console);
  }
  const auto info = access->client.GetServerInfo(access->call);
  if (!info.ok()) {
    return ReportCallError(info.status(), access->address, console);
  }
  if (!arguments.Has("json")) {
    PrintInfo(*info, access->address, console.out);
    return ExitCode::kOk;
  }
  const nlohmann::ordered_json json = {
      {"version", info->version},
      {"workers", info->workers},
      {"cpu_target", info->cpu_target},
      {"blas", info->blas},
      {"request_bytes_max", info->request_bytes_max},
      {"chunk_bytes_max", info->chunk_bytes_max},
      {"memory_budget_bytes", info->memory_budget_bytes},
      {"memory_reserved_bytes", info->memory_reserved_bytes},
      {"columns_max", info->columns_max},
      {"heads_max", info->heads_max},
      {"right_hand_sides_max", info->right_hand_sides_max},
      {"exponent_max", info->exponent_max},
      {"stores_matrices", info->stores_matrices},
      {"matrix_memory_bytes", info->matrix_memory_bytes},
      {"factor_memory_bytes", info->factor_memory_bytes},
      {"factor_memory_reserved_bytes", info->factor_memory_reserved_bytes},
      {"set_memory_bytes", info->set_memory_bytes},
      {"set_memory_reserved_bytes", info->set_memory_reserved_bytes},
      {"streams_max", info->streams_max}};
  console.out << json.dump(2) << "\n";
  return ExitCode::kOk;
}

ExitCode RunHealth(const Arguments& arguments, const Console& console) {
  const auto access = Connect(arguments, console, /*attempts=*/1);
  if (!access.ok()) {
    return ReportBadArguments(access.status(), console);
  }
  const std::string service = arguments.Text("service").value_or("");
  const auto status = access->client.Check(service, access->call);
  if (!status.ok()) {
    return ReportCallError(status.status(), access->address, console);
  }
  if (arguments.Has("json")) {
    const nlohmann::ordered_json json = {{"status", NameOf(*status)},
                                         {"service", service}};
    console.out << json.dump(2) << "\n";
  } else {
    console.out << NameOf(*status) << "\n";
  }
  return *status == client::ServingStatus::kServing ? ExitCode::kOk
                                                    : ExitCode::kUnavailable;
}

}  // namespace steelyard::cli
