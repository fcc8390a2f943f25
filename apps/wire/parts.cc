#include "apps/wire/parts.h"

namespace keel::apps {

std::vector<OutputPart> PartsOf(const OwnedOutput& output) {
  if (output.text.empty()) return {};
  return {{.kind = OutputPart::Kind::kText, .text = output.text}};
}

}  // namespace keel::apps
