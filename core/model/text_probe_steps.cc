// Everything that a server will do with the files, in small.
#include "core/model/text_probe_steps.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/status.h"
#include "core/chat/chat_template.h"
#include "core/text/detokenizer.h"
#include "core/text/keel_text_status.h"
#include "core/text/text_files.h"
#include "core/text/tokenizer.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEEL_SANITIZER_NEEDS_ADDRESS_SPACE 1
#endif

namespace keel {
namespace {

constexpr char kTexts[][200] = {
    "",
    " ",
    "Hello, world!\n\n\tIt's 12345 times better -- isn't it?  ",
    "na\u00efve \u4f60\u597d\u4e16\u754c \u0645\u0631\u062d\u0628\u0627 "
    "\u0928\u092e\u0938\u094d\u0924\u0947 e\u0301 \uff26\uff55\uff4c\uff4c \ufb01 \u2460 "
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u200b\ufeff\u00a0|",
    "<s></s><|endoftext|><unk> [MASK] {\"a\": [1, 2.5e10, null]}",
};
// A word as long as this is tokenized as one piece; what takes quadratic time shows.
constexpr size_t kLongWordBytes = 20000;

struct Conversation {
  const char* messages;
  const char* tools;
};

constexpr char kTool[] =
    R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object",)"
    R"("properties":{"x":{"type":"string","description":"an x"}},"required":["x"]}}}])";

constexpr Conversation kConversations[] = {
    {R"([{"role":"user","content":"Hi"}])", ""},
    {R"([{"role":"system","content":"S"},{"role":"user","content":"Hi"},)"
     R"({"role":"assistant","content":"Hello"},{"role":"user","content":"And?"}])",
     ""},
    {R"([{"role":"user","content":[{"type":"text","text":"Hi"}]}])", ""},
    {R"([{"role":"user","content":"Hi"},{"role":"assistant","content":"","tool_calls":[{"id":)"
     R"("call00001","type":"function","function":{"name":"f","arguments":{"x":"1"}}}]},)"
     R"({"role":"tool","name":"f","tool_call_id":"call00001","content":"2"}])",
     kTool},
};

// Said before each step, so that the parent knows what a killed child was doing.
void Say(absl::string_view kind, absl::string_view text) {
  const std::string line = absl::StrCat(kind, " ", absl::StrReplaceAll(text, {{"\n", " "}}), "\n");
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

void Limit(int resource, int64_t value) {
  rlimit limit = {static_cast<rlim_t>(value), static_cast<rlim_t>(value)};
  setrlimit(resource, &limit);
}

void SetLimits(int64_t memory_bytes, int64_t cpu_seconds) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_FSIZE, 0);
  Limit(RLIMIT_CPU, cpu_seconds);
#ifndef KEEL_SANITIZER_NEEDS_ADDRESS_SPACE
  Limit(RLIMIT_AS, memory_bytes);
#else
  (void)memory_bytes;
#endif
}

absl::StatusOr<std::string> ReadAll(int fd) {
  std::string bytes;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0) return absl::InternalError("reading the files");
    if (n == 0) return bytes;
    bytes.append(buffer, n);
  }
}

absl::Status TryText(const std::shared_ptr<const Tokenizer>& tokenizer, const std::string& text) {
  Say("step", absl::StrCat("tokenizer.json: tokenizing ", text.size(), " bytes"));
  KEEL_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer->Encode(text));
  Say("step", absl::StrCat("tokenizer.json: detokenizing ", ids.size(), " tokens"));
  KEEL_RETURN_IF_ERROR(tokenizer->Decode(ids, /*skip_special_tokens=*/false));
  IncrementalDetokenizer detokenizer(tokenizer);
  const size_t some = std::min<size_t>(ids.size(), 64);
  for (size_t i = 0; i < some; ++i) KEEL_RETURN_IF_ERROR(detokenizer.Add(ids[i]));
  return detokenizer.Flush().status();
}

absl::Status TryTokenizer(const std::shared_ptr<const Tokenizer>& tokenizer) {
  for (const char* text : kTexts) KEEL_RETURN_IF_ERROR(TryText(tokenizer, text));
  return TryText(tokenizer, std::string(kLongWordBytes, 'a'));
}

// A template may refuse a conversation, or fail on one that it was not written for: that is the
// request's error. One that takes all its fuel is refused.
absl::Status TryTemplates(const ChatTemplate& chat_template) {
  for (const std::string& name : chat_template.names()) {
    for (const Conversation& conversation : kConversations) {
      Say("step", absl::StrCat("chat template \"", name, "\": rendering"));
      ChatTemplateInput input;
      input.messages = conversation.messages;
      input.tools = conversation.tools;
      input.template_name = name;
      input.add_generation_prompt = true;
      const absl::Status status = chat_template.Render(input).status();
      if (IsOverLimit(status) || IsPanic(status)) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status TryFiles(int fd) {
  Say("step", "reading the files");
  KEEL_ASSIGN_OR_RETURN(const std::string bytes, ReadAll(fd));
  KEEL_ASSIGN_OR_RETURN(const TextFiles files, ParseTextFiles(bytes));
  Say("step", "tokenizer.json: loading");
  KEEL_ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Create(files));
  KEEL_RETURN_IF_ERROR(TryTokenizer(tokenizer));
  Say("step", "chat template: compiling");
  const auto chat_template = ChatTemplate::Create(files, tokenizer->special_tokens());
  if (absl::IsNotFound(chat_template.status())) return absl::OkStatus();
  KEEL_RETURN_IF_ERROR(chat_template);
  KEEL_RETURN_IF_ERROR(TryTemplates(**chat_template));
  Say("step", "ending");
  return absl::OkStatus();
}

}  // namespace

int RunTextProbe(int fd, int64_t memory_bytes, int64_t cpu_seconds) {
  SetLimits(memory_bytes, cpu_seconds);
  const absl::Status status = TryFiles(fd);
  if (!status.ok()) {
    Say("error", status.message());
    return 1;
  }
  Say("done", "");
  return 0;
}

}  // namespace keel
