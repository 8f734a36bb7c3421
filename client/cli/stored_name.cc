#include "client/cli/stored_name.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/matrix_file.h"

namespace steelyard::cli {

absl::Status CheckMatrixName(const Arguments& arguments, const char* flag) {
  const std::optional<std::string> name = arguments.Text(flag);
  if (!name || IsMatrixName(*name)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, " is '", *name,
                   "'; required is a-z, then a-z, 0-9 and -, at most 63"));
}

ExitCode CheckChecksum(const std::string& name, const std::string& file,
                       const absl::StatusOr<std::uint32_t>& checksum,
                       const ServerAccess& access, const Console& console) {
  const auto info = access.client.GetMatrix(name, access.call);
  if (!info.ok()) {
    return ReportCallError(info.status(), access.address, console);
  }
  if (checksum.ok() && *checksum == info->crc32c) return ExitCode::kOk;
  return ReportError(
      ExitCode::kFile,
      absl::StrCat(file, ": is not what ", info->name, " holds, ",
                   LayoutText(info->layout), ", CRC32C ",
                   absl::StrFormat("%08x", info->crc32c)),
      console);
}

}  // namespace steelyard::cli
