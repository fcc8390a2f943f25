// The note of sdk/abi/plugin_note.h, made by the compiler from what a plugin registers, so that the
// two cannot differ.
#ifndef KEEL_SDK_KEEL_PLUGIN_NOTE_H_
#define KEEL_SDK_KEEL_PLUGIN_NOTE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "sdk/abi/plugin_note.h"

namespace keel::internal {

template <size_t kSize>
struct NoteBytes {
  uint32_t owner_size = sizeof(KEEL_NOTE_OWNER);
  uint32_t content_size = 8 + kSize;
  uint32_t type = KEEL_NOTE_TYPE;
  char owner[8] = KEEL_NOTE_OWNER;
  uint32_t abi_major = KEEL_ABI_MAJOR;
  uint32_t abi_minor = KEEL_ABI_MINOR;
  char lines[kSize] = {};
};

// The note for the text that `kText` (a lambda without captures) returns.
template <auto kText>
consteval auto MakeNote() {
  NoteBytes<kText().size() + 1> note;
  const std::string text = kText();
  for (size_t i = 0; i < text.size(); ++i) note.lines[i] = text[i];
  return note;
}

}  // namespace keel::internal

// Writes the note. The argument is an expression of type std::string that the compiler evaluates.
#define KEEL_PLUGIN_NOTE_OF(...)                                 \
  KEEL_NOTE_ATTRIBUTES static constexpr auto keel_plugin_note_ = \
      ::keel::internal::MakeNote<[] { return std::string(__VA_ARGS__); }>()

#endif  // KEEL_SDK_KEEL_PLUGIN_NOTE_H_
