#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstring>

#include "apps/chat/line_source.h"

namespace keel::apps {
namespace {

constexpr int kHistoryLines = 1000;

// Between \1 is what has no width.
constexpr char kPrompt[] = "\1\033[1;36m\1>\1\033[0m\1 ";
constexpr char kNextPrompt[] = "\1\033[1;36m\1.\1\033[0m\1 ";

// Characters are read as UTF-8 whatever the locale says otherwise.
void UseUtf8() {
  if (std::setlocale(LC_CTYPE, "") == nullptr || std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
    std::setlocale(LC_CTYPE, "C.UTF-8");
  }
}

// What comes within a moment of a line was pasted with it.
bool IsInputWaiting() {
  constexpr int kMomentMs = 20;
  pollfd fd{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return poll(&fd, 1, kMomentMs) > 0 && (fd.revents & POLLIN) != 0;
}

class LineEditor : public LineSource {
 public:
  LineEditor() : history_(history_init()), edit_(el_init("keel-chat", stdin, stdout, stderr)) {
    if (edit_ == nullptr || history_ == nullptr) return;
    HistEvent event;
    history(history_, &event, H_SETSIZE, kHistoryLines);
    history(history_, &event, H_SETUNIQUE, 1);
    el_set(edit_, EL_CLIENTDATA, this);
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_SIGNAL, 1);
    el_set(edit_, EL_HIST, history, history_);
    el_set(edit_, EL_PROMPT_ESC, &LineEditor::Prompt, '\1');
    // While a line is edited, Ctrl-C is a character.
    el_set(edit_, EL_ADDFN, "keel-interrupt", "Drop the line", &LineEditor::Interrupt);
    el_set(edit_, EL_BIND, "^C", "keel-interrupt", nullptr);
    el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_set(edit_, EL_SETTY, "-d", "-isig", nullptr);
  }
  ~LineEditor() override {
    if (edit_ != nullptr) el_end(edit_);
    if (history_ != nullptr) history_end(history_);
  }

  bool ok() const { return edit_ != nullptr && history_ != nullptr; }

  std::optional<std::string> Next() override {
    std::string turn;
    is_continued_ = false;
    bool was_interrupted = false;
    while (true) {
      is_interrupted_ = false;
      int n = 0;
      const char* const text = el_gets(edit_, &n);
      if (is_interrupted_) {
        const bool is_second = was_interrupted && is_line_empty_;
        std::printf("^C\n");
        if (is_second) return std::nullopt;
        if (is_line_empty_ && turn.empty()) std::printf("once more, or Ctrl-D, ends\n");
        was_interrupted = true;
        turn.clear();
        is_continued_ = false;
        continue;
      }
      if (text == nullptr || n <= 0) {
        std::printf("\n");
        return std::nullopt;
      }
      was_interrupted = false;
      std::string line(text, static_cast<size_t>(n));
      if (line.ends_with('\n')) line.pop_back();
      Remember(line);
      const bool has_next = line.ends_with('\\');
      if (has_next) line.pop_back();
      turn += line;
      if (!has_next && !IsInputWaiting()) return turn;
      turn += '\n';
      is_continued_ = true;
    }
  }

 private:
  static LineEditor* Self(EditLine* edit) {
    void* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return static_cast<LineEditor*>(self);
  }
  static const char* Prompt(EditLine* edit) {
    return Self(edit)->is_continued_ ? kNextPrompt : kPrompt;
  }
  static unsigned char Interrupt(EditLine* edit, int) {
    LineEditor* const self = Self(edit);
    const LineInfo* const line = el_line(edit);
    self->is_interrupted_ = true;
    self->is_line_empty_ = line->lastchar == line->buffer;
    return CC_EOF;
  }
  void Remember(const std::string& line) {
    if (line.find_first_not_of(' ') == std::string::npos) return;
    HistEvent event;
    history(history_, &event, H_ENTER, line.c_str());
  }

  History* const history_;
  EditLine* const edit_;
  bool is_continued_ = false;
  bool is_interrupted_ = false;
  bool is_line_empty_ = false;
};

}  // namespace

std::unique_ptr<LineSource> NewLineEditor() {
  UseUtf8();
  auto editor = std::make_unique<LineEditor>();
  if (!editor->ok()) return nullptr;
  return editor;
}

}  // namespace keel::apps
