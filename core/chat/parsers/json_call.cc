#include "core/chat/parsers/json_call.h"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "absl/strings/ascii.h"

namespace keel {
namespace {

using Kind = OutputPart::Kind;

}  // namespace

std::string JsonStringText(absl::string_view json) {
  boost::system::error_code error;
  const boost::json::value value =
      boost::json::parse(boost::json::string_view(json.data(), json.size()), error);
  if (error || !value.is_string()) return std::string(json);
  return std::string(value.get_string());
}

bool JsonCall::TakeMark(char c) {
  if (absl::ascii_isspace(static_cast<unsigned char>(c))) return true;
  switch (state_) {
    case State::kBegin:
      if (c != '{') return false;
      state_ = State::kKey;
      return true;
    case State::kColon:
      if (c != ':') return false;
      state_ = State::kValue;
      return true;
    case State::kComma:
      if (c != ',') return false;
      state_ = State::kKey;
      return true;
    default:
      return false;
  }
}

void JsonCall::TakeValue(absl::string_view piece, std::vector<OutputPart>* parts) {
  if (!in_value_) value_is_string_ = piece.front() == '"';
  in_value_ = true;
  const bool streams = member_ == Member::kArguments && state_ == State::kValue;
  if (!streams || value_is_string_) {
    value_.append(piece.data(), piece.size());
  } else if (is_named_) {
    AddPart(Kind::kToolArguments, piece, parts);
  } else {
    arguments_.append(piece.data(), piece.size());
  }
}

void JsonCall::EndValue(const IsTool& is_tool, std::vector<OutputPart>* parts) {
  scanner_ = JsonValueScanner();
  in_value_ = false;
  const std::string value = std::exchange(value_, "");
  if (state_ == State::kKey) {
    const std::string key = JsonStringText(value);
    member_ = key == "name"                               ? Member::kName
              : key == "arguments" || key == "parameters" ? Member::kArguments
                                                          : Member::kOther;
    state_ = State::kColon;
    return;
  }
  state_ = State::kComma;
  if (member_ == Member::kName && !is_named_) {
    const std::string name = JsonStringText(value);
    if (!value_is_string_ || name.empty() || (is_tool && !is_tool(name))) {
      state_ = State::kFailed;
      return;
    }
    is_named_ = true;
    raw_.clear();
    AddPart(Kind::kToolName, name, parts);
    AddPart(Kind::kToolArguments, std::exchange(arguments_, ""), parts);
  } else if (member_ == Member::kArguments) {
    has_arguments_ = true;
    if (!value_is_string_) return;
    // The object's text as a string.
    if (is_named_) {
      AddPart(Kind::kToolArguments, JsonStringText(value), parts);
    } else {
      arguments_ = JsonStringText(value);
    }
  }
}

void JsonCall::Close(std::vector<OutputPart>* parts) {
  if (!is_named_) {
    state_ = State::kFailed;
    return;
  }
  if (!has_arguments_) AddPart(Kind::kToolArguments, "{}", parts);
  state_ = State::kDone;
}

size_t JsonCall::Add(absl::string_view text, const IsTool& is_tool,
                     std::vector<OutputPart>* parts) {
  size_t at = 0;
  while (at < text.size() && !done() && !failed()) {
    const char c = text[at];
    const bool is_space = absl::ascii_isspace(static_cast<unsigned char>(c));
    const bool in_value =
        in_value_ || (state_ == State::kKey && c == '"') || (state_ == State::kValue && !is_space);
    const bool ends = c == '}' && !in_value_ && (state_ == State::kComma || state_ == State::kKey);
    size_t taken = 1;
    if (ends) {
      if (!is_named_) raw_ += c;
      Close(parts);
    } else if (in_value) {
      taken = scanner_.Add(text.substr(at));
      const absl::string_view piece = text.substr(at, taken);
      if (!is_named_) raw_.append(piece.data(), piece.size());
      TakeValue(piece, parts);
      if (scanner_.done()) EndValue(is_tool, parts);
    } else {
      if (!is_named_) raw_ += c;
      if (!TakeMark(c)) is_named_ ? Close(parts) : void(state_ = State::kFailed);
    }
    at += taken;
  }
  return at;
}

void JsonCall::Finish(std::vector<OutputPart>*) {
  if (!done() && !failed()) state_ = is_named_ ? State::kDone : State::kFailed;
}

}  // namespace keel
