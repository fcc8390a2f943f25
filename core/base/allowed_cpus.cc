#include "core/base/allowed_cpus.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace keel {
namespace {

// Files of /proc and /sys: of unknown size, absent where the kernel has no such thing.
std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Of microseconds "50000" in each period "100000"; "max" and -1 are none.
std::optional<double> Quota(absl::string_view time, absl::string_view period) {
  double used = 0, of = 0;
  if (!absl::SimpleAtod(time, &used) || !absl::SimpleAtod(period, &of)) return std::nullopt;
  if (used <= 0 || of <= 0) return std::nullopt;
  return used / of;
}

std::optional<double> QuotaOfGroup(const std::string& dir, bool unified) {
  if (!unified) {
    return Quota(absl::StripAsciiWhitespace(TextOf(dir + "/cpu.cfs_quota_us")),
                 absl::StripAsciiWhitespace(TextOf(dir + "/cpu.cfs_period_us")));
  }
  const std::string text = TextOf(dir + "/cpu.max");
  const std::vector<absl::string_view> words =
      absl::StrSplit(absl::StripAsciiWhitespace(text), ' ');
  return words.size() == 2 ? Quota(words[0], words[1]) : std::nullopt;
}

// A mask of the kernel may be wider than cpu_set_t.
int AffinityCpus() {
  for (int cpus = CPU_SETSIZE; cpus <= 1 << 16; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) return count;
  }
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

std::optional<double> CgroupCpuQuota(absl::string_view groups, const std::string& root) {
  std::optional<double> least;
  const auto take = [&](const std::string& dir, bool unified) {
    const std::optional<double> quota = QuotaOfGroup(dir, unified);
    if (quota.has_value()) least = std::min(*quota, least.value_or(*quota));
  };
  for (const absl::string_view line : absl::StrSplit(groups, '\n', absl::SkipEmpty())) {
    // "0::/a/b", "4:cpu,cpuacct:/a/b".
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3 || !absl::StartsWith(parts[2], "/")) continue;
    const bool unified = parts[1].empty();
    const std::vector<absl::string_view> controllers = absl::StrSplit(parts[1], ',');
    if (!unified && std::find(controllers.begin(), controllers.end(), "cpu") == controllers.end())
      continue;
    // In a container the path is often one that is not mounted there; what is, is its own group.
    const std::string mount = root + (unified ? "" : "/cpu");
    std::string path(parts[2]);
    while (path.size() > 1) {
      take(mount + path, unified);
      path.resize(std::max<size_t>(path.rfind('/'), 1));
    }
    take(mount, unified);
  }
  return least;
}

int AllowedCpus() {
  int cpus = std::max(1, AffinityCpus());
  const std::optional<double> quota = CgroupCpuQuota(TextOf("/proc/self/cgroup"), "/sys/fs/cgroup");
  if (quota.has_value() && *quota < cpus) cpus = std::max(1, static_cast<int>(*quota));
  return cpus;
}

}  // namespace keel
