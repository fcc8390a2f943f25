#include "core/base/allowed_cpus.h"

#include <sched.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "gtest/gtest.h"

namespace keel {
namespace {

class CgroupCpuQuotaTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    root_ = testing::TempDir() + "/cgroup-" + name;
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }

  std::string root_;
};

TEST_F(CgroupCpuQuotaTest, IsUnsetWithoutAQuota) {
  EXPECT_EQ(CgroupCpuQuota("", root_), std::nullopt);
  EXPECT_EQ(CgroupCpuQuota("0::/a\n", root_), std::nullopt);
  Write("/a/cpu.max", "max 100000\n");
  EXPECT_EQ(CgroupCpuQuota("0::/a\n", root_), std::nullopt);
  Write("/cpu/a/cpu.cfs_quota_us", "-1\n");
  Write("/cpu/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(CgroupCpuQuota("4:cpu,cpuacct:/a\n", root_), std::nullopt);
}

TEST_F(CgroupCpuQuotaTest, IsTheLeastOfTheGroupAndThoseAboveIt) {
  Write("/pod/box/cpu.max", "400000 100000\n");
  EXPECT_EQ(CgroupCpuQuota("0::/pod/box\n", root_), 4);
  Write("/pod/cpu.max", "50000 20000\n");
  EXPECT_EQ(CgroupCpuQuota("0::/pod/box\n", root_), 2.5);
  EXPECT_EQ(CgroupCpuQuota("0::/pod\n", root_), 2.5);
}

TEST_F(CgroupCpuQuotaTest, IsThatOfTheMountWhereTheGroupsPathIsNotMounted) {
  Write("/cpu.max", "150000 100000\n");
  EXPECT_EQ(CgroupCpuQuota("0::/\n", root_), 1.5);
  EXPECT_EQ(CgroupCpuQuota("0::/docker/1234\n", root_), 1.5);
}

TEST_F(CgroupCpuQuotaTest, ReadsVersionOneBesideVersionTwo) {
  Write("/cpu/docker/1234/cpu.cfs_quota_us", "300000\n");
  Write("/cpu/docker/1234/cpu.cfs_period_us", "100000\n");
  const char kGroups[] = "9:memory:/x\n4:cpuacct,cpu:/docker/1234\n0::/\n";
  EXPECT_EQ(CgroupCpuQuota(kGroups, root_), 3);
  Write("/cpu.max", "100000 100000\n");
  EXPECT_EQ(CgroupCpuQuota(kGroups, root_), 1);
}

TEST_F(CgroupCpuQuotaTest, TakesNoQuotaFromWhatItDoesNotUnderstand) {
  Write("/cpu.max", "a b\n");
  EXPECT_EQ(CgroupCpuQuota("0::/\nnonsense\n::\n:\n0::no path\n", root_), std::nullopt);
  Write("/cpu.max", "100000 0");
  EXPECT_EQ(CgroupCpuQuota("0::/\n", root_), std::nullopt);
}

TEST(AllowedCpusTest, FollowsTheAffinityMask) {
  EXPECT_GE(AllowedCpus(), 1);
  std::thread([] {  // the mask is a thread's
    cpu_set_t all, one;
    ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
      if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(AllowedCpus(), 1);
  })
      .join();
}

}  // namespace
}  // namespace keel
