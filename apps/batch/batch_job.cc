#include "apps/batch/batch_job.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "apps/common/request_id.h"
#include "apps/wire/fields.h"

namespace keel::apps {
namespace {

constexpr size_t kMaxRunningBytes = 256 << 20;  // of lines, so that memory is bounded
constexpr size_t kMaxHeld = 4096;               // lines that wait for an earlier one
constexpr size_t kMaxReasons = 3;               // told at the end
constexpr int kLinesAtOnce = 64;                // between two looks at what has finished

}  // namespace

// What the engine's threads tell the job's: lines that have something new.
class BatchJob::Wakeups {
 public:
  Wakeups() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Wakeups() { close(fd_); }

  void Add(int64_t line) {
    {
      std::lock_guard lock(mutex_);
      lines_.push_back(line);
    }
    Wake();
  }
  void Wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(fd_, &one, sizeof(one));
  }
  std::vector<int64_t> Take() {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t n = read(fd_, &count, sizeof(count));
    std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }
  int fd() const { return fd_; }

 private:
  const int fd_;
  std::mutex mutex_;
  std::vector<int64_t> lines_;
};

BatchJob::BatchJob(Engine& engine, std::vector<std::string> names, LineReader& input,
                   OutputFile& output, OutputFile& errors, BatchOptions options,
                   const EarlierLines& earlier)
    : engine_(engine),
      names_(std::move(names)),
      input_(input),
      output_(output),
      errors_(errors),
      options_(std::move(options)),
      wakeups_(std::make_shared<Wakeups>()) {
  for (const std::string& custom_id : earlier.failed) earlier_[custom_id] = false;
  for (const std::string& custom_id : earlier.answered) earlier_[custom_id] = true;
}

BatchJob::~BatchJob() {
  for (auto& [number, running] : running_) running.generation->Cancel();
}

void BatchJob::Stop() {
  is_stopped_ = true;
  wakeups_->Wake();
}

void BatchJob::Drop() {
  is_dropped_ = true;
  Stop();
}

void BatchJob::RefuseRest(std::string code, std::string message) {
  refusal_ = {.code = std::move(code), .message = std::move(message)};
  for (auto& [number, running] : running_) running.generation->Cancel();
}

Status BatchJob::Run() {
  Status status = Loop();
  const bool has_failed = !engine_.Check().ok();
  if (has_failed) {
    // What was finished before the engine failed is kept.
    std::vector<int64_t> numbers;
    for (const auto& [number, running] : running_) numbers.push_back(number);
    for (const int64_t number : numbers) {
      [[maybe_unused]] const Status same = Advance(number);
    }
  }
  // In order means without a gap: what waits for another line is run again.
  for (OutputFile* file : {&output_, &errors_}) {
    const Status synced = file->Sync();
    if (status.ok()) status = synced;
  }
  // An engine that failed has died of what it ran.
  if (options_.attempts != nullptr && !has_failed) {
    const Status ended = options_.attempts->End(status.ok() && !is_interrupted());
    if (status.ok()) status = ended;
  }
  return status;
}

Status BatchJob::Loop() {
  while (!is_dropped_) {
    const Result<bool> more = Fill();
    if (!more.ok()) return more.status();
    if (options_.on_progress) options_.on_progress(counts_);
    if (open_.empty() && (input_ended_ || is_stopped_)) return Status();
    Wait(*more);
    for (const int64_t number : wakeups_->Take()) {
      if (Status status = Advance(number); !status.ok()) return status;
    }
    if (Status status = SyncIfDue(); !status.ok()) return status;
  }
  return Status();
}

size_t BatchJob::NumOthers() const { return options_.num_others ? options_.num_others() : 0; }

bool BatchJob::HasRoom() const {
  const size_t most = options_.max_in_flight - std::min(NumOthers(), options_.max_in_flight - 1);
  return running_requests_ < most && running_bytes_ < kMaxRunningBytes &&
         !((deferred_.has_value() || is_alone_) && !running_.empty());
}

bool BatchJob::MayRead() const { return !is_stopped_ && !input_ended_ && held_.size() < kMaxHeld; }

Result<bool> BatchJob::Fill() {
  for (int i = 0; i < kLinesAtOnce; ++i) {
    if (!HasRoom()) return false;
    Result<std::optional<Attempt>> next = NextLine();
    if (!next.ok()) return next.status();
    if (!next->has_value()) return false;
    if (Status status = StartLine(**std::move(next)); !status.ok()) return status;
    if (deferred_.has_value()) return false;
  }
  return true;
}

Result<std::optional<BatchJob::Attempt>> BatchJob::NextLine() {
  if (deferred_.has_value()) return std::exchange(deferred_, std::nullopt);
  if (!again_.empty()) {
    Attempt attempt = std::move(again_.front());
    again_.pop_front();
    return std::optional<Attempt>(std::move(attempt));
  }
  Attempt attempt;
  while (MayRead()) {
    const Result<LineReader::Next> next = input_.Read(&attempt.line);
    if (!next.ok()) return next.status();
    if (*next == LineReader::Next::kWait) break;
    input_ended_ = *next == LineReader::Next::kEnd;
    if (!input_ended_ && options_.shard.Has(attempt.line.number))
      return std::optional<Attempt>(std::move(attempt));
  }
  return std::optional<Attempt>();
}

Status BatchJob::StartLine(Attempt attempt) {
  const LineReader::Line& line = attempt.line;
  if (line.text.find_first_not_of(" \t") == std::string::npos && !line.is_too_long) {
    ++counts_.blank;
    return Status();
  }
  const int crashes_reading =
      options_.attempts == nullptr ? 0 : options_.attempts->crashes_reading(line.number);
  if (IsLastChance(crashes_reading) && !running_.empty()) {
    deferred_ = std::move(attempt);
    return Status();
  }
  const auto unreadable = RefusalOf(line.number, crashes_reading, "read");
  BatchRequest request;
  MaybeError error;
  if (!unreadable.has_value()) {
    if (Status status = ReadLine(line, &request, &error); !status.ok()) return status;
  }
  std::string custom_id = IdOf(line.number, request.custom_id, &error);
  if (IsWritten(custom_id)) return Status();
  open_.insert(line.number);
  if (refusal_.has_value()) return Refuse(line.number, custom_id, *refusal_);
  if (unreadable.has_value()) return Refuse(line.number, custom_id, *unreadable);
  if (options_.attempts != nullptr) {
    const int crashes = options_.attempts->crashes(custom_id);
    if (const auto refusal = RefusalOf(line.number, crashes, "ran"))
      return Refuse(line.number, custom_id, *refusal);
    const bool is_alone = IsLastChance(crashes);
    if (is_alone && !running_.empty()) {
      deferred_ = std::move(attempt);
      return Status();
    }
    is_alone_ = is_alone;
    if (Status status = options_.attempts->Run(custom_id); !status.ok()) return status;
  }
  Call call;
  const std::string request_id = NewRequestId();
  if (!error.has_value())
    error = ParseBatchCall(request, names_, engine_, request_id, options_.limits, &call);
  if (error.has_value()) return Fail(line.number, custom_id, *std::move(error));

  const size_t num_requests = call.requests.size();
  for (Request& part : call.requests) {
    if (!options_.priority.has_value()) break;
    if (Status status = part.SetInt("priority", *options_.priority); !status.ok()) return status;
  }
  auto generation =
      Generation::Start(engine_, std::move(call.requests),
                        [wakeups = wakeups_, number = line.number] { wakeups->Add(number); });
  if (!generation.ok()) {
    if (generation.status().code() == Code::kResourceExhausted && MayTryAgain()) {
      deferred_ = std::move(attempt);
      return Status();
    }
    give_up_.reset();
    return Fail(line.number, custom_id, RefusedCall(generation.status(), request.body));
  }
  give_up_.reset();
  const int64_t number = line.number;
  running_requests_ += num_requests;
  running_bytes_ += line.text.size();
  running_.emplace(number, Running{.custom_id = std::move(custom_id),
                                   .request_id = request_id,
                                   .answer = std::move(call.answer),
                                   .generation = *std::move(generation),
                                   .requests = num_requests,
                                   .attempt = std::move(attempt)});
  // What came before the line was in running_ woke nobody.
  return Advance(number);
}

Status BatchJob::ReadLine(const LineReader::Line& line, BatchRequest* request, MaybeError* error) {
  if (line.is_too_long) {
    *error = InvalidField("", "the line is longer than --max-line-bytes allows (" +
                                  std::to_string(input_.max_line_bytes()) + " bytes)");
    return Status();
  }
  if (options_.attempts != nullptr) {
    if (Status status = options_.attempts->Read(line.number); !status.ok()) return status;
  }
  *error = ReadBatchRequest(line.text, line.number, request);
  return options_.attempts == nullptr ? Status() : options_.attempts->HasRead();
}

// Names depend on the lines before alone, so that a later run gives the same.
std::string BatchJob::IdOf(int64_t number, const std::optional<std::string>& custom_id,
                           MaybeError* error) {
  if (custom_id.has_value()) {
    const int64_t first = seen_.emplace(*custom_id, number).first->second;
    if (first == number) return *custom_id;
    if (!error->has_value()) {
      *error = InvalidField("custom_id", "custom_id " + Quote(*custom_id) + " is that of line " +
                                             std::to_string(first) +
                                             " too, expected another one for each line");
    }
  }
  std::string id = UnnamedId(number);
  while (!seen_.emplace(id, number).second) id += "-again";
  return id;
}

bool BatchJob::IsWritten(const std::string& custom_id) {
  const auto it = earlier_.find(custom_id);
  if (it == earlier_.end()) return false;
  ++counts_.lines;
  ++(it->second ? counts_.answered_before : counts_.failed_before);
  return true;
}

// The engine had no room: it will have some when what runs has ended, and a moment more, since
// requests count until shortly after their last output.
bool BatchJob::MayTryAgain() {
  constexpr auto kMoment = std::chrono::milliseconds(300);
  if (!running_.empty() || NumOthers() > 0) return true;
  const auto now = std::chrono::steady_clock::now();
  if (!give_up_.has_value()) give_up_ = now + kMoment;
  return now < *give_up_;
}

Status BatchJob::Advance(int64_t number) {
  const auto it = running_.find(number);
  if (it == running_.end()) return Status();  // finished meanwhile
  Running& running = it->second;
  std::vector<Piece> pieces;
  const bool more = running.generation->Take(&pieces);
  for (Piece& piece : pieces) {
    running.is_aborted |= piece.output.finish_reason == "abort";
    running.answer->Collect(std::move(piece));
  }
  if (more) return Status();
  running_requests_ -= running.requests;
  running_bytes_ -= running.attempt.line.text.size();
  return Finish(number, std::move(running_.extract(it).mapped()));
}

Status BatchJob::Finish(int64_t number, Running running) {
  MaybeError error = running.answer->error();
  if (running.is_aborted && !error.has_value()) {
    error = FromEngine(Status(Code::kInternal, "the engine ended the request"));
  }
  if (error.has_value() && HttpStatus(error->code) >= 500) {
    // Not the line's fault: a later run will answer it.
    if (Status status = engine_.Check(); !status.ok()) return status;
    if (refusal_.has_value()) return Refuse(number, running.custom_id, *refusal_);
    if (running.attempt.number < options_.retries) {
      ++running.attempt.number;
      again_.push_back(std::move(running.attempt));
      return Status();
    }
  }
  counts_.prompt_tokens += running.answer->usage().prompt_tokens;
  counts_.output_tokens += running.answer->usage().completion_tokens;
  if (error.has_value()) return Fail(number, running.custom_id, *std::move(error));
  ++counts_.lines;
  ++counts_.answered;
  return Write(number,
               {.custom_id = running.custom_id,
                .line = AnsweredLine(running.custom_id, running.request_id, running.answer->Body()),
                .is_answer = true});
}

Status BatchJob::Fail(int64_t number, const std::string& custom_id, CallError error) {
  if (HttpStatus(error.code) >= 500) {
    if (Status status = engine_.Check(); !status.ok()) return status;
  }
  ++counts_.lines;
  ++counts_.failed;
  error.message = "line " + std::to_string(number) + ": " + error.message;
  if (counts_.reasons.size() < kMaxReasons) counts_.reasons.push_back(error.message);
  return Write(number,
               {.custom_id = custom_id, .line = FailedLine(custom_id, NewRequestId(), error)});
}

Status BatchJob::Refuse(int64_t number, const std::string& custom_id, const Refusal& refusal) {
  ++counts_.lines;
  ++counts_.failed;
  return Write(number,
               {.custom_id = custom_id,
                .line = UnrunLine(custom_id, NewRequestId(), refusal.code, refusal.message)});
}

bool BatchJob::IsLastChance(int crashes) const {
  return options_.max_crashes > 0 && crashes + 1 >= options_.max_crashes;
}

std::optional<BatchJob::Refusal> BatchJob::RefusalOf(int64_t number, int crashes,
                                                     const char* did) const {
  if (options_.max_crashes == 0 || crashes < options_.max_crashes) return std::nullopt;
  return Refusal{.code = "process_died",
                 .message = "line " + std::to_string(number) + ": " + std::to_string(crashes) +
                            " processes died while they " + did +
                            " this line, the last one with no other line beside it, so it is not "
                            "tried again"};
}

Status BatchJob::Write(int64_t number, Finished finished) {
  if (options_.attempts != nullptr) {
    if (Status status = options_.attempts->Done(finished.custom_id); !status.ok()) return status;
  }
  if (!options_.keep_order) {
    open_.erase(number);
    return Append(finished);
  }
  held_.emplace(number, std::move(finished));
  while (!held_.empty() && held_.begin()->first == *open_.begin()) {
    if (Status status = Append(held_.begin()->second); !status.ok()) return status;
    held_.erase(held_.begin());
    open_.erase(open_.begin());
  }
  return Status();
}

Status BatchJob::Append(const Finished& finished) {
  return (finished.is_answer ? output_ : errors_).Append(finished.line);
}

Status BatchJob::SyncIfDue() {
  const auto now = std::chrono::steady_clock::now();
  if (now < synced_ + options_.sync_interval) return Status();
  synced_ = now;
  Status status = output_.Sync();
  return status.ok() ? errors_.Sync() : status;
}

// Until something has finished, the input has more to read, or it is time for progress.
void BatchJob::Wait(bool more) {
  constexpr int kProgressMs = 200, kTryAgainMs = 10;
  const bool read = HasRoom() && MayRead() && !deferred_.has_value() && again_.empty();
  pollfd fds[] = {{.fd = wakeups_->fd(), .events = POLLIN, .revents = 0},
                  {.fd = read ? input_.fd() : -1, .events = POLLIN, .revents = 0}};
  const bool try_again = (deferred_.has_value() && running_.empty()) || !again_.empty();
  poll(fds, 2, more ? 0 : try_again ? kTryAgainMs : kProgressMs);
}

}  // namespace keel::apps
