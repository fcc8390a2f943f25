#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/plugin/elf.h"
#include "core/plugin/requirements.h"
#include "sdk/abi/plugin.h"

// Defined by a sanitizer's runtime when the host is built with it, else null.
extern "C" {
__attribute__((weak)) void __asan_init();
__attribute__((weak)) void __tsan_init();
__attribute__((weak)) void __ubsan_handle_type_mismatch_v1(void*, void*);
}

namespace keel {
namespace {

constexpr absl::string_view kAllowedLibraries[] = {
    "ld-linux-aarch64.so.1",
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
};

constexpr size_t kNamesInMessage = 5;

std::string FirstFew(std::vector<std::string> names) {
  const size_t more = names.size() - std::min(names.size(), kNamesInMessage);
  names.resize(names.size() - more);
  return absl::StrCat(absl::StrJoin(names, ", "),
                      more > 0 ? absl::StrCat(", and ", more, " more") : "");
}

void CheckExports(const ElfFacts& facts, std::vector<std::string>& wrong) {
  std::vector<std::string> extra = facts.exports;
  extra.erase(std::remove(extra.begin(), extra.end(), KEEL_PLUGIN_ENTRY), extra.end());
  if (!extra.empty()) {
    wrong.push_back(Breaks(3, absl::StrCat("exports ", FirstFew(extra),
                                           " beside " KEEL_PLUGIN_ENTRY
                                           "; link it with sdk/plugin.lds as its version script")));
  }
}

void CheckLibraries(const ElfFacts& facts, std::vector<std::string>& wrong) {
  std::vector<std::string> extra;
  for (const std::string& library : facts.needed) {
    if (!IsAllowedLibrary(library)) extra.push_back(library);
  }
  if (!extra.empty()) {
    wrong.push_back(Breaks(
        4, absl::StrCat("needs ", FirstFew(extra),
                        "; a plugin may link libc, libm and libgcc_s only (link what else it needs "
                        "statically)")));
  }
  if (!facts.loads_besides.empty()) {
    wrong.push_back(
        Breaks(5, absl::StrCat("is a filter or auditor of ", FirstFew(facts.loads_besides))));
  }
  if (!facts.search_paths.empty()) {
    wrong.push_back(
        Breaks(5, absl::StrCat("has the library search path ", FirstFew(facts.search_paths),
                               "; link it without -rpath")));
  }
}

}  // namespace

bool IsAllowedLibrary(absl::string_view soname) {
  if (std::find(std::begin(kAllowedLibraries), std::end(kAllowedLibraries), soname) !=
      std::end(kAllowedLibraries)) {
    return true;
  }
  return (__asan_init != nullptr && absl::StartsWith(soname, "libasan.so.")) ||
         (__tsan_init != nullptr && absl::StartsWith(soname, "libtsan.so.")) ||
         (__ubsan_handle_type_mismatch_v1 != nullptr && absl::StartsWith(soname, "libubsan.so."));
}

absl::Status CheckPluginElf(const ElfFacts& facts) {
  if (std::find(facts.exports.begin(), facts.exports.end(), KEEL_PLUGIN_ENTRY) ==
      facts.exports.end()) {
    return Breaks(2, absl::InvalidArgumentError("does not export " KEEL_PLUGIN_ENTRY
                                                ", so it is no Keel plugin"));
  }
  std::vector<std::string> wrong;
  const auto refuse = [&](int requirement, absl::string_view what) {
    wrong.push_back(Breaks(requirement, what));
  };
  if (facts.is_executable) refuse(1, "is a program; link it with -shared");
  CheckExports(facts, wrong);
  CheckLibraries(facts, wrong);
  if (facts.has_unique_symbols) {
    refuse(9, "has unique symbols and could not be unloaded; compile it with -fno-gnu-unique");
  }
  if (facts.never_unloads) refuse(9, "cannot be unloaded; link it without -z nodelete");
  if (facts.has_text_relocations) refuse(10, "has text relocations; compile it with -fPIC");
  if (facts.has_static_tls) {
    refuse(11,
           "uses initial-exec thread-local storage; compile it with -fPIC and without -ftls-model");
  }
  if (facts.has_executable_stack) {
    refuse(12, "wants an executable stack; link it with -z noexecstack");
  }
  if (facts.has_writable_code) refuse(12, "has a segment that is writable and executable");
  if (!facts.has_relro || !facts.binds_now) {
    refuse(13, "is linked without full RELRO; link it with -z relro -z now");
  }
  if (wrong.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(wrong, "; "));
}

}  // namespace keel
