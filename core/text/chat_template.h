// Messages to prompt text by a checkpoint's Jinja template, as transformers' apply_chat_template
// renders it.
#ifndef KEEL_CORE_TEXT_CHAT_TEMPLATE_H_
#define KEEL_CORE_TEXT_CHAT_TEMPLATE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/text/text_files.h"

struct keel_text_template;

namespace keel {

// What a template may spend. Over any of them Render is kResourceExhausted.
struct ChatTemplateLimits {
  uint64_t fuel = 20'000'000;          // instructions
  size_t max_output_bytes = 16 << 20;  // of the rendered text
  size_t max_source_bytes = 4 << 20;
};

struct ChatTemplateInput {
  // JSON texts. messages: an array of objects, not empty; keys whose value is null are dropped.
  // tools: an array, or empty for none. documents: likewise. kwargs: an object, or empty; its
  // members become variables (enable_thinking ...) and override special tokens of the same name.
  absl::string_view messages;
  absl::string_view tools;
  absl::string_view documents;
  absl::string_view kwargs;
  bool add_generation_prompt = false;
  // The prompt ends within the last message, which the model continues. Not together with
  // add_generation_prompt.
  bool continue_final_message = false;
  // Picks one of several templates by name; empty: "tool_use" if there are tools and such a
  // template, else "default".
  absl::string_view template_name;
  // Seconds since 1970 that strftime_now shows in local time; unset: now.
  std::optional<int64_t> now;
};

// Immutable; Render may be called from any thread at any time.
class ChatTemplate {
 public:
  // Compiles every template of `files`: chat_template.jinja and additional_chat_templates/ first,
  // else chat_template.json, else tokenizer_config.json (one template, or a list with names).
  // `special_tokens` are variables of the template: Tokenizer::special_tokens().
  // kNotFound if the checkpoint has no template. A syntax error names file and line. For files
  // nobody tried yet use LoadText (probe.h).
  static absl::StatusOr<std::shared_ptr<const ChatTemplate>> Create(
      const TextFiles& files, const std::map<std::string, std::string>& special_tokens,
      const ChatTemplateLimits& limits = {});

  // One template that did not come with the checkpoint (--chat-template). `where` begins errors.
  static absl::StatusOr<std::shared_ptr<const ChatTemplate>> FromSource(
      absl::string_view source, absl::string_view where,
      const std::map<std::string, std::string>& special_tokens,
      const ChatTemplateLimits& limits = {});

  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // The prompt; tokenize it with add_special_tokens off. kInvalidArgument: bad JSON, or the
  // template refuses the messages (raise_exception); the message is the template's own.
  absl::StatusOr<std::string> Render(const ChatTemplateInput& input) const;

  // "default", "tool_use" ...
  std::vector<std::string> names() const;
  // The Jinja source of one of names(); nullptr if there is none.
  const std::string* Source(absl::string_view name) const;

 private:
  struct Named {
    std::string source;
    std::string where;
    keel_text_template* handle = nullptr;
  };

  ChatTemplate() = default;
  absl::Status Compile(absl::string_view name, absl::string_view source, absl::string_view where,
                       const ChatTemplateLimits& limits);
  absl::StatusOr<const Named*> Choose(absl::string_view name, bool has_tools) const;

  std::map<std::string, Named> templates_;
  std::map<std::string, std::string> special_tokens_;
};

}  // namespace keel

#endif  // KEEL_CORE_TEXT_CHAT_TEMPLATE_H_
