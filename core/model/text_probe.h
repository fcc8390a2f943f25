// Loads tokenizer and template after trying them in a limited child process. The libraries behind
// them can end a process (a failed allocation aborts, endless recursion overflows the stack) or
// never return, and no catch helps; so what kills or stalls the child is refused here.
#ifndef KEEL_CORE_MODEL_TEXT_PROBE_H_
#define KEEL_CORE_MODEL_TEXT_PROBE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/chat/chat_template.h"
#include "core/text/text_files.h"
#include "core/text/tokenizer.h"

namespace keel {

struct ProbeOptions {
  // The program keel-text-probe. Empty: $KEEL_TEXT_PROBE; else beside the shared library or program
  // that holds this code, beside the main program, in Bazel's runfiles of either.
  std::string program;
  absl::Duration wall_limit = absl::Seconds(20);
  int64_t cpu_seconds = 10;
  // Address space of the child, beside 24 times the files' size.
  int64_t memory_bytes = int64_t{1} << 30;
};

// OK if `files` load and work in a child: tokenizer (loads, encodes and decodes a few texts, a long
// run without spaces among them) and each chat template (compiles, renders a few conversations;
// that a template refuses them is no error). Errors: kInvalidArgument with what the child said or
// how it died, in which file and step; kNotFound with the places looked at if the program is
// missing. Never skipped silently. Thread-safe; starts one process by posix_spawn.
absl::Status ProbeText(const TextFiles& files, const ProbeOptions& options = {});

// What a model needs of this folder.
struct Text {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat_template;  // null if the checkpoint has none
  // What templates are given as content, where the user says so; LoadText leaves it unset.
  std::optional<ContentFormat> content_format;
};

// Reads the files of `dir`, probes them and builds both from the same bytes. `chat_template`, unless
// it is empty, is used instead of the checkpoint's: a file, or the template itself.
absl::StatusOr<Text> LoadText(const std::string& dir, const std::string& chat_template = "",
                              const ProbeOptions& options = {});

}  // namespace keel

#endif  // KEEL_CORE_MODEL_TEXT_PROBE_H_
