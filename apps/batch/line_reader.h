// The lines of a file or a pipe, one at a time, in bounded memory.
#ifndef KEEL_APPS_BATCH_LINE_READER_H_
#define KEEL_APPS_BATCH_LINE_READER_H_

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <utility>

#include "sdk/keel/engine.h"

namespace keel::apps {

// Ends of lines are "\n" or "\r\n"; the last one may be missing. A byte order mark is dropped.
class LineReader {
 public:
  enum class Next {
    kLine,
    kWait,  // the next line is not there yet; poll fd() to know when
    kEnd,
  };
  struct Line {
    int64_t number = 0;  // from 1
    int64_t begin = 0;   // its place in the input, in bytes
    std::string text;    // without its end; empty if it is too long
    bool is_too_long = false;
  };

  // `fd` stays the caller's. `name` is for messages.
  LineReader(int fd, std::string name, size_t max_line_bytes)
      : fd_(fd), name_(std::move(name)), max_line_bytes_(max_line_bytes) {}

  // Does not wait for a pipe.
  Result<Next> Read(Line* line);
  int fd() const { return fd_; }
  size_t max_line_bytes() const { return max_line_bytes_; }

 private:
  bool TakeLine(Line* line);
  void Finish(size_t end, Line* line);

  const int fd_;
  const std::string name_;
  const size_t max_line_bytes_;
  std::string buffer_;
  int64_t dropped_ = 0;       // bytes of the input before buffer_
  int64_t line_begin_ = 0;    // in the input, of the line that comes next
  size_t begin_ = 0;          // the same in buffer_, if it is not too long
  size_t searched_ = 0;       // no end of line between begin_ and here
  bool is_dropping_ = false;  // of a line that is too long, its beginning is gone
  bool at_end_ = false;
  int64_t number_ = 0;
};

// Lines of a file, counted until `stop`; 0 if it cannot be read.
int64_t CountLines(const std::string& path, std::stop_token stop);

}  // namespace keel::apps

#endif  // KEEL_APPS_BATCH_LINE_READER_H_
