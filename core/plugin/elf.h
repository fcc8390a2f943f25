// What a shared library says about itself in its ELF headers, read from its bytes without running
// or mapping any of it. The bytes may be hostile: everything is bounds-checked, and where a file
// could tell the dynamic linker something else than it tells us (overlapping segments, an entry
// that is there twice), it is refused as malformed.
#ifndef KEEL_CORE_PLUGIN_ELF_H_
#define KEEL_CORE_PLUGIN_ELF_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace keel {

struct ElfFacts {
  std::vector<std::string> exports;        // symbols that other objects can bind to, sorted
  std::vector<std::string> needed;         // DT_NEEDED, in order
  std::vector<std::string> loads_besides;  // DT_FILTER, DT_AUXILIARY, DT_AUDIT, DT_DEPAUDIT
  std::vector<std::string> search_paths;   // DT_RPATH, DT_RUNPATH
  std::optional<std::string> note;         // content of the note that owner "keel", type 1 wrote
  bool has_unique_symbols = false;         // STB_GNU_UNIQUE: dlclose would not unmap the library
  bool has_text_relocations = false;
  bool has_static_tls = false;  // initial-exec TLS: may not fit once the process runs
  bool is_executable = false;   // a position-independent program, not a library
  bool never_unloads = false;   // linked with -z nodelete
  bool has_executable_stack = false;
  bool has_writable_code = false;  // a segment that is writable and executable
  bool has_relro = false;
  bool binds_now = false;
};

// Errors (kInvalidArgument): not ELF, another class, byte order, OS or machine than this host's, no
// shared library, truncated or malformed; the message says which.
absl::StatusOr<ElfFacts> ReadElf(absl::Span<const uint8_t> bytes);

// What a plugin file must be beyond well-formed ELF; all that is wrong, in one message. These rules
// keep accidents out (symbols that clash, libraries that the machine lacks); they are no boundary
// against a hostile author, whose constructors run as soon as the file is loaded.
absl::Status CheckPluginElf(const ElfFacts& facts);

// True if a plugin may link the library `soname` (libc and its parts, libgcc_s; the runtime of a
// sanitizer that this host is built with).
bool IsAllowedLibrary(absl::string_view soname);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_ELF_H_
