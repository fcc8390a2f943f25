/* keel/plugin_note.h: the ELF note that says what a plugin file provides, so that a host can find
 * the file for a model without running any of its code. C11 and C++20. One note a plugin, in one of
 * its source files (in C++ KEEL_PLUGIN of sdk/keel writes it):
 *
 *   #include "sdk/abi/plugin_note.h"
 *
 *   KEEL_PLUGIN_NOTE("id=org.example.llama\n"
 *                    "version=1.0.0\n"
 *                    "architectures=LlamaForCausalLM\n"
 *                    "model_types=llama\n");
 *
 * The note lies in section .note.keel.plugin: owner "keel", type 1, and as its content
 * KEEL_ABI_MAJOR, KEEL_ABI_MINOR (u32 each, put there by the macro) and the text. Lines are
 * key=value, lists are separated by commas:
 *
 *   id, version     as in the descriptor; required
 *   architectures   every name and architecture of the items of "keel.models/1"
 *   model_types     their model_type values
 *   attention       names of the items of "keel.attention/1"
 *   kernels         names of the items of "keel.kernels/1"
 *   processors      names of the items of "keel.processors/1"
 *
 * An empty list may be left out; the order in a list is free; unknown keys are ignored. A name is 1
 * to 200 printable ASCII characters without blanks, commas, quotes and backslashes. The host
 * compares the note with what the loaded plugin says and refuses a plugin whose note says
 * otherwise.
 */
#ifndef KEEL_SDK_ABI_PLUGIN_NOTE_H_
#define KEEL_SDK_ABI_PLUGIN_NOTE_H_

#include "sdk/abi/plugin.h"

#define KEEL_NOTE_SECTION ".note.keel.plugin"
#define KEEL_NOTE_OWNER "keel"
#define KEEL_NOTE_TYPE 1u
#define KEEL_NOTE_MAX_BYTES 65536u

#if defined(__clang__) /* its AddressSanitizer would put a redzone into the note */
#define KEEL_NOTE_ATTRIBUTES \
  __attribute__((used, section(KEEL_NOTE_SECTION), aligned(4), no_sanitize("address")))
#else
#define KEEL_NOTE_ATTRIBUTES __attribute__((used, section(KEEL_NOTE_SECTION), aligned(4)))
#endif

/* `text`: a string literal. */
#define KEEL_PLUGIN_NOTE(text)                                                      \
  KEEL_NOTE_ATTRIBUTES static const struct {                                        \
    uint32_t owner_size, content_size, type;                                        \
    char owner[8];                                                                  \
    uint32_t abi_major, abi_minor;                                                  \
    char lines[sizeof(text)];                                                       \
  } keel_plugin_note_ = {sizeof(KEEL_NOTE_OWNER), 8 + sizeof(text), KEEL_NOTE_TYPE, \
                         KEEL_NOTE_OWNER,         KEEL_ABI_MAJOR,   KEEL_ABI_MINOR, \
                         text}

#endif /* KEEL_SDK_ABI_PLUGIN_NOTE_H_ */
