// Where a batch writes: a file that only grows, so that what is in it stays whatever happens next.
#ifndef KEEL_APPS_BATCH_OUTPUT_FILE_H_
#define KEEL_APPS_BATCH_OUTPUT_FILE_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/keel/engine.h"

namespace keel::apps {

// custom_ids of the lines that earlier runs have written.
struct EarlierLines {
  std::vector<std::string> answered, failed;
};

class OutputFile {
 public:
  enum class Mode {
    kNew,          // refuse a file with something in it
    kResume,       // go on behind the lines that are there; a torn last one is cut off
    kRetryFailed,  // the same, but drop failures
    kOverwrite,    // drop what is there
  };

  // Takes the file for this process alone; "-" is standard output. `flag` is what messages call it.
  // Where the mode is to go on, `earlier` gets what is there. Nothing is dropped for kOverwrite before
  // Begin.
  static Result<std::unique_ptr<OutputFile>> Open(const std::string& flag, const std::string& path,
                                                  Mode mode, EarlierLines* earlier);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // Before the first line.
  Status Begin();
  // Writes whole lines at once: what a killed process has written stays.
  Status Append(std::string_view lines);
  // What was written stays even if the machine loses its power. Nothing happens where that cannot be,
  // as in a pipe.
  Status Sync();
  // Of the file, for messages.
  const std::string& name() const { return name_; }

 private:
  OutputFile(int fd, std::string name, bool drop) : fd_(fd), name_(std::move(name)), drop_(drop) {}
  Status Resume(EarlierLines* earlier);
  Status DropFailures(const std::string& path);

  int fd_;
  const std::string name_;
  const bool drop_;
  bool is_synced_ = true;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_BATCH_OUTPUT_FILE_H_
