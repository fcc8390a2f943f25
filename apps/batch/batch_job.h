// Runs the lines of an input through the engine, many at once.
#ifndef KEEL_APPS_BATCH_BATCH_JOB_H_
#define KEEL_APPS_BATCH_BATCH_JOB_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "apps/batch/attempt_log.h"
#include "apps/batch/batch_line.h"
#include "apps/batch/line_reader.h"
#include "apps/batch/output_file.h"
#include "apps/batch/shard.h"
#include "apps/wire/answer.h"
#include "apps/wire/generation.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct BatchCounts {
  int64_t lines = 0;  // all of these
  int64_t answered = 0;
  int64_t failed = 0;
  int64_t answered_before = 0;  // by an earlier run
  int64_t failed_before = 0;
  int64_t blank = 0;  // not among the lines
  size_t prompt_tokens = 0;
  size_t output_tokens = 0;
  std::vector<std::string> reasons = {};  // of the first few that failed: "line 3: ..."
};

struct BatchOptions {
  size_t max_in_flight = 128;  // requests
  // Calls of others that the engine works on: so many fewer are in flight, but one. Null: none.
  std::function<size_t()> num_others = {};
  bool keep_order = false;  // write in the order of the input
  Shard shard = {};
  // How often a line is run again that the engine failed, not the line itself.
  int retries = 0;
  // Where lines are that a process died of; must outlive the job. Null: nobody counts.
  AttemptLog* attempts = nullptr;
  // So many processes may die while they read or run a line, then it fails; the last chance it gets alone, so
  // that no other line can be at fault. 0: any number.
  int max_crashes = 3;
  CallLimits limits = {};
  // Of all requests, whatever their bodies say; unset: as those say.
  std::optional<int64_t> priority = {};
  // How long what is written may be the system's alone to keep.
  std::chrono::milliseconds sync_interval{5000};
  // Called now and then on the job's thread; may stop the job.
  std::function<void(const BatchCounts&)> on_progress = {};
};

// Each line gets one line of output, when it is finished; a line that cannot be run gets its error. A
// line is known by its custom_id, or by its number if it has none of its own. The input is read as far
// as is needed to keep the engine busy. Used by one thread, but for the functions that say otherwise.
class BatchJob {
 public:
  // The engine and the files must outlive the job; `output` and `errors` may be the same. `names` are
  // those of the model. `earlier` lines are not run.
  BatchJob(Engine& engine, std::vector<std::string> names, LineReader& input, OutputFile& output,
           OutputFile& errors, BatchOptions options, const EarlierLines& earlier = {});
  ~BatchJob();

  // Returns once all is written, or what cannot be gone on from: the input cannot be read, an output
  // not be written, the engine has failed.
  Status Run();
  // Takes no more lines; those that run are finished. May be called from any thread.
  void Stop();
  // Ends without waiting for lines that run: they are not written. May be called from any thread.
  void Drop();
  // Lines that are not finished yet fail, with a word for programs and one for people.
  void RefuseRest(std::string code, std::string message);

  const BatchCounts& counts() const { return counts_; }
  // Run returned because of Stop or Drop, and lines may be left.
  bool is_interrupted() const { return is_stopped_ && (!input_ended_ || is_dropped_); }

 private:
  class Wakeups;
  struct Attempt {
    LineReader::Line line;
    int number = 0;  // of those before it
  };
  // A line that the engine works on.
  struct Running {
    std::string custom_id;
    std::string request_id;
    std::unique_ptr<Answer> answer;
    std::shared_ptr<Generation> generation;
    size_t requests = 0;
    Attempt attempt;
    bool is_aborted = false;
  };
  struct Refusal {
    std::string code, message;
  };
  struct Finished {
    std::string custom_id;
    std::string line;
    bool is_answer = false;
  };

  size_t NumOthers() const;
  // The engine may get one more line.
  bool HasRoom() const;
  bool MayRead() const;
  // Reads and starts lines; true if there is more to do at once.
  Result<bool> Fill();
  // Nothing: there is no line, now or any more.
  Result<std::optional<Attempt>> NextLine();
  Status Loop();
  Status StartLine(Attempt attempt);
  // `error` gets what is wrong with the line. Not ok: the log cannot be written.
  Status ReadLine(const LineReader::Line& line, BatchRequest* request, MaybeError* error);
  // The name of a line; `error` gets what is wrong with the one that it has.
  std::string IdOf(int64_t number, const std::optional<std::string>& custom_id, MaybeError* error);
  // True for a line that an earlier run has written; counts it.
  bool IsWritten(const std::string& custom_id);
  bool MayTryAgain();
  Status Advance(int64_t number);
  Status Finish(int64_t number, Running running);
  Status Fail(int64_t number, const std::string& custom_id, CallError error);
  Status Refuse(int64_t number, const std::string& custom_id, const Refusal& refusal);
  bool IsLastChance(int crashes) const;
  // Why the line is not to be tried again, if processes died while they `did` it.
  std::optional<Refusal> RefusalOf(int64_t number, int crashes, const char* did) const;
  Status Write(int64_t number, Finished finished);
  Status Append(const Finished& finished);
  Status SyncIfDue();
  void Wait(bool more);

  Engine& engine_;
  const std::vector<std::string> names_;
  LineReader& input_;
  OutputFile& output_;
  OutputFile& errors_;
  const BatchOptions options_;
  const std::shared_ptr<Wakeups> wakeups_;  // shared with callbacks, which may outlive the job

  std::unordered_map<std::string, bool> earlier_;  // custom_id -> it was answered
  std::unordered_map<std::string, int64_t> seen_;  // custom_id -> its line
  std::set<int64_t> open_;                         // lines that were taken and are to be written
  std::map<int64_t, Running> running_;             // by line
  std::map<int64_t, Finished> held_;               // finished; an earlier line is not
  std::optional<Attempt> deferred_;                // the engine had no room for it
  std::optional<std::chrono::steady_clock::time_point> give_up_;  // on deferred_
  std::deque<Attempt> again_;                                     // to be run once more
  std::optional<Refusal> refusal_;                                // of all that is not finished
  bool is_alone_ = false;  // the line that runs, or ran last: nothing is to run beside it
  size_t running_requests_ = 0;
  size_t running_bytes_ = 0;
  bool input_ended_ = false;
  std::atomic<bool> is_stopped_ = false;
  std::atomic<bool> is_dropped_ = false;
  std::chrono::steady_clock::time_point synced_ = std::chrono::steady_clock::now();
  BatchCounts counts_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_BATCH_BATCH_JOB_H_
