#include "apps/server/dialects.h"

#include <algorithm>

#include "apps/wire/anthropic/anthropic.h"
#include "apps/wire/openai/openai.h"
#include "apps/wire/sglang/sglang.h"
#include "apps/wire/tgi/tgi.h"

namespace keel::apps {

std::span<const Dialect* const> Dialects() {
  static const Dialect* const dialects[] = {&OpenAi(), &Tgi(), &Sglang(), &Anthropic()};
  return dialects;
}

std::vector<const Dialect*> DialectsFrom(std::string_view name) {
  std::vector<const Dialect*> all(Dialects().begin(), Dialects().end());
  std::stable_partition(all.begin(), all.end(),
                        [name](const Dialect* dialect) { return dialect->name == name; });
  return all;
}

}  // namespace keel::apps
