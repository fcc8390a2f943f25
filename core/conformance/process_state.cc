#include "core/conformance/process_state.h"

#include <dirent.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <cfenv>
#include <clocale>
#include <cstring>
#include <fstream>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"

extern char** environ;

// Defined by a sanitizer's runtime, else null.
extern "C" {
__attribute__((weak)) void __asan_init();
__attribute__((weak)) void __tsan_init();
}

namespace keel::conformance {
namespace {

std::string Umask() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("Umask:", 0) == 0) return line.substr(6);
  }
  return "";
}

int CountEntries(const char* directory) {
  int count = 0;
  DIR* dir = opendir(directory);
  if (dir == nullptr) return 0;
  while (const dirent* entry = readdir(dir)) count += entry->d_name[0] != '.';
  closedir(dir);
  return count;
}

std::string FloatingPointMode() {
  std::string mode = absl::StrCat("rounding ", std::fegetround());
#if defined(__x86_64__)
  constexpr uint32_t kExceptionFlags = 0x3f;
  absl::StrAppend(&mode, ", mxcsr ", absl::Hex(__builtin_ia32_stmxcsr() & ~kExceptionFlags));
#endif
  return mode;
}

}  // namespace

std::map<std::string, std::string> ProcessSettings() {
  std::map<std::string, std::string> out;
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) != 0) continue;
    const char* name = sigabbrev_np(signal);
    out[absl::StrCat("handler of SIG", name != nullptr ? name : absl::StrCat(signal))] =
        absl::StrCat(absl::Hex(reinterpret_cast<uintptr_t>(action.sa_handler)));
  }
  const char* locale = std::setlocale(LC_ALL, nullptr);
  out["locale"] = locale != nullptr ? locale : "";
  std::set<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    variables.insert(*variable);
  }
  for (const std::string& variable : variables) absl::StrAppend(&out["environment"], variable, " ");
  char path[4096];
  out["directory"] = getcwd(path, sizeof(path)) != nullptr ? path : "";
  out["umask"] = Umask();
  out["floating-point mode"] = FloatingPointMode();
  return out;
}

std::string Difference(const std::map<std::string, std::string>& before,
                       const std::map<std::string, std::string>& after) {
  std::string out;
  for (const auto& [name, value] : after) {
    const auto was = before.find(name);
    const std::string old = was == before.end() ? "" : was->second;
    if (value == old) continue;
    absl::StrAppend(&out, out.empty() ? "" : "; ", name, ": ", value, ", was ", old);
  }
  return out;
}

int CountThreads() { return CountEntries("/proc/self/task"); }

int CountOpenFiles() { return CountEntries("/proc/self/fd"); }

int64_t ResidentBytes() {
  if (__asan_init != nullptr || __tsan_init != nullptr) return 0;
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

}  // namespace keel::conformance
