#include "core/chat/parsers/xml_tools.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace keel {
namespace {

namespace json = boost::json;
using Kind = OutputPart::Kind;

constexpr absl::string_view kCall = "<tool_call>", kCallEnd = "</tool_call>";
constexpr absl::string_view kFunction = "<function=", kFunctionEnd = "</function>";
constexpr absl::string_view kParameter = "<parameter=", kParameterEnd = "</parameter>";
constexpr absl::string_view kTagEnd = ">";

// A JSON string, quotes and all.
std::string Quoted(absl::string_view text) {
  return json::serialize(json::string(text.data(), text.size()));
}

std::string ValueJson(absl::string_view text) {
  boost::system::error_code error;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (!error) return json::serialize(value);
  if (text == "True" || text == "False") return absl::AsciiStrToLower(text);
  return text == "None" ? "null" : Quoted(text);
}

}  // namespace

// Without <tool_call> too, as these models write at times.
XmlTools::XmlTools(IsString is_string)
    : MarkedTools({kCall, kFunction}, {kFunctionEnd, kCallEnd}), is_string_(std::move(is_string)) {}

void XmlTools::BeginCalls(size_t begin) {
  is_wrapped_ = begin == 0;
  state_ = is_wrapped_ ? State::kBetween : State::kFunctionName;
}

bool XmlTools::CallStep(std::vector<OutputPart>* parts) {
  std::string skipped;
  switch (state_) {
    case State::kBetween: {
      const absl::string_view markers[] = {kFunction, kCallEnd};
      const int found = scanner().TakeUntil(markers, &skipped);
      if (found < 0) return false;
      if (found == 0) {
        state_ = State::kFunctionName;
      } else {
        LeaveCalls();
      }
      return true;
    }
    case State::kFunctionName: {
      if (scanner().TakeUntil({&kTagEnd, 1}, &function_) < 0) return false;
      function_ = std::string(absl::StripAsciiWhitespace(function_));
      AddPart(Kind::kToolName, function_, parts);
      num_parameters_ = 0;
      state_ = State::kParameters;
      return true;
    }
    case State::kParameters: {
      const absl::string_view markers[] = {kParameter, kFunctionEnd, kCallEnd};
      const int found = scanner().TakeUntil(markers, &skipped);
      if (found < 0) return false;
      if (found == 0) {
        state_ = State::kParameterName;
      } else {
        EndFunction(parts);
        if (found == 2) LeaveCalls();
      }
      return true;
    }
    case State::kParameterName:
      if (scanner().TakeUntil({&kTagEnd, 1}, &parameter_) < 0) return false;
      BeginValue(parts);
      return true;
    case State::kValue:
      return ValueStep(parts);
  }
  return false;
}

void XmlTools::BeginValue(std::vector<OutputPart>* parts) {
  AddPart(Kind::kToolArguments, num_parameters_++ == 0 ? "{" : ", ", parts);
  AddPart(Kind::kToolArguments, Quoted(absl::StripAsciiWhitespace(parameter_)) + ": ", parts);
  tells_ = is_string_ && is_string_(function_, absl::StripAsciiWhitespace(parameter_));
  if (tells_) AddPart(Kind::kToolArguments, "\"", parts);
  parameter_.clear();
  value_begun_ = false;
  state_ = State::kValue;
}

void XmlTools::TellString(std::string piece, bool is_last, std::vector<OutputPart>* parts) {
  value_ += piece;
  if (!value_begun_ && !value_.empty()) {
    value_begun_ = true;
    if (value_.front() == '\n') value_.erase(0, 1);
  }
  std::string kept;
  if (!value_.empty() && value_.back() == '\n') {
    value_.pop_back();
    kept.push_back('\n');
  }
  const std::string quoted = Quoted(value_);
  AddPart(Kind::kToolArguments, absl::string_view(quoted).substr(1, quoted.size() - 2), parts);
  value_ = is_last ? std::string() : kept;
}

// True when the value has ended.
bool XmlTools::ValueStep(std::vector<OutputPart>* parts) {
  const absl::string_view markers[] = {kParameterEnd, kParameter, kFunctionEnd};
  std::string piece;
  const int found = scanner().TakeUntil(markers, &piece);
  if (tells_) {
    TellString(std::move(piece), found >= 0, parts);
    if (found < 0) return false;
    AddPart(Kind::kToolArguments, "\"", parts);
  } else {
    value_ += piece;
    if (found < 0) return false;
    absl::string_view text = value_;
    absl::ConsumePrefix(&text, "\n");
    absl::ConsumeSuffix(&text, "\n");
    AddPart(Kind::kToolArguments, ValueJson(text), parts);
    value_.clear();
  }
  state_ = State::kParameters;
  if (found > 0) scanner().PutBack(markers[found]);  // its own end is missing
  return true;
}

void XmlTools::EndFunction(std::vector<OutputPart>* parts) {
  AddPart(Kind::kToolArguments, num_parameters_ == 0 ? "{}" : "}", parts);
  function_.clear();
  state_ = State::kBetween;
  if (!is_wrapped_) LeaveCalls();
}

void XmlTools::EndCalls(std::vector<OutputPart>*) {
  scanner().Take(scanner().rest().size());
  function_.clear();
  parameter_.clear();
  value_.clear();
  state_ = State::kBetween;
  LeaveCalls();
}

}  // namespace keel
