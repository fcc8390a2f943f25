// Where a batch writes: a file that only grows, so that what is in it stays whatever happens next.
#ifndef KEEL_APPS_BATCH_OUTPUT_FILE_H_
#define KEEL_APPS_BATCH_OUTPUT_FILE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/keel/engine.h"

namespace keel::apps {

class OutputFile {
 public:
  enum class Mode {
    kNew,        // refuse a file with something in it
    kResume,     // keep the answers that are there, drop failures and a torn last line
    kOverwrite,  // drop what is there
  };

  // Takes the file for this process alone; "-" is standard output. With kResume, `answered` gets the
  // custom_ids that have an answer. Nothing is dropped for kOverwrite before Begin.
  static Result<std::unique_ptr<OutputFile>> Open(const std::string& path, Mode mode,
                                                  std::vector<std::string>* answered);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Before the first line.
  Status Begin();
  // Writes whole lines at once.
  Status Append(std::string_view lines);
  // Of the file, for messages.
  const std::string& name() const { return name_; }

 private:
  OutputFile(int fd, std::string name, bool drop) : fd_(fd), name_(std::move(name)), drop_(drop) {}
  Status Resume(const std::string& path, std::vector<std::string>* answered);

  int fd_;
  const std::string name_;
  const bool drop_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_BATCH_OUTPUT_FILE_H_
