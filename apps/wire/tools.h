// The tools of a call, and calls of them.
#ifndef KEEL_APPS_WIRE_TOOLS_H_
#define KEEL_APPS_WIRE_TOOLS_H_

#include <string>

#include "apps/wire/fields.h"
#include "boost/json/array.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct ToolChoice {
  enum class Kind {
    kAuto,      // the model may call tools
    kNone,      // it may not
    kRequired,  // it calls some
    kNamed,     // it calls this one
  };

  Kind kind = Kind::kAuto;
  std::string name = {};
};

// Sets `tools`, in the form that chat templates take, and what may be called of them, and has the text
// taken apart into reasoning, answer and calls (Output::parts). Errors are left in `fields`, of its fields
// tools and tool_choice.
void SetTools(Fields& fields, const boost::json::array& tools, const ToolChoice& choice,
              Request& request);

// A new name for a call that a model makes: nine letters and digits, as the strictest chat templates take
// them back.
std::string NewToolCallId();

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_TOOLS_H_
