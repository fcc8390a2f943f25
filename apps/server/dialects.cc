#include "apps/server/dialects.h"

#include "apps/wire/openai/openai.h"
#include "apps/wire/tgi/tgi.h"

namespace keel::apps {

std::span<const Dialect* const> Dialects() {
  static const Dialect* const dialects[] = {&OpenAi(), &Tgi()};
  return dialects;
}

}  // namespace keel::apps
