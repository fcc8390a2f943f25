// The note that a plugin file carries (sdk/abi/plugin_note.h): what it provides, known before any
// of its code runs.
#ifndef KEEL_CORE_PLUGIN_NOTE_H_
#define KEEL_CORE_PLUGIN_NOTE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sdk/abi/plugin.h"

namespace keel {

struct PluginNote {
  uint32_t abi_major = 0;
  uint32_t abi_minor = 0;
  std::string id;       // reverse DNS
  std::string version;  // the plugin's own
  // Names of its classes, each list sorted and without repetitions.
  std::vector<std::string> architectures;
  std::vector<std::string> model_types;
  std::vector<std::string> attention;
  std::vector<std::string> kernels;
  std::vector<std::string> processors;
};

// Parses the content of the ELF note. Errors (kInvalidArgument) name the line.
absl::StatusOr<PluginNote> ParsePluginNote(absl::string_view content);

struct AbiVersion {
  uint32_t major, minor;
};

// Whether a host can load a plugin of that ABI: of its own major, and while that is 0 of its own
// minor too, for only from 1.0 on do interfaces just grow; which host a newer plugin needs, it says
// itself (min_host_minor). The error (kFailedPrecondition) names both versions and what to do.
absl::Status CheckPluginAbi(AbiVersion plugin, AbiVersion host = {KEEL_ABI_MAJOR, KEEL_ABI_MINOR});

// OK if `loaded`, what the plugin's code says, is what its note says; else an error
// (kFailedPrecondition) naming the first difference.
absl::Status CompareNotes(const PluginNote& note, const PluginNote& loaded);

// Sorts and drops repetitions: the form of PluginNote's lists.
void SortNames(std::vector<std::string>& names);

// True for a name that a class, a plugin or a list item may have: printable ASCII without spaces,
// commas, quotes or control characters, 1 to 200 characters.
bool IsPluginName(absl::string_view name);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_NOTE_H_
