// tokenizer_config.json and the two older files beside it: which tokens they add and what role each
// token plays, by the rules of transformers 5.
#ifndef KEEL_CORE_TEXT_TOKENIZER_CONFIG_H_
#define KEEL_CORE_TEXT_TOKENIZER_CONFIG_H_

#include <boost/json/array.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/text/text_files.h"

namespace keel {

struct TokenizerConfig {
  // What keel_text_tokenizer_new takes as `added`.
  boost::json::array added_tokens;
  // "bos_token" -> "<s>"; every role that names a token.
  std::map<std::string, std::string> special_tokens;
  std::optional<int64_t> model_max_length;
  // Of byte-level classes that give it to their pre-tokenizer (GPT2Tokenizer ...); others ignore it.
  std::optional<bool> add_prefix_space;
  // Inline templates by name; a single one is "default".
  std::map<std::string, std::string> chat_templates;
};

absl::StatusOr<TokenizerConfig> ReadTokenizerConfig(const TextFiles& files);

}  // namespace keel

#endif  // KEEL_CORE_TEXT_TOKENIZER_CONFIG_H_
