#include "core/chat/chat_template.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/text/keel_text_status.h"
#include "core/text/tokenizer_config.h"
#include "third_party/text/keel_text.h"

namespace keel {
namespace {

constexpr absl::string_view kDefault = "default";
constexpr absl::string_view kToolUse = "tool_use";

struct Sources {
  std::map<std::string, std::string> by_name;
  std::string where;  // the file they are from
};

// The first place that has templates.
absl::StatusOr<Sources> FindSources(const TextFiles& files) {
  if (!files.chat_templates.empty()) return Sources{files.chat_templates, "chat_template.jinja"};
  if (!files.chat_template_json.empty()) {
    constexpr absl::string_view kFile = "chat_template.json";
    KEEL_ASSIGN_OR_RETURN(const boost::json::value value,
                          ParseJson(files.chat_template_json, kFile));
    KEEL_ASSIGN_OR_RETURN(std::string source, GetJson<std::string>(value, "/chat_template", kFile));
    return Sources{{{std::string(kDefault), std::move(source)}}, std::string(kFile)};
  }
  KEEL_ASSIGN_OR_RETURN(TokenizerConfig config, ReadTokenizerConfig(files));
  return Sources{std::move(config.chat_templates), "tokenizer_config.json: chat_template"};
}

// additional_chat_templates/rag.jinja, tokenizer_config.json: chat_template "rag".
std::string WhereOf(const Sources& sources, const std::string& name) {
  if (name == kDefault) return sources.where;
  if (sources.where == "chat_template.jinja") {
    return absl::StrCat("additional_chat_templates/", name, ".jinja");
  }
  return absl::StrCat(sources.where, " \"", name, "\"");
}

ContentFormat ContentFormatOf(const keel_text_template* handle) {
  switch (keel_text_template_content_format(handle)) {
    case KEEL_TEXT_CONTENT_PARTS_OR_STRING:
      return ContentFormat::kPartsOrString;
    case KEEL_TEXT_CONTENT_PARTS:
      return ContentFormat::kParts;
    case KEEL_TEXT_CONTENT_STRING:
      break;
  }
  return ContentFormat::kString;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ChatTemplate>> ChatTemplate::Create(
    const TextFiles& files, const std::map<std::string, std::string>& special_tokens,
    const ChatTemplateLimits& limits) {
  KEEL_ASSIGN_OR_RETURN(const Sources sources, FindSources(files));
  if (sources.by_name.empty()) {
    return absl::NotFoundError("the checkpoint has no chat template");
  }
  std::shared_ptr<ChatTemplate> result(new ChatTemplate);
  result->special_tokens_ = special_tokens;
  for (const auto& [name, source] : sources.by_name) {
    KEEL_RETURN_IF_ERROR(result->Compile(name, source, WhereOf(sources, name), limits));
  }
  return result;
}

absl::StatusOr<std::shared_ptr<const ChatTemplate>> ChatTemplate::FromSource(
    absl::string_view source, absl::string_view where,
    const std::map<std::string, std::string>& special_tokens, const ChatTemplateLimits& limits) {
  std::shared_ptr<ChatTemplate> result(new ChatTemplate);
  result->special_tokens_ = special_tokens;
  KEEL_RETURN_IF_ERROR(result->Compile(kDefault, source, where, limits));
  return result;
}

absl::Status ChatTemplate::Compile(absl::string_view name, absl::string_view source,
                                   absl::string_view where, const ChatTemplateLimits& limits) {
  if (source.size() > limits.max_source_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, ": has ", source.size(), " bytes, at most ", limits.max_source_bytes, " are taken"));
  }
  Named& named = templates_[std::string(name)];
  named.source = std::string(source);
  named.where = std::string(where);
  keel_text_error error;
  const keel_text_status status = keel_text_template_new(
      source.data(), source.size(), limits.fuel, limits.max_output_bytes, &named.handle, &error);
  KEEL_RETURN_IF_ERROR(ToStatus(status, error, where));
  named.content_format = ContentFormatOf(named.handle);
  return absl::OkStatus();
}

ChatTemplate::~ChatTemplate() {
  for (auto& [name, named] : templates_) keel_text_template_free(named.handle);
}

absl::StatusOr<std::string> ChatTemplate::Render(const ChatTemplateInput& input) const {
  KEEL_ASSIGN_OR_RETURN(const Named* chosen, Choose(input.template_name, !input.tools.empty()));
  KEEL_ASSIGN_OR_RETURN(
      const ChatContext context,
      MakeChatContext(input, input.content_format.value_or(chosen->content_format),
                      special_tokens_));
  const std::string variables = boost::json::serialize(context.variables);

  std::string rendered;
  keel_text_error error;
  const keel_text_status status = keel_text_template_render(
      chosen->handle, variables.data(), variables.size(),
      input.now.has_value() ? &*input.now : nullptr, AppendBytes, &rendered, &error);
  KEEL_RETURN_IF_ERROR(ToStatus(status, error, chosen->where));
  if (!input.continue_final_message) return rendered;
  return CutAtFinalMessage(std::move(rendered), context.final_text);
}

absl::StatusOr<const ChatTemplate::Named*> ChatTemplate::Choose(absl::string_view name,
                                                                bool has_tools) const {
  if (name.empty()) {
    const bool tool_use = has_tools && templates_.count(std::string(kToolUse)) > 0;
    name = tool_use ? kToolUse : kDefault;
  }
  const auto it = templates_.find(std::string(name));
  if (it != templates_.end()) return &it->second;
  return absl::NotFoundError(absl::StrCat("there is no chat template \"", name,
                                          "\", only: ", absl::StrJoin(names(), ", ")));
}

std::vector<std::string> ChatTemplate::names() const {
  std::vector<std::string> names;
  for (const auto& [name, named] : templates_) names.push_back(name);
  return names;
}

ContentFormat ChatTemplate::content_format(absl::string_view name) const {
  const auto it = templates_.find(std::string(name));
  return it == templates_.end() ? ContentFormat::kString : it->second.content_format;
}

const std::string* ChatTemplate::Source(absl::string_view name) const {
  const auto it = templates_.find(std::string(name));
  return it == templates_.end() ? nullptr : &it->second.source;
}

}  // namespace keel
