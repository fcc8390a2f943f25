// What a sequence produced, taken apart.
#ifndef KEEL_APPS_WIRE_PARTS_H_
#define KEEL_APPS_WIRE_PARTS_H_

#include <string>
#include <vector>

#include "sdk/keel/engine.h"

namespace keel::apps {

struct OutputPart {
  enum class Kind {
    kText,
    kReasoning,      // before the answer
    kToolName,       // a call of this tool begins
    kToolArguments,  // of that call, JSON in pieces
  };

  Kind kind = Kind::kText;
  std::string text;
  std::string call_id = {};  // of kToolName
};

std::vector<OutputPart> PartsOf(const OwnedOutput& output);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_PARTS_H_
