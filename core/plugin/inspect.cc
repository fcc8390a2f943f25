#include "core/plugin/inspect.h"

#include "core/base/status.h"
#include "core/plugin/elf.h"
#include "core/plugin/requirements.h"

namespace keel {

absl::StatusOr<PluginNote> InspectPlugin(absl::Span<const uint8_t> bytes) {
  absl::StatusOr<ElfFacts> read = ReadElf(bytes);
  KEEL_RETURN_IF_ERROR(Breaks(1, read.status()));
  const ElfFacts& facts = *read;
  PluginNote note;
  if (facts.note.has_value()) {
    // First, so that a plugin of another ABI hears that, and not what else has changed since.
    absl::StatusOr<PluginNote> parsed = ParsePluginNote(*facts.note);
    KEEL_RETURN_IF_ERROR(Breaks(7, parsed.status()));
    note = *std::move(parsed);
    KEEL_RETURN_IF_ERROR(Breaks(8, CheckPluginAbi({note.abi_major, note.abi_minor})));
  }
  KEEL_RETURN_IF_ERROR(CheckPluginElf(facts));
  if (!facts.note.has_value()) {
    return Breaks(
        6, absl::InvalidArgumentError(
               "has no Keel note, so what it provides is not known before it runs; write "
               "KEEL_PLUGIN or KEEL_PLUGIN_NOTE (sdk/abi/plugin_note.h) in one of its sources"));
  }
  return note;
}

}  // namespace keel
