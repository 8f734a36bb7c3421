// How many processors and how much memory this process may use.
//
// A container's share is a cgroup quota, which neither the number of processors
// nor their affinity tells. Reads cgroup v2 and v1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace steelyard::server {

// Where the kernel's files are; tests plant their own.
struct CgroupRoots {
  std::string proc = "/proc";
  std::string cgroup = "/sys/fs/cgroup";
};

// Processors, a fraction such as 1.5, from "200000 100000" ("max 100000": no
// quota), the format of cgroup v2's cpu.max. nullopt: no quota, or not such a
// text.
std::optional<double> ParseCpuMax(std::string_view text);

// The tightest CPU quota on the path of this process's cgroup; nullopt: none.
std::optional<double> CpuQuota(const CgroupRoots& roots = {});

// The tightest memory limit in bytes likewise; nullopt: none.
std::optional<std::int64_t> MemoryLimit(const CgroupRoots& roots = {});

// The quota rounded up, at most the processors this process may run on; without
// a quota, those processors. >= 1.
int DefaultWorkers(const CgroupRoots& roots = {});

// Half of the memory limit, without one of the machine's memory, bytes: the
// other half is for messages in flight and the process itself.
std::int64_t DefaultMemoryBudget(const CgroupRoots& roots = {});

// A quarter of that, bytes: an eighth of the memory.
std::int64_t DefaultSetMemory(const CgroupRoots& roots = {});

// The same: an eighth of the memory.
std::int64_t DefaultMatrixMemory(const CgroupRoots& roots = {});

}  // namespace steelyard::server
