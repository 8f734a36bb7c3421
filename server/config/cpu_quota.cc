#include "server/config/cpu_quota.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace steelyard::server {
namespace {

// cgroup v1 says "no limit" with the largest multiple of a page.
constexpr std::int64_t kNoMemoryLimit = std::int64_t{1} << 60;

std::optional<std::string> ReadFirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<std::int64_t> ReadInteger(const std::string& path) {
  const std::optional<std::string> line = ReadFirstLine(path);
  std::int64_t value = 0;
  if (!line.has_value() || !absl::SimpleAtoi(*line, &value)) {
    return std::nullopt;
  }
  return value;
}

template <typename T>
void KeepSmaller(std::optional<T> found, std::optional<T>* smallest) {
  if (!found.has_value()) return;
  *smallest = smallest->has_value() ? std::min(**smallest, *found) : *found;
}

// A folder and its parents up to the mount: a quota of a parent binds too. In a
// container the path of /proc is often one of the host that does not exist
// here; then only the mount itself is left, which is the container's own.
std::vector<std::string> FolderAndParents(const std::string& mount,
                                          const std::string& path) {
  std::vector<std::string> folders;
  std::string relative = path == "/" ? "" : path;
  while (!relative.empty()) {
    folders.push_back(mount + relative);
    const std::size_t slash = relative.rfind('/');
    relative = slash == std::string::npos ? "" : relative.substr(0, slash);
  }
  folders.push_back(mount);
  return folders;
}

// Folders that may limit `controller`, of both cgroup versions.
struct CgroupFolders {
  std::vector<std::string> v2;
  std::vector<std::string> v1;
};

CgroupFolders FoldersOf(const CgroupRoots& roots,
                        const std::string& controller) {
  CgroupFolders folders;
  std::ifstream file(roots.proc + "/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {  // "0::/path" or "4:cpu,cpuacct:/path"
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    if (parts[1].empty()) {
      folders.v2 = FolderAndParents(roots.cgroup, parts[2]);
      continue;
    }
    const std::vector<std::string> names = absl::StrSplit(parts[1], ',');
    if (std::find(names.begin(), names.end(), controller) == names.end()) {
      continue;
    }
    for (const std::string& mount : {parts[1], controller}) {
      const auto more = FolderAndParents(roots.cgroup + "/" + mount, parts[2]);
      folders.v1.insert(folders.v1.end(), more.begin(), more.end());
    }
  }
  return folders;
}

int ProcessorsOfThisProcess() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace

std::optional<double> ParseCpuMax(std::string_view text) {
  const std::vector<std::string> parts =
      absl::StrSplit(absl::string_view(text.data(), text.size()),
                     absl::ByAnyChar(" \n"), absl::SkipEmpty());
  std::int64_t quota = 0;
  std::int64_t period = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &quota) ||
      !absl::SimpleAtoi(parts[1], &period) || quota <= 0 || period <= 0) {
    return std::nullopt;
  }
  return static_cast<double>(quota) / static_cast<double>(period);
}

std::optional<double> CpuQuota(const CgroupRoots& roots) {
  const CgroupFolders folders = FoldersOf(roots, "cpu");
  std::optional<double> smallest;
  for (const std::string& folder : folders.v2) {
    const std::optional<std::string> line = ReadFirstLine(folder + "/cpu.max");
    if (line.has_value()) KeepSmaller(ParseCpuMax(*line), &smallest);
  }
  for (const std::string& folder : folders.v1) {
    const auto quota = ReadFirstLine(folder + "/cpu.cfs_quota_us");
    const auto period = ReadFirstLine(folder + "/cpu.cfs_period_us");
    if (quota.has_value() && period.has_value()) {
      KeepSmaller(ParseCpuMax(*quota + " " + *period), &smallest);
    }
  }
  return smallest;
}

std::optional<std::int64_t> MemoryLimit(const CgroupRoots& roots) {
  const CgroupFolders folders = FoldersOf(roots, "memory");
  std::optional<std::int64_t> smallest;
  for (const std::string& folder : folders.v2) {
    KeepSmaller(ReadInteger(folder + "/memory.max"), &smallest);
  }
  for (const std::string& folder : folders.v1) {
    KeepSmaller(ReadInteger(folder + "/memory.limit_in_bytes"), &smallest);
  }
  if (smallest.has_value() && *smallest >= kNoMemoryLimit) return std::nullopt;
  return smallest;
}

int DefaultWorkers(const CgroupRoots& roots) {
  const int processors = ProcessorsOfThisProcess();
  const std::optional<double> quota = CpuQuota(roots);
  if (!quota.has_value() || *quota >= processors) return processors;
  return std::max(1, static_cast<int>(std::ceil(*quota)));
}

std::int64_t DefaultMemoryBudget(const CgroupRoots& roots) {
  const std::int64_t machine =
      std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE);
  return std::min(machine, MemoryLimit(roots).value_or(machine)) / 2;
}

std::int64_t DefaultSetMemory(const CgroupRoots& roots) {
  return DefaultMemoryBudget(roots) / 4;
}

std::int64_t DefaultMatrixMemory(const CgroupRoots& roots) {
  return DefaultMemoryBudget(roots) / 4;
}

}  // namespace steelyard::server
