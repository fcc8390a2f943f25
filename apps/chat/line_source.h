// Where a chat's turns come from.
#ifndef KEEL_APPS_CHAT_LINE_SOURCE_H_
#define KEEL_APPS_CHAT_LINE_SOURCE_H_

#include <istream>
#include <memory>
#include <optional>
#include <string>

namespace keel::apps {

class LineSource {
 public:
  virtual ~LineSource() = default;
  // What the user says next; nothing: the end.
  virtual std::optional<std::string> Next() = 0;
};

// A turn a line, of a pipe or a file.
class PlainLines : public LineSource {
 public:
  explicit PlainLines(std::istream& in) : in_(in) {}
  std::optional<std::string> Next() override {
    std::string line;
    if (!std::getline(in_, line)) return std::nullopt;
    if (line.ends_with('\r')) line.pop_back();
    return line;
  }

 private:
  std::istream& in_;
};

// Lines typed on the terminal, with editing and history. Lines pasted together are one turn, as are lines
// that end with a backslash and the next. Ctrl-C drops the line; twice, and Ctrl-D, are the end. Null if the
// terminal cannot be had.
std::unique_ptr<LineSource> NewLineEditor();

}  // namespace keel::apps

#endif  // KEEL_APPS_CHAT_LINE_SOURCE_H_
