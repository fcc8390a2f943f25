// Texts of single tokens, for log-probabilities.
#ifndef KEEL_APPS_WIRE_TOKEN_TEXTS_H_
#define KEEL_APPS_WIRE_TOKEN_TEXTS_H_

#include <cstdint>
#include <string>
#include <unordered_map>

#include "sdk/keel/engine.h"

namespace keel::apps {

// Keeps what it has looked up. `engine` must outlive it. With `as_ids` a text is "token_id:42".
class TokenTexts {
 public:
  explicit TokenTexts(const Engine& engine, bool as_ids = false)
      : engine_(engine), as_ids_(as_ids) {}
  const std::string& Text(int32_t id);

 private:
  const Engine& engine_;
  const bool as_ids_;
  std::unordered_map<int32_t, std::string> texts_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_TOKEN_TEXTS_H_
