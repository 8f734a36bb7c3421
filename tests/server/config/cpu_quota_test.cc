#include "server/config/cpu_quota.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

namespace fs = std::filesystem;

// A planted /proc and /sys/fs/cgroup.
class CgroupTest : public testing::Test {
 protected:
  CgroupTest()
      : root_(testing::TempDir() + "steelyard_cgroup_" +
              testing::UnitTest::GetInstance()->current_test_info()->name()),
        roots_{.proc = root_ + "/proc", .cgroup = root_ + "/cgroup"} {
    fs::remove_all(root_);
  }
  ~CgroupTest() override { fs::remove_all(root_); }

  void Plant(const std::string& path, const std::string& text) {
    const fs::path file = root_ + "/" + path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  const std::string root_;
  const CgroupRoots roots_;
};

TEST(CpuMaxTest, ReadsQuotaOverPeriod) {
  EXPECT_EQ(ParseCpuMax("200000 100000\n"), 2.0);
  EXPECT_EQ(ParseCpuMax("50000 100000"), 0.5);
  EXPECT_EQ(ParseCpuMax("max 100000"), std::nullopt);
  EXPECT_EQ(ParseCpuMax("-1 100000"), std::nullopt);
  EXPECT_EQ(ParseCpuMax("1 0"), std::nullopt);
  EXPECT_EQ(ParseCpuMax(""), std::nullopt);
  EXPECT_EQ(ParseCpuMax("1 2 3"), std::nullopt);
}

TEST_F(CgroupTest, Version2TakesTheTightestOnThePath) {
  Plant("proc/self/cgroup", "0::/kube/pod\n");
  Plant("cgroup/kube/pod/cpu.max", "max 100000\n");
  Plant("cgroup/kube/cpu.max", "150000 100000\n");
  Plant("cgroup/kube/pod/memory.max", "1073741824\n");
  Plant("cgroup/kube/memory.max", "max\n");
  EXPECT_EQ(CpuQuota(roots_), 1.5);
  EXPECT_EQ(MemoryLimit(roots_), std::int64_t{1} << 30);
  EXPECT_EQ(DefaultMemoryBudget(roots_), std::int64_t{1} << 29);
}

TEST_F(CgroupTest, Version1SaysItInTwoFiles) {
  Plant("proc/self/cgroup", "9:memory:/box\n4:cpu,cpuacct:/box\n");
  Plant("cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "100000\n");
  Plant("cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
  Plant("cgroup/memory/box/memory.limit_in_bytes", "536870912\n");
  EXPECT_EQ(CpuQuota(roots_), 1.0);
  EXPECT_EQ(DefaultWorkers(roots_), 1);
  EXPECT_EQ(MemoryLimit(roots_), std::int64_t{1} << 29);
}

TEST_F(CgroupTest, ThePathOfTheHostMayNotExistInAContainer) {
  Plant("proc/self/cgroup", "4:cpu:/docker/0123abcd\n0::/docker/0123abcd\n");
  Plant("cgroup/cpu/cpu.cfs_quota_us", "50000\n");
  Plant("cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(CpuQuota(roots_), 0.5);
  EXPECT_EQ(DefaultWorkers(roots_), 1);
}

TEST_F(CgroupTest, NoQuotaMeansEveryProcessor) {
  Plant("proc/self/cgroup", "4:cpu:/\n9:memory:/\n");
  Plant("cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  Plant("cgroup/cpu/cpu.cfs_period_us", "100000\n");
  Plant("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(CpuQuota(roots_), std::nullopt);
  EXPECT_EQ(MemoryLimit(roots_), std::nullopt);
  EXPECT_GE(DefaultWorkers(roots_), 1);
}

TEST_F(CgroupTest, NoFilesMeanNoQuota) {
  EXPECT_EQ(CpuQuota(roots_), std::nullopt);
  EXPECT_EQ(MemoryLimit(roots_), std::nullopt);
}

TEST_F(CgroupTest, SetsMayHoldAQuarterOfTheBudget) {
  EXPECT_EQ(DefaultSetMemory(roots_), DefaultMemoryBudget(roots_) / 4);
  EXPECT_GT(DefaultSetMemory(roots_), 0);
}

}  // namespace
}  // namespace steelyard::server
