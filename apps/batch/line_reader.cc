#include "apps/batch/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

namespace keel::apps {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool IsReadable(int fd) {
  pollfd poll_fd{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&poll_fd, 1, 0) > 0;
}

}  // namespace

Result<LineReader::Next> LineReader::Read(Line* line) {
  while (!TakeLine(line)) {
    if (at_end_) return Next::kEnd;
    if (!IsReadable(fd_)) return Next::kWait;
    buffer_.erase(0, begin_);
    dropped_ += static_cast<int64_t>(begin_);
    searched_ -= begin_;
    begin_ = 0;
    const size_t had = buffer_.size();
    buffer_.resize(had + kReadBytes);
    const ssize_t n = read(fd_, buffer_.data() + had, kReadBytes);
    const int error = errno;
    buffer_.resize(had + (n > 0 ? static_cast<size_t>(n) : 0));
    if (n < 0 && error != EINTR && error != EAGAIN) {
      return Status(Code::kUnavailable, name_ + " cannot be read: " + std::strerror(error));
    }
    at_end_ = n == 0;
  }
  return Next::kLine;
}

// False: the buffer holds no whole line.
bool LineReader::TakeLine(Line* line) {
  const size_t end = buffer_.find('\n', searched_);
  if (end != std::string::npos) {
    Finish(end, line);
    begin_ = searched_ = end + 1;
    line_begin_ = dropped_ + static_cast<int64_t>(begin_);
    return true;
  }
  searched_ = buffer_.size();
  if (at_end_) {
    if (begin_ == buffer_.size() && !is_dropping_) return false;
    Finish(buffer_.size(), line);
    begin_ = buffer_.size();
    return true;
  }
  // One more byte than allowed may be a "\r".
  if (buffer_.size() - begin_ > max_line_bytes_ + 1) {
    is_dropping_ = true;
    begin_ = buffer_.size();
  }
  return false;
}

void LineReader::Finish(size_t end, Line* line) {
  std::string_view text = std::string_view(buffer_).substr(begin_, end - begin_);
  if (text.ends_with('\r')) text.remove_suffix(1);
  line->number = ++number_;
  line->begin = line_begin_;
  if (number_ == 1 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  line->is_too_long = is_dropping_ || text.size() > max_line_bytes_;
  line->text = line->is_too_long ? "" : text;
  is_dropping_ = false;
}

int64_t CountLines(const std::string& path, std::stop_token stop) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes(1 << 20, '\0');
  int64_t lines = 0;
  char last = '\n';
  while (!stop.stop_requested()) {
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    const auto n = file.gcount();
    if (n <= 0) break;
    lines += std::count(bytes.begin(), bytes.begin() + n, '\n');
    last = bytes[static_cast<size_t>(n) - 1];
  }
  return last == '\n' ? lines : lines + 1;
}

}  // namespace keel::apps
