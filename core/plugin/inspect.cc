#include "core/plugin/inspect.h"

#include "core/base/status.h"
#include "core/plugin/elf.h"

namespace keel {

absl::StatusOr<PluginNote> InspectPlugin(absl::Span<const uint8_t> bytes) {
  KEEL_ASSIGN_OR_RETURN(const ElfFacts facts, ReadElf(bytes));
  PluginNote note;
  if (facts.note.has_value()) {
    // First, so that a plugin of another ABI hears that, and not what else has changed since.
    KEEL_ASSIGN_OR_RETURN(note, ParsePluginNote(*facts.note));
    KEEL_RETURN_IF_ERROR(CheckPluginAbi({note.abi_major, note.abi_minor}));
  }
  KEEL_RETURN_IF_ERROR(CheckPluginElf(facts));
  if (!facts.note.has_value()) {
    return absl::InvalidArgumentError(
        "has no Keel note, so what it provides is not known before it runs; write KEEL_PLUGIN or "
        "KEEL_PLUGIN_NOTE (sdk/abi/plugin_note.h) in one of its sources");
  }
  return note;
}

}  // namespace keel
