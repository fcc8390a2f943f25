#include "core/grammar/grammar_source.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/grammar/ebnf.h"
#include "core/grammar/lark.h"

namespace keel {
namespace {

// Deepest nesting of brackets, those of strings and classes counted too.
int BracketDepth(absl::string_view text) {
  int depth = 0;
  int deepest = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
      case '\\':
        ++i;
        break;
      case '(':
      case '[':
      case '{':
        deepest = std::max(deepest, ++depth);
        break;
      case ')':
      case ']':
      case '}':
        depth = std::max(depth - 1, 0);
        break;
      default:
        break;
    }
  }
  return deepest;
}

absl::Status CheckBrackets(absl::string_view text, const GrammarLimits& limits) {
  if (BracketDepth(text) <= limits.bracket_depth) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("brackets are nested deeper than ", limits.bracket_depth));
}

absl::StatusOr<std::string> LarkOfChoice(const GrammarSpec& spec, const GrammarLimits& limits) {
  KEEL_ASSIGN_OR_RETURN(
      const boost::json::value value,
      ParseJson(spec.source, "choice", {.max_bytes = limits.source_bytes, .max_depth = 2}));
  const boost::json::array* choices = value.if_array();
  if (choices == nullptr || choices->empty()) {
    return absl::InvalidArgumentError("expected a list of at least one string");
  }
  // One terminal, so that a choice may begin another.
  std::string lark = "start: CHOICE\nCHOICE: ";
  for (const boost::json::value& choice : *choices) {
    if (!choice.is_string()) {
      return absl::InvalidArgumentError(
          absl::StrCat("found ", JsonSnippet(choice), ", expected a string"));
    }
    const boost::json::string& text = choice.get_string();
    absl::StrAppend(&lark, &choice == choices->begin() ? "" : " | ",
                    LarkString({text.data(), text.size()}));
  }
  return lark;
}

absl::StatusOr<std::string> LarkOfGrammar(const GrammarSpec& spec, const GrammarLimits& limits) {
  if (IsEbnf(spec.source)) return EbnfToLark(spec.source, {.max_rules = limits.references});
  KEEL_RETURN_IF_ERROR(CheckBrackets(spec.source, limits));
  // Each definition has a line of its own.
  int rules = 0;
  for (const absl::string_view line : absl::StrSplit(spec.source, '\n')) {
    rules += absl::StrContains(line, ':');
  }
  if (rules > limits.references) {
    return absl::InvalidArgumentError(
        absl::StrCat("there are more than ", limits.references, " rules"));
  }
  return spec.source;
}

absl::Status CheckRegex(absl::string_view regex, const GrammarLimits& limits) {
  if (regex.size() > limits.regex_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the regex has ", regex.size(), " bytes, at most ", limits.regex_bytes, " are taken"));
  }
  return CheckBrackets(regex, limits);
}

// Keywords are looked for wherever they stand: what is no schema but, say, a constant is seldom
// that large.
absl::Status CheckKeyword(absl::string_view key, const boost::json::value& value,
                          const GrammarLimits& limits) {
  if (key == "pattern" && value.is_string()) {
    const boost::json::string& pattern = value.get_string();
    return Annotate(CheckRegex({pattern.data(), pattern.size()}, limits), "pattern");
  }
  if (key == "properties" && value.is_object() && value.get_object().size() > limits.properties) {
    return absl::InvalidArgumentError(absl::StrCat("an object has ", value.get_object().size(),
                                                   " properties, at most ", limits.properties,
                                                   " are taken"));
  }
  if (key == "multipleOf" && value.is_number() &&
      value.to_number<double>() > static_cast<double>(limits.multiple_of)) {
    return absl::InvalidArgumentError(
        absl::StrCat("multipleOf is ", JsonSnippet(value), ", at most ", limits.multiple_of));
  }
  return absl::OkStatus();
}

absl::Status CheckKeywords(const boost::json::value& value, const GrammarLimits& limits,
                           int* references) {
  if (const boost::json::array* array = value.if_array()) {
    for (const boost::json::value& item : *array) {
      KEEL_RETURN_IF_ERROR(CheckKeywords(item, limits, references));
    }
  } else if (const boost::json::object* object = value.if_object()) {
    for (const auto& [key, member] : *object) {
      *references += key == "$ref";
      KEEL_RETURN_IF_ERROR(CheckKeyword({key.data(), key.size()}, member, limits));
      KEEL_RETURN_IF_ERROR(CheckKeywords(member, limits, references));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSchema(absl::string_view source, const GrammarLimits& limits) {
  KEEL_ASSIGN_OR_RETURN(
      const boost::json::value schema,
      ParseJson(source, "schema",
                {.max_bytes = limits.source_bytes, .max_depth = limits.json_depth}));
  int references = 0;
  KEEL_RETURN_IF_ERROR(CheckKeywords(schema, limits, &references));
  if (references <= limits.references) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("there are more than ", limits.references, " references"));
}

}  // namespace

absl::StatusOr<GrammarSource> MakeGrammarSource(const GrammarSpec& spec,
                                                const GrammarLimits& limits) {
  if (spec.source.size() > limits.source_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "it has ", spec.source.size(), " bytes, at most ", limits.source_bytes, " are taken"));
  }
  if (spec.whitespace_pattern.has_value()) {
    KEEL_RETURN_IF_ERROR(
        Annotate(CheckRegex(*spec.whitespace_pattern, limits), "whitespace_pattern"));
  }
  switch (spec.kind) {
    case GrammarSpec::Kind::kJsonSchema:
      KEEL_RETURN_IF_ERROR(CheckSchema(spec.source, limits));
      return GrammarSource{"json_schema", spec.source};
    case GrammarSpec::Kind::kJsonObject:
      return GrammarSource{"json_schema", R"({"type": "object"})"};
    case GrammarSpec::Kind::kRegex:
      KEEL_RETURN_IF_ERROR(CheckRegex(spec.source, limits));
      return GrammarSource{"regex", spec.source};
    case GrammarSpec::Kind::kChoice: {
      KEEL_ASSIGN_OR_RETURN(std::string lark, LarkOfChoice(spec, limits));
      return GrammarSource{"lark", std::move(lark)};
    }
    case GrammarSpec::Kind::kGrammar: {
      KEEL_ASSIGN_OR_RETURN(std::string lark, LarkOfGrammar(spec, limits));
      return GrammarSource{"lark", std::move(lark)};
    }
  }
  return absl::InternalError("a kind of grammar that is not known");
}

}  // namespace keel
