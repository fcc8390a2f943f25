#include "apps/chat/chat.h"

#include <cctype>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/common/nearest.h"

namespace keel::apps {
namespace {

constexpr std::string_view kHelp =
    "/regenerate      answer the last question once more\n"
    "/system TEXT     tell the model how to behave; without TEXT: show what it is told\n"
    "/clear           begin a new conversation\n"
    "/exit            end; so does Ctrl-D\n"
    "Ctrl-C stops an answer. A line that ends with \\ goes on with the next one.\n";

struct Command {
  std::string name;  // "/system"; empty: this is no command
  std::string rest;
};

// "/usr/lib is what?" is none: a name has letters only.
Command ParseCommand(std::string_view line) {
  if (!line.starts_with('/')) return {};
  size_t end = 1;
  while (end < line.size() && std::isalpha(static_cast<unsigned char>(line[end])) != 0) ++end;
  if (end == 1 || (end < line.size() && line[end] != ' ' && line[end] != '\n')) return {};
  const size_t rest = line.find_first_not_of(" \n", end);
  return {std::string(line.substr(0, end)),
          rest == std::string_view::npos ? "" : std::string(line.substr(rest))};
}

class Chat {
 public:
  Chat(ChatSession& session, std::ostream& out, std::ostream& err, bool has_colours,
       std::atomic<bool>& stop)
      : session_(session), out_(out), err_(err), has_colours_(has_colours), stop_(stop) {}

  // False: the end.
  bool Take(const std::string& line) {
    if (line.find_first_not_of(" \t\r\n") == std::string::npos) return true;
    const Command command = ParseCommand(line);
    if (command.name.empty()) {
      Answer([&](const auto& on_text) { return session_.Say(line, on_text); });
    } else if (command.name == "/regenerate") {
      Answer([&](const auto& on_text) { return session_.Regenerate(on_text); });
    } else if (command.name == "/exit" || command.name == "/quit") {
      return false;
    } else {
      Obey(command);
    }
    return true;
  }
  bool all_answered() const { return all_answered_; }

 private:
  void Obey(const Command& command) {
    if (command.name == "/help") {
      err_ << kHelp;
    } else if (command.name == "/clear") {
      session_.Clear();
      Note("a new conversation");
    } else if (command.name == "/system") {
      if (!command.rest.empty()) session_.SetSystem(command.rest);
      Note(session_.system().empty() ? "no system text" : "system: " + session_.system());
    } else {
      const std::string nearest =
          Nearest(command.name, {"/help", "/clear", "/system", "/exit", "/quit", "/regenerate"});
      Fail("unknown command " + command.name +
           (nearest.empty() ? "; /help lists them" : "; did you mean " + nearest + "?"));
    }
  }

  template <typename Ask>
  void Answer(const Ask& ask) {
    stop_ = false;
    bool at_line_start = true;
    const Result<ChatSession::End> end = ask([&](std::string_view text) {
      out_ << text << std::flush;
      at_line_start = text.ends_with('\n');
    });
    if (!at_line_start || end.ok()) out_ << "\n" << std::flush;
    if (!end.ok()) {
      Fail(end.status().message());
    } else if (*end == ChatSession::End::kCutByLength) {
      Note("cut: --max-tokens or the context allows no more");
    } else if (*end == ChatSession::End::kStopped) {
      Note("stopped");
    }
  }

  void Note(std::string_view text) { Say("\033[2m", text); }
  void Fail(std::string_view text) {
    all_answered_ = false;
    Say("\033[31m", text);
  }
  void Say(std::string_view colour, std::string_view text) {
    err_ << (has_colours_ ? colour : "") << text << (has_colours_ ? "\033[0m" : "") << std::endl;
  }

  ChatSession& session_;
  std::ostream& out_;
  std::ostream& err_;
  const bool has_colours_;
  std::atomic<bool>& stop_;
  bool all_answered_ = true;
};

}  // namespace

bool RunChat(ChatSession& session, LineSource& lines, std::ostream& out, std::ostream& err,
             bool has_colours, std::atomic<bool>& stop) {
  Chat chat(session, out, err, has_colours, stop);
  while (const std::optional<std::string> line = lines.Next()) {
    if (!chat.Take(*line)) break;
  }
  return chat.all_answered();
}

}  // namespace keel::apps
