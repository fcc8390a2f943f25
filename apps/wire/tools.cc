#include "apps/wire/tools.h"

#include "apps/wire/request_fields.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {

void SetTools(Fields& fields, const boost::json::array& tools, const ToolChoice& choice,
              Request& request) {
  if (tools.empty()) {
    if (choice.kind == ToolChoice::Kind::kRequired || choice.kind == ToolChoice::Kind::kNamed)
      fields.Fail(InvalidField("tool_choice", "tool_choice is set, but tools is missing"));
    return;
  }
  if (choice.kind != ToolChoice::Kind::kNone) {
    return fields.Fail(NotServed(
        "tool_choice",
        "tools need a parser of tool calls, which is not served yet; with a tool_choice of "
        "none the model sees the tools and answers in text"));
  }
  CheckSet(fields, "tools", request.SetString("tools", boost::json::serialize(tools)));
}

}  // namespace keel::apps
