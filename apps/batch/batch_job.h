// Runs the lines of an input through the engine, many at once.
#ifndef KEEL_APPS_BATCH_BATCH_JOB_H_
#define KEEL_APPS_BATCH_BATCH_JOB_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "apps/batch/batch_line.h"
#include "apps/batch/line_reader.h"
#include "apps/batch/output_file.h"
#include "apps/common/progress.h"
#include "apps/wire/answer.h"
#include "apps/wire/generation.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct BatchOptions {
  size_t max_in_flight = 128;  // requests
  bool keep_order = false;     // write in the order of the input
};

struct BatchCounts {
  int64_t lines = 0;  // all of these
  int64_t answered = 0;
  int64_t failed = 0;
  int64_t skipped = 0;  // answered by an earlier run
  size_t prompt_tokens = 0;
  size_t output_tokens = 0;
  std::vector<std::string> reasons;  // of the first few that failed: "line 3: ..."
};

// Each line gets one line of output, when it is finished; a line that cannot be run gets its error. The
// input is read as far as is needed to keep the engine busy. Used by one thread, but Stop.
class BatchJob {
 public:
  // The engine and the files must outlive the job. `names` are those of the model; `answered` are
  // custom_ids that need no answer any more.
  BatchJob(Engine& engine, std::vector<std::string> names, LineReader& input, OutputFile& output,
           const BatchOptions& options, const std::vector<std::string>& answered = {});
  ~BatchJob();

  // Returns once all is written, or what cannot be gone on from: the input cannot be read, the output
  // not be written, the engine has failed.
  Status Run();
  // Takes no more lines; those that run are finished. May be called from any thread.
  void Stop();
  // How many lines the input has, blank ones too, for the progress shown. May be called from any
  // thread.
  void SetTotal(int64_t lines) { total_ = lines; }

  const BatchCounts& counts() const { return counts_; }
  // Run returned because of Stop, and lines may be left.
  bool is_interrupted() const { return is_stopped_ && !input_ended_; }

 private:
  class Wakeups;
  // A line that the engine works on.
  struct Running {
    std::string custom_id;
    std::string request_id;
    std::unique_ptr<Answer> answer;
    std::shared_ptr<Generation> generation;
    size_t requests = 0;
    size_t bytes = 0;
    bool is_aborted = false;
  };

  bool HasRoom() const;
  // Reads and starts lines; true if there is more to do at once.
  Result<bool> Fill();
  Status Loop();
  Status StartLine(const LineReader::Line& line);
  bool MayTryAgain();
  Status Advance(int64_t number);
  Status Finish(int64_t number, Running running);
  Status Fail(int64_t number, const std::optional<std::string>& custom_id, CallError error);
  Status Write(int64_t number, std::string line);
  void Wait(bool more);
  void ShowProgress();

  Engine& engine_;
  const std::vector<std::string> names_;
  LineReader& input_;
  OutputFile& output_;
  const BatchOptions options_;
  const std::shared_ptr<Wakeups> wakeups_;  // shared with callbacks, which may outlive the job
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();

  std::unordered_map<std::string, int64_t> seen_;  // custom_id -> its line; 0: of an earlier run
  std::map<int64_t, Running> running_;             // by line
  std::map<int64_t, std::string> held_;            // finished; an earlier line is not
  std::optional<LineReader::Line> deferred_;       // the engine had no room for it
  std::optional<std::chrono::steady_clock::time_point> give_up_;  // on deferred_
  size_t running_requests_ = 0;
  size_t running_bytes_ = 0;
  int64_t blank_ = 0;
  bool input_ended_ = false;
  std::atomic<bool> is_stopped_ = false;
  std::atomic<int64_t> total_ = 0;  // 0: not known
  BatchCounts counts_;
  Progress progress_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_BATCH_BATCH_JOB_H_
