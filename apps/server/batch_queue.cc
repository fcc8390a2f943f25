#include "apps/server/batch_queue.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "apps/batch/attempt_log.h"
#include "apps/batch/line_reader.h"
#include "apps/batch/output_file.h"
#include "apps/common/log.h"
#include "apps/server/batch_input.h"
#include "apps/server/batch_usage.h"

namespace keel::apps {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Behind whatever clients ask for: of their requests lower priorities go first, and 0 is usual.
constexpr int64_t kPriority = 1 << 20;
constexpr int kRetries = 2;
constexpr size_t kMaxLineBytes = 64 << 20;
constexpr auto kIdle = std::chrono::minutes(1);  // between two looks for what has expired
constexpr auto kSaveCounts =
    std::chrono::seconds(1);  // at most so old are the counts that are kept

bool MayGoByItself(const Status& status) {
  return status.code() == Code::kResourceExhausted || status.code() == Code::kUnavailable ||
         status.code() == Code::kInternal;
}

// A descriptor that is closed with it.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace

// The lines of a batch, from where an earlier process left off.
class BatchQueue::Run {
 public:
  Run(BatchQueue& queue, const Batch& batch) : queue_(queue), batch_(batch) {}

  Status ToEnd(Engine& engine) {
    const Descriptor input(
        open(queue_.files_.PathOf(batch_.input_file_id).c_str(), O_RDONLY | O_CLOEXEC));
    if (input.get() < 0) {
      return Status(Code::kNotFound,
                    "the input file cannot be read: " + std::string(std::strerror(errno)));
    }
    EarlierLines earlier;
    auto output = Open(batch_.output_id, &earlier);
    if (!output.ok()) return output.status();
    auto errors = Open(batch_.errors_id, &earlier);
    if (!errors.ok()) return errors.status();
    LineReader reader(input.get(), batch_.input_file_id, kMaxLineBytes);
    BatchOptions options = Options();
    std::unique_ptr<AttemptLog> attempts;
    if (options.max_crashes > 0) {
      auto log = AttemptLog::Open(AttemptLog::PathFor(queue_.files_.PathOf(batch_.output_id)),
                                  /*resume=*/true);
      if (!log.ok()) return log.status();
      attempts = *std::move(log);
      options.attempts = attempts.get();
    }
    BatchJob job(engine, queue_.options_.model_names, reader, **output, **errors,
                 std::move(options), earlier);
    job_ = &job;
    RefuseIfTold();
    if (!SetJob(&job)) return Status();  // closing
    const Status status = job.Run();
    SetJob(nullptr);
    const Status saved = SaveCounts(job.counts());
    if (!status.ok() || job.is_interrupted()) return status;
    return saved.ok() ? queue_.End(batch_.id, is_late_ && job.counts().failed > 0) : saved;
  }

 private:
  Result<std::unique_ptr<OutputFile>> Open(const std::string& id, EarlierLines* earlier) {
    return OutputFile::Open(batch_.id, queue_.files_.PathOf(id), OutputFile::Mode::kResume,
                            earlier);
  }

  BatchOptions Options() {
    BatchOptions options;
    options.max_in_flight = queue_.options_.max_in_flight;
    options.num_others = [this] { return queue_.RoomForCalls(); };
    options.retries = kRetries;
    options.limits = queue_.options_.limits;
    options.max_crashes = queue_.options_.max_crashes;
    options.priority = kPriority;
    options.on_progress = [this](const BatchCounts& counts) { OnProgress(counts); };
    return options;
  }

  // False: the queue is closing.
  bool SetJob(BatchJob* job) {
    std::lock_guard lock(queue_.mutex_);
    queue_.job_ = queue_.is_closed_ ? nullptr : job;
    return !queue_.is_closed_;
  }

  void OnProgress(const BatchCounts& counts) {
    RefuseIfTold();
    const auto now = steady_clock::now();
    if (now < save_at_) return;
    save_at_ = now + kSaveCounts;
    Status status = SaveCounts(counts);
    const auto others = queue_.batches_.Unfinished();
    if (status.ok()) status = others.ok() ? queue_.ExpireWaiting(*others) : others.status();
    if (!status.ok()) LogError(batch_.id + ": " + status.message());
  }

  // Whether it was cancelled, or is too late.
  void RefuseIfTold() {
    if (is_refusing_) return;
    if (const uint64_t changes = queue_.changes_; changes != changes_) {
      changes_ = changes;
      const Result<Batch> now = queue_.batches_.Find(batch_.id);
      if (now.ok()) batch_.status = now->status;
    }
    if (batch_.status == BatchStatus::kCancelling) {
      is_refusing_ = true;
      return job_->RefuseRest("batch_cancelled",
                              "the batch was cancelled before this line was run");
    }
    if (Now() < batch_.expires_at) return;
    is_refusing_ = is_late_ = true;
    job_->RefuseRest("batch_expired",
                     "this line was not run before the batch's completion window had passed");
  }

  Status SaveCounts(const BatchCounts& counts) {
    const RequestCounts now = {.total = batch_.counts.total,
                               .completed = counts.answered + counts.answered_before,
                               .failed = counts.failed + counts.failed_before};
    // While earlier lines are passed the numbers grow anew: nobody is told.
    if (now == saved_ ||
        now.completed + now.failed < batch_.counts.completed + batch_.counts.failed)
      return Status();
    saved_ = now;
    return queue_.batches_
        .Change(batch_.id,
                [&](Batch& batch) {
                  batch.counts = now;
                  return Status();
                })
        .status();
  }

  BatchQueue& queue_;
  Batch batch_;
  BatchJob* job_ = nullptr;
  uint64_t changes_ = UINT64_MAX;
  bool is_refusing_ = false;
  bool is_late_ = false;
  RequestCounts saved_;
  steady_clock::time_point save_at_ = steady_clock::now() + kSaveCounts;
};

BatchQueue::BatchQueue(FileStore& files, BatchStore& batches, BatchQueueOptions options)
    : files_(files), batches_(batches), options_(std::move(options)) {}

void BatchQueue::Start() {
  std::lock_guard lock(mutex_);
  if (is_closed_ || thread_.joinable()) return;
  thread_ = std::thread([this] { Loop(); });
}

void BatchQueue::Wake() {
  ++changes_;
  std::lock_guard lock(mutex_);
  is_woken_ = true;
  wake_.notify_all();
}

void BatchQueue::Close() {
  {
    std::lock_guard lock(mutex_);
    is_closed_ = true;
    if (job_ != nullptr) job_->Drop();
  }
  Wake();
  if (thread_.joinable()) thread_.join();
}

// A line shares each step with the calls that run beside it, so while there are some few do.
size_t BatchQueue::RoomForCalls() const {
  const size_t calls = options_.num_calls();
  return calls == 0 ? 0 : options_.max_in_flight - options_.max_in_flight / 4 + calls - 1;
}

Result<std::vector<std::string>> BatchQueue::FilesInUse() {
  const Result<std::vector<Batch>> batches = batches_.Unfinished();
  if (!batches.ok()) return batches.status();
  std::vector<std::string> ids;
  for (const Batch& batch : *batches) {
    for (const std::string& id : {batch.input_file_id, batch.output_id, batch.errors_id})
      if (!id.empty()) ids.push_back(id);
    for (const std::string& id : {batch.input_file_id, batch.output_id})
      ids.push_back(AttemptLog::PathFor(id));
  }
  return ids;
}

Result<Batch> BatchQueue::Cancel(const std::string& id) {
  Result<Batch> batch = batches_.Change(id, [&id](Batch& batch) {
    if (HasEnded(batch.status)) {
      return Status(Code::kFailedPrecondition, "batch '" + id + "' is " +
                                                   std::string(NameOf(batch.status)) +
                                                   ", so it cannot be cancelled any more");
    }
    if (batch.status == BatchStatus::kCancelling || batch.status == BatchStatus::kFinalizing)
      return Status();
    const bool has_begun = batch.status == BatchStatus::kInProgress;
    batch.Enter(BatchStatus::kCancelling, Now());
    if (!has_begun) batch.Enter(BatchStatus::kCancelled, Now());
    return Status();
  });
  if (batch.ok()) Wake();
  return batch;
}

void BatchQueue::Loop() {
  while (!is_closed_) {
    const Result<bool> more = RunNext();
    if (!more.ok()) LogError("batches: " + more.status().message());
    if (!more.ok()) {
      Sleep(options_.try_again);
    } else if (!*more) {
      Sleep(kIdle);
    }
  }
}

// Until Wake, at most.
void BatchQueue::Sleep(milliseconds time) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, time, [&] { return is_woken_ || is_closed_; });
  is_woken_ = false;
}

Result<bool> BatchQueue::RunNext() {
  const Result<std::vector<std::string>> in_use = FilesInUse();
  if (!in_use.ok()) return in_use.status();
  if (Status status = files_.RemoveExpired(*in_use); !status.ok()) return status;
  Result<std::vector<Batch>> batches = batches_.Unfinished();
  if (!batches.ok()) return batches.status();
  if (Status status = ExpireWaiting(*batches); !status.ok()) return status;
  batches = batches_.Unfinished();
  if (!batches.ok()) return batches.status();
  if (batches->empty()) return false;
  const Batch& batch = batches->front();
  Status status = batch.status == BatchStatus::kValidating ? Validate(batch) : RunLines(batch);
  if (!status.ok()) return status;
  return true;
}

Status BatchQueue::ExpireWaiting(const std::vector<Batch>& batches) {
  for (const Batch& waiting : batches) {
    if (waiting.status != BatchStatus::kValidating || Now() < waiting.expires_at) continue;
    const auto changed = batches_.Change(waiting.id, [](Batch& batch) {
      if (batch.status == BatchStatus::kValidating) batch.Enter(BatchStatus::kExpired, Now());
      return Status();
    });
    if (!changed.ok()) return changed.status();
  }
  return Status();
}

Status BatchQueue::Validate(const Batch& batch) {
  const std::string path = files_.PathOf(batch.input_file_id);
  BatchInputRules rules = {.endpoint = batch.endpoint,
                           .model_names = options_.model_names,
                           .max_lines = options_.max_lines,
                           .max_line_bytes = kMaxLineBytes,
                           .max_crashes = options_.max_crashes};
  std::unique_ptr<AttemptLog> attempts;
  if (options_.max_crashes > 0) {
    auto log = AttemptLog::Open(AttemptLog::PathFor(path), /*resume=*/true);
    if (!log.ok()) return log.status();
    attempts = *std::move(log);
    rules.attempts = attempts.get();
  }
  const Result<BatchInput> input = ReadBatchInput(path, rules);
  if (attempts != nullptr) {
    const bool is_complete = input.ok() || input.status().code() == Code::kNotFound;
    if (Status status = attempts->End(is_complete); !status.ok()) return status;
  }
  if (input.status().code() == Code::kNotFound)
    return FailBatch(batch.id, {.code = "invalid_file", .message = input.status().message()});
  if (!input.ok()) return input.status();
  return batches_
      .Change(batch.id,
              [&](Batch& now) {
                if (now.status != BatchStatus::kValidating) return Status();  // cancelled
                now.counts.total = input->lines;
                now.model = input->model;
                now.faults = input->faults;
                if (!now.faults.empty()) {
                  now.Enter(BatchStatus::kFailed, Now());
                  return Status();
                }
                // Files of the store once the batch has ended.
                now.output_id = FileStore::NewId();
                now.errors_id = FileStore::NewId();
                now.Enter(BatchStatus::kInProgress, Now());
                return Status();
              })
      .status();
}

Status BatchQueue::RunLines(const Batch& batch) {
  Result<std::shared_ptr<Engine>> engine = options_.acquire(batch.model);
  if (!engine.ok()) {
    const bool is_late = Now() >= batch.expires_at;
    if (is_late || batch.status == BatchStatus::kCancelling) return End(batch.id, is_late);
    if (MayGoByItself(engine.status())) return engine.status();
    return FailBatch(
        batch.id,
        {.code = "model_not_loaded", .message = engine.status().message(), .param = "model"});
  }
  Status status = Run(*this, batch).ToEnd(**engine);
  if (status.code() != Code::kNotFound) return status;
  return FailBatch(batch.id, {.code = "invalid_file", .message = status.message()});
}

Status BatchQueue::FailBatch(const std::string& id, BatchFault fault) {
  return batches_
      .Change(id,
              [&](Batch& batch) {
                if (HasEnded(batch.status)) return Status();
                batch.faults.push_back(std::move(fault));
                batch.Enter(BatchStatus::kFailed, Now());
                return Status();
              })
      .status();
}

// What was written becomes files of the store together with the batch's end.
Status BatchQueue::End(const std::string& id, bool is_late) {
  const Result<Batch> ending = batches_.Find(id);
  if (!ending.ok()) return ending.status();
  const Result<BatchUsage> usage = UsageOf(files_.PathOf(ending->output_id));
  if (!usage.ok()) return usage.status();
  const Result<Batch> ended = batches_.Change(id, [&](Batch& batch) {
    batch.usage = *usage;
    const bool is_cancelled = batch.status == BatchStatus::kCancelling;
    batch.Enter(BatchStatus::kFinalizing, Now());
    const auto adopt = [&](const std::string& file, const char* name, bool* has) {
      std::error_code error;
      const std::string path = files_.PathOf(file);
      if (std::filesystem::file_size(path, error) == 0 || error) {
        unlink(path.c_str());
        return Status();
      }
      *has = true;
      return files_
          .Adopt(file, id + "_" + name + ".jsonl", "batch_output", batch.output_expires_after)
          .status();
    };
    Status status = adopt(batch.output_id, "output", &batch.has_output);
    if (status.ok()) status = adopt(batch.errors_id, "error", &batch.has_errors);
    batch.Enter(is_cancelled ? BatchStatus::kCancelled
                : is_late    ? BatchStatus::kExpired
                             : BatchStatus::kCompleted,
                Now());
    return status;
  });
  if (!ended.ok()) return ended.status();
  LogInfo(id + ": " + std::string(NameOf(ended->status)) + ", " +
          std::to_string(ended->counts.completed) + " of " + std::to_string(ended->counts.total) +
          " lines answered");
  return Status();
}

}  // namespace keel::apps
