#include "apps/server/dialects.h"

#include "apps/wire/openai/openai.h"

namespace keel::apps {

std::span<const Dialect* const> Dialects() {
  static const Dialect* const dialects[] = {&OpenAi()};
  return dialects;
}

}  // namespace keel::apps
