#include "apps/batch/batch_job.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>
#include <string_view>
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
                   OutputFile& output, const BatchOptions& options,
                   const std::vector<std::string>& answered)
    : engine_(engine),
      names_(std::move(names)),
      input_(input),
      output_(output),
      options_(options),
      wakeups_(std::make_shared<Wakeups>()) {
  for (const std::string& custom_id : answered) seen_.emplace(custom_id, 0);
}

BatchJob::~BatchJob() {
  for (auto& [number, running] : running_) running.generation->Cancel();
}

void BatchJob::Stop() {
  is_stopped_ = true;
  wakeups_->Wake();
}

Status BatchJob::Run() {
  Status status = Loop();
  if (!engine_.Check().ok()) {
    // What was finished before the engine failed is kept.
    std::vector<int64_t> numbers;
    for (const auto& [number, running] : running_) numbers.push_back(number);
    for (const int64_t number : numbers) {
      [[maybe_unused]] const Status same = Advance(number);
    }
  }
  for (const auto& [number, line] : held_) {
    const Status written = output_.Append(line);
    if (status.ok()) status = written;
  }
  held_.clear();
  progress_.Clear();
  return status;
}

Status BatchJob::Loop() {
  while (true) {
    const Result<bool> more = Fill();
    if (!more.ok()) return more.status();
    if (running_.empty() && !deferred_.has_value() && (input_ended_ || is_stopped_)) {
      return Status();
    }
    Wait(*more);
    for (const int64_t number : wakeups_->Take()) {
      if (Status status = Advance(number); !status.ok()) return status;
    }
    ShowProgress();
  }
}

bool BatchJob::HasRoom() const {
  return running_requests_ < options_.max_in_flight && running_bytes_ < kMaxRunningBytes &&
         held_.size() < kMaxHeld && !(deferred_.has_value() && !running_.empty());
}

Result<bool> BatchJob::Fill() {
  for (int i = 0; i < kLinesAtOnce; ++i) {
    if (!HasRoom() || (!deferred_.has_value() && (is_stopped_ || input_ended_))) return false;
    LineReader::Line line;
    if (deferred_.has_value()) {
      line = *std::exchange(deferred_, std::nullopt);
    } else {
      const Result<LineReader::Next> next = input_.Read(&line);
      if (!next.ok()) return next.status();
      if (*next == LineReader::Next::kWait) return false;
      input_ended_ = *next == LineReader::Next::kEnd;
      if (input_ended_) return false;
    }
    if (Status status = StartLine(line); !status.ok()) return status;
    if (deferred_.has_value()) return false;
  }
  return true;
}

Status BatchJob::StartLine(const LineReader::Line& line) {
  if (line.text.find_first_not_of(" \t") == std::string::npos && !line.is_too_long) {
    ++blank_;
    return Status();
  }
  BatchRequest request;
  MaybeError error;
  if (line.is_too_long) {
    error = InvalidField("", "the line is longer than --max-line-bytes allows (" +
                                 std::to_string(input_.max_line_bytes()) + " bytes)");
  } else {
    error = ReadBatchRequest(line.text, line.number, &request);
  }
  if (request.custom_id.has_value()) {
    const int64_t first = seen_.emplace(*request.custom_id, line.number).first->second;
    if (first == 0) {
      ++counts_.lines;
      ++counts_.skipped;
      return Status();
    }
    if (first != line.number && !error.has_value()) {
      error = InvalidField("custom_id", "custom_id is that of line " + std::to_string(first) +
                                            " too, expected another one for each line");
    }
  }
  Call call;
  const std::string request_id = NewRequestId();
  if (!error.has_value()) error = ParseBatchCall(request, names_, engine_, request_id, &call);
  if (error.has_value()) return Fail(line.number, request.custom_id, *std::move(error));

  const size_t num_requests = call.requests.size();
  auto generation =
      Generation::Start(engine_, std::move(call.requests),
                        [wakeups = wakeups_, number = line.number] { wakeups->Add(number); });
  if (!generation.ok()) {
    if (generation.status().code() == Code::kResourceExhausted && MayTryAgain()) {
      deferred_ = line;
      return Status();
    }
    give_up_.reset();
    return Fail(line.number, request.custom_id, RefusedCall(generation.status(), request.body));
  }
  give_up_.reset();
  running_requests_ += num_requests;
  running_bytes_ += line.text.size();
  running_.emplace(line.number, Running{.custom_id = *std::move(request.custom_id),
                                        .request_id = request_id,
                                        .answer = std::move(call.answer),
                                        .generation = *std::move(generation),
                                        .requests = num_requests,
                                        .bytes = line.text.size()});
  // What came before the line was in running_ woke nobody.
  return Advance(line.number);
}

// The engine had no room: it will have some when what runs has ended, and a moment more, since
// requests count until shortly after their last output.
bool BatchJob::MayTryAgain() {
  constexpr auto kMoment = std::chrono::milliseconds(300);
  if (!running_.empty()) return true;
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
  running_bytes_ -= running.bytes;
  return Finish(number, std::move(running_.extract(it).mapped()));
}

Status BatchJob::Finish(int64_t number, Running running) {
  counts_.prompt_tokens += running.answer->usage().prompt_tokens;
  counts_.output_tokens += running.answer->usage().completion_tokens;
  MaybeError error = running.answer->error();
  if (running.is_aborted && !error.has_value()) {
    error = FromEngine(Status(Code::kInternal, "the engine ended the request"));
  }
  if (error.has_value()) return Fail(number, running.custom_id, *std::move(error));
  ++counts_.lines;
  ++counts_.answered;
  return Write(number, AnsweredLine(running.custom_id, running.request_id, running.answer->Body()));
}

Status BatchJob::Fail(int64_t number, const std::optional<std::string>& custom_id,
                      CallError error) {
  ++counts_.lines;
  ++counts_.failed;
  error.message = "line " + std::to_string(number) + ": " + error.message;
  if (counts_.reasons.size() < kMaxReasons) counts_.reasons.push_back(error.message);
  Status status = Write(number, FailedLine(custom_id, NewRequestId(), error));
  if (status.ok() && HttpStatus(error.code) >= 500) return engine_.Check();
  return status;
}

Status BatchJob::Write(int64_t number, std::string line) {
  if (!options_.keep_order) return output_.Append(line);
  held_.emplace(number, std::move(line));
  while (!held_.empty()) {
    const auto first = held_.begin();
    if (!running_.empty() && running_.begin()->first < first->first) break;
    if (deferred_.has_value() && deferred_->number < first->first) break;
    if (Status status = output_.Append(first->second); !status.ok()) return status;
    held_.erase(first);
  }
  return Status();
}

// Until something has finished, the input has more to read, or the progress is to be drawn again.
void BatchJob::Wait(bool more) {
  constexpr int kRedrawMs = 200, kTryAgainMs = 10;
  const bool read = HasRoom() && !deferred_.has_value() && !input_ended_ && !is_stopped_;
  pollfd fds[] = {{.fd = wakeups_->fd(), .events = POLLIN, .revents = 0},
                  {.fd = read ? input_.fd() : -1, .events = POLLIN, .revents = 0}};
  const bool try_again = deferred_.has_value() && running_.empty();
  poll(fds, 2, more ? 0 : try_again ? kTryAgainMs : kRedrawMs);
}

// "answering [####    ] 50% 12/24 lines, 1 failed, 812 tokens/s, 3 m 05 s left"
void BatchJob::ShowProgress() {
  if (!progress_.IsDue()) return;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const int64_t run = counts_.answered + counts_.failed;
  const int64_t total = total_ - blank_;
  std::string note = std::to_string(counts_.lines);
  if (total > 0) note += "/" + std::to_string(total);
  note += " lines";
  if (counts_.failed > 0) note += ", " + std::to_string(counts_.failed) + " failed";
  char rate[48];
  std::snprintf(rate, sizeof(rate), ", %.1f tokens/s",
                static_cast<double>(counts_.output_tokens) / seconds);
  note += rate;
  if (total > counts_.lines && run > 0) {
    const double left = static_cast<double>(total - counts_.lines);
    note += ", " + FormatDuration(seconds * left / static_cast<double>(run)) + " left";
  }
  progress_.Show(is_stopped_ ? "ending" : "answering", counts_.lines, total, note);
}

}  // namespace keel::apps
