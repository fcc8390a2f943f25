#include "core/model/text_probe.h"

#include <string.h>
#include <sys/wait.h>

#include <csignal>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/base/child_process.h"
#include "core/base/companion_program.h"
#include "core/base/error_detail.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr int64_t kMemoryTimesFiles = 24;
constexpr int64_t kMaxTemplateBytes = 4 << 20;

constexpr CompanionProgram kProgram = {"keel-text-probe", "tries tokenizer and chat template files",
                                       "KEEL_TEXT_PROBE", "core/model"};

struct Report {
  std::string last_step;
  std::string error;
  std::string last_words;
  bool done = false;
};

// Lines "step ...", "error ...", "done"; other ones are what a library said as it died, but for
// advice to its developers ("note: run with `RUST_BACKTRACE=1` ...").
Report ReadReport(absl::string_view output) {
  Report report;
  for (absl::string_view line : absl::StrSplit(output, '\n')) {
    if (absl::ConsumePrefix(&line, "step ")) {
      report.last_step = std::string(line);
    } else if (absl::ConsumePrefix(&line, "error ")) {
      report.error = std::string(line);
    } else if (absl::StartsWith(line, "done")) {
      report.done = true;
    } else if (!absl::StripAsciiWhitespace(line).empty() && !absl::StartsWith(line, "note: ")) {
      report.last_words = std::string(absl::StripAsciiWhitespace(line));
    }
  }
  return report;
}

std::string HowItEnded(const ChildResult& child, const ProbeOptions& options) {
  if (child.timed_out) {
    return absl::StrCat("takes longer than ", absl::FormatDuration(options.wall_limit));
  }
  if (child.wait_status < 0) return "ends the process";
  if (!WIFSIGNALED(child.wait_status)) {
    return absl::StrCat("ends the process with status ", WEXITSTATUS(child.wait_status));
  }
  switch (const int signal = WTERMSIG(child.wait_status)) {
    case SIGXCPU:
    case SIGKILL:
      return absl::StrCat("takes more than ", options.cpu_seconds, " s of CPU time");
    case SIGABRT:
      return "aborts the process (out of memory, or a library's check)";
    case SIGSEGV:
      return "crashes the process (endless recursion, or out of memory)";
    default:
      return absl::StrCat("ends the process by ", strsignal(signal));
  }
}

// A file's content, or the template itself: only templates have braces.
absl::StatusOr<std::string> ReadChatTemplate(const std::string& given) {
  if (given.find("{") != std::string::npos) return given;
  absl::StatusOr<std::string> source = ReadFile(given, kMaxTemplateBytes);
  if (!source.ok()) return WithFlag(Annotate(source.status(), "--chat-template"), "chat-template");
  return source;
}

}  // namespace

absl::Status ProbeText(const TextFiles& files, const ProbeOptions& options) {
  KEEL_ASSIGN_OR_RETURN(const std::string program, FindCompanion(kProgram, options.program));
  const std::string input = SerializeTextFiles(files);
  const int64_t memory =
      options.memory_bytes + kMemoryTimesFiles * static_cast<int64_t>(input.size());
  KEEL_ASSIGN_OR_RETURN(const ChildResult child,
                        RunChild(program, {absl::StrCat(memory), absl::StrCat(options.cpu_seconds)},
                                 input, options.wall_limit));
  const Report report = ReadReport(child.output);
  if (!report.error.empty()) return absl::InvalidArgumentError(report.error);
  if (report.done && !child.timed_out) return absl::OkStatus();
  if (report.last_step.empty()) {
    return absl::InternalError(
        absl::StrCat(program, ": does not work: it ", HowItEnded(child, options)));
  }
  return absl::InvalidArgumentError(absl::StrCat(report.last_step, " ", HowItEnded(child, options),
                                                 report.last_words.empty() ? "" : ": ",
                                                 report.last_words));
}

absl::StatusOr<Text> LoadText(const std::string& dir, const std::string& chat_template,
                              const ProbeOptions& options) {
  KEEL_ASSIGN_OR_RETURN(TextFiles files, ReadTextFiles(dir));
  if (!chat_template.empty()) {
    KEEL_ASSIGN_OR_RETURN(std::string source, ReadChatTemplate(chat_template));
    files.chat_templates = {{"default", std::move(source)}};
  }
  KEEL_RETURN_IF_ERROR(Annotate(ProbeText(files, options), dir));
  Text text;
  KEEL_ASSIGN_OR_RETURN(text.tokenizer, Tokenizer::Create(files));
  auto made = ChatTemplate::Create(files, text.tokenizer->special_tokens());
  if (absl::IsNotFound(made.status())) return text;
  KEEL_ASSIGN_OR_RETURN(text.chat_template, std::move(made));
  return text;
}

}  // namespace keel
