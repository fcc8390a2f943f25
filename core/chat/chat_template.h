// Messages to prompt text by a checkpoint's Jinja template, as transformers' apply_chat_template
// renders it.
#ifndef KEEL_CORE_CHAT_CHAT_TEMPLATE_H_
#define KEEL_CORE_CHAT_CHAT_TEMPLATE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/chat/chat_input.h"
#include "core/text/text_files.h"

struct keel_text_template;

namespace keel {

// What a template may spend. Over any of them Render is kInvalidArgument, and IsOverLimit.
struct ChatTemplateLimits {
  uint64_t fuel = 20'000'000;          // instructions
  size_t max_output_bytes = 16 << 20;  // of the rendered text
  size_t max_source_bytes = 4 << 20;
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

  // One template from elsewhere. `where` begins errors.
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
  // How the template of one of names() reads content: kString unless it walks through it as a list
  // of parts, followed from `messages` through its assignments, loops and macros.
  ContentFormat content_format(absl::string_view name) const;

 private:
  struct Named {
    std::string source;
    std::string where;
    keel_text_template* handle = nullptr;
    ContentFormat content_format = ContentFormat::kString;
  };

  ChatTemplate() = default;
  absl::Status Compile(absl::string_view name, absl::string_view source, absl::string_view where,
                       const ChatTemplateLimits& limits);
  absl::StatusOr<const Named*> Choose(absl::string_view name, bool has_tools) const;

  std::map<std::string, Named> templates_;
  std::map<std::string, std::string> special_tokens_;
};

}  // namespace keel

#endif  // KEEL_CORE_CHAT_CHAT_TEMPLATE_H_
