// Everything that can be known about a plugin file without running it.
#ifndef KEEL_CORE_PLUGIN_INSPECT_H_
#define KEEL_CORE_PLUGIN_INSPECT_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/plugin/note.h"

namespace keel {

// A larger file is no plugin.
constexpr int64_t kMaxPluginBytes = 256 << 20;

// The note of a plugin of this host's ABI whose bytes follow every rule of core/plugin/elf.h; else
// why it is none.
absl::StatusOr<PluginNote> InspectPlugin(absl::Span<const uint8_t> bytes);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_INSPECT_H_
