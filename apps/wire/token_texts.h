// Texts and bytes of single tokens, for log-probabilities.
#ifndef KEEL_APPS_WIRE_TOKEN_TEXTS_H_
#define KEEL_APPS_WIRE_TOKEN_TEXTS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "sdk/keel/engine.h"

namespace keel::apps {

// How many characters begin in these bytes of UTF-8: parts of one character count once together.
size_t CountCharacters(std::string_view bytes);

// A log-probability as JSON can hold it (no infinity).
double FiniteLogprob(float logprob);

// What a token is in a text.
struct TokenText {
  // "token_id:42" if so asked for; the bytes, if they are whole characters; else as OpenAI writes
  // them, "bytes:\xf0\x9f". Two tokens of different bytes never have one text.
  std::string text;
  std::string bytes;     // inside of a text: the space before a word, a part of a character
  bool special = false;  // texts leave it out unless skip_special_tokens is false
};

// Keeps what it has looked up. `engine` must outlive it. With `as_ids` a text is "token_id:42".
class TokenTexts {
 public:
  explicit TokenTexts(const Engine& engine, bool as_ids = false)
      : engine_(engine), as_ids_(as_ids) {}
  const TokenText& Get(int32_t id);
  const std::string& Text(int32_t id) { return Get(id).text; }

 private:
  const Engine& engine_;
  const bool as_ids_;
  std::unordered_map<int32_t, TokenText> texts_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_TOKEN_TEXTS_H_
