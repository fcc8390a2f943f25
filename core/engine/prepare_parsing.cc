#include "core/engine/prepare_parsing.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status.h"
#include "core/chat/parsers/parsers.h"

namespace keel {
namespace {

constexpr size_t kPromptEndTokens = 16;  // enough for the marker that a template ends with

// The end of the prompt, as a parser looks at it.
absl::StatusOr<std::string> PromptEnd(const Model& model, absl::Span<const int32_t> prompt) {
  return model.text.tokenizer->Decode(prompt.last(std::min(prompt.size(), kPromptEndTokens)),
                                      /*skip_special_tokens=*/false);
}

absl::StatusOr<ToolList> ToolsOf(const Request& request) {
  const auto* chat = std::get_if<ChatPrompt>(&request.prompt);
  return ToolList::Parse(chat == nullptr ? "" : chat->tools);
}

}  // namespace

absl::Status ApplyToolChoice(const Model& model, Request& request) {
  if (!request.parsing.has_value()) return absl::OkStatus();
  Request::Parsing& parsing = *request.parsing;
  KEEL_ASSIGN_OR_RETURN(const ToolList tools, ToolsOf(request));
  const bool is_forced = parsing.tools == ToolUse::kRequired || parsing.tools == ToolUse::kNamed;
  if (tools.empty()) {
    if (is_forced) {
      return WithField(absl::InvalidArgumentError("tool_choice is set, but there are no tools"),
                       "tool_choice");
    }
    parsing.tools = ToolUse::kNone;
  }
  if (parsing.tools == ToolUse::kAuto && model.parsers.tools.empty()) {
    return WithField(
        absl::UnimplementedError(absl::StrCat(
            "calls of tools are not served of model '", model.name,
            "': its chat template shows no format of them that is known; name one with "
            "--tool-call-parser, or set tool_choice to none or required")),
        "tools");
  }
  if (!is_forced) return absl::OkStatus();
  if (request.grammar.has_value()) {
    return WithField(absl::InvalidArgumentError(
                         "tool_choice makes the text a call, and structured output makes it "
                         "something else; ask for one of them"),
                     "tool_choice");
  }
  std::string schema = tools.CallsSchema(parsing.parallel_calls ? 0 : 1);
  if (parsing.tools == ToolUse::kNamed) {
    KEEL_ASSIGN_OR_RETURN(schema, tools.ArgumentsSchema(parsing.named));
  }
  GrammarSpec grammar;
  grammar.kind = GrammarSpec::Kind::kJsonSchema;
  grammar.source = std::move(schema);
  // A model that pads, or invents parameters, would have no end.
  grammar.whitespace_pattern = " ?";
  grammar.disable_additional_properties = true;
  request.grammar = std::move(grammar);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<OutputParser>> ParserFor(const Model& model, const Request& request,
                                                      absl::Span<const int32_t> prompt) {
  if (!request.parsing.has_value()) return std::nullopt;
  KEEL_ASSIGN_OR_RETURN(ToolList tools, ToolsOf(request));
  KEEL_ASSIGN_OR_RETURN(const std::string end, PromptEnd(model, prompt));
  return MakeOutputParser(model.parsers,
                          {.tools = std::make_shared<const ToolList>(std::move(tools)),
                           .use = request.parsing->tools,
                           .named = request.parsing->named,
                           .prompt = end});
}

absl::StatusOr<std::optional<ReasoningTracker>> ReasoningFor(
    const Model& model, const Request& request, absl::Span<const int32_t> prompt,
    const IncrementalDetokenizer& detokenizer) {
  const ReasoningFormat* format = ReasoningFormatOf(model.parsers);
  const bool is_bounded = request.grammar.has_value() || request.thinking_token_budget.has_value();
  if (!request.parsing.has_value() || format == nullptr || !is_bounded) return std::nullopt;
  const Tokenizer& tokenizer = *model.text.tokenizer;
  const EncodeOptions options = {.add_special_tokens = false};
  ReasoningBounds bounds = {.budget = request.thinking_token_budget};
  KEEL_ASSIGN_OR_RETURN(const std::vector<int32_t> begin, tokenizer.Encode(format->begin, options));
  if (begin.size() == 1) bounds.begin_token = begin[0];
  KEEL_ASSIGN_OR_RETURN(bounds.end_tokens, tokenizer.Encode(format->end, options));
  KEEL_ASSIGN_OR_RETURN(const std::string end, PromptEnd(model, prompt));
  ReasoningSplitter splitter(*format, end);
  // A grammar waits for reasoning that one token begins, or the prompt did; else the answer is first.
  if (request.grammar.has_value() && splitter.is_before() && !bounds.begin_token.has_value())
    return std::nullopt;
  return ReasoningTracker(std::move(splitter), detokenizer, std::move(bounds));
}

std::shared_ptr<const std::vector<int32_t>> KeptSpecialIds(const Model& model,
                                                           const Request& request) {
  if (!request.parsing.has_value()) return nullptr;
  std::vector<int32_t> ids;
  for (const absl::string_view marker : MarkersOf(model.parsers, request.parsing->tools)) {
    const std::optional<int32_t> id = model.text.tokenizer->TokenToId(marker);
    if (id.has_value() && model.text.tokenizer->IsSpecial(*id)) ids.push_back(*id);
  }
  if (ids.empty()) return nullptr;
  return std::make_shared<const std::vector<int32_t>>(std::move(ids));
}

}  // namespace keel
