#include "apps/wire/token_texts.h"

#include <utility>

namespace keel::apps {

const std::string& TokenTexts::Text(int32_t id) {
  auto [it, is_new] = texts_.try_emplace(id);
  if (is_new && as_ids_) {
    it->second = "token_id:" + std::to_string(id);
  } else if (is_new) {
    Result<std::string> text = engine_.Detokenize({&id, 1}, /*skip_special_tokens=*/false);
    it->second = text.ok() ? *std::move(text) : "token_id:" + std::to_string(id);
  }
  return it->second;
}

}  // namespace keel::apps
