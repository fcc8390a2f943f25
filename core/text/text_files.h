// The files of a checkpoint that say how text becomes token ids and messages become text, as bytes:
// read once, so that what the probe tries is what the process uses.
#ifndef KEEL_CORE_TEXT_TEXT_FILES_H_
#define KEEL_CORE_TEXT_TEXT_FILES_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace keel {

// Each member is a file's content; empty if the checkpoint has no such file.
struct TextFiles {
  std::string tokenizer;           // tokenizer.json
  std::string tokenizer_config;    // tokenizer_config.json
  std::string special_tokens_map;  // special_tokens_map.json, of older checkpoints
  std::string added_tokens;        // added_tokens.json, of older checkpoints
  std::string chat_template_json;  // chat_template.json, of older processors
  // Name -> Jinja source. chat_template.jinja is "default"; additional_chat_templates/<name>.jinja
  // is <name>.
  std::map<std::string, std::string> chat_templates;

  bool operator==(const TextFiles&) const = default;
};

// Reads what there is in `dir`. kNotFound if there is no tokenizer.json; it says which other
// tokenizer files were seen, for instance tokenizer.model, and what to do.
absl::StatusOr<TextFiles> ReadTextFiles(const std::string& dir);

// One string that holds `files`, and back: how they reach the probe's process.
std::string SerializeTextFiles(const TextFiles& files);
absl::StatusOr<TextFiles> ParseTextFiles(absl::string_view bytes);

}  // namespace keel

#endif  // KEEL_CORE_TEXT_TEXT_FILES_H_
