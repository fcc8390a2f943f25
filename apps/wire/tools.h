// The tools of a call.
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

// Sets `tools`, in the form that chat templates take, and what may be called of them. Errors are left in
// `fields`, of its fields tools and tool_choice.
void SetTools(Fields& fields, const boost::json::array& tools, const ToolChoice& choice,
              Request& request);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_TOOLS_H_
