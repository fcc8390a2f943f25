#include "apps/wire/tools.h"

#include "apps/common/request_id.h"
#include "apps/wire/request_fields.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace {

constexpr size_t kIdSize = 9;

}  // namespace

void SetTools(Fields& fields, const boost::json::array& tools, const ToolChoice& choice,
              Request& request) {
  SetInt(fields, request, "tools", "parse_output", 1);
  if (choice.kind == ToolChoice::Kind::kNamed) {
    CheckSet(fields, "tool_choice", request.SetString("tool_name", choice.name));
  } else {
    const char* word = choice.kind == ToolChoice::Kind::kAuto   ? "auto"
                       : choice.kind == ToolChoice::Kind::kNone ? "none"
                                                                : "required";
    CheckSet(fields, "tool_choice", request.SetString("tool_choice", word));
  }
  if (!tools.empty()) {
    CheckSet(fields, "tools", request.SetString("tools", boost::json::serialize(tools)));
  } else if (choice.kind == ToolChoice::Kind::kRequired ||
             choice.kind == ToolChoice::Kind::kNamed) {
    fields.Fail(InvalidField("tool_choice", "tool_choice is set, but tools is missing"));
  }
}

std::string NewToolCallId() { return NewRequestId().substr(0, kIdSize); }

}  // namespace keel::apps
