// The engine: takes requests, runs steps, gives outputs.
//
// Threads: callers prepare requests (template, tokenizer, grammar, checks) on their own threads; the engine thread, which
// the engines of a process share, schedules, runs and samples. Two threads of each engine work while the model runs: one
// fills the masks of grammars, one makes text of the last step's tokens and calls back. The engine thread never waits for
// a reader.
//
// The way of a request, and the reading order: RequestPreparer (checks, prompt to tokens), Engine (queue, commands,
// deadlines, steps), ModelRunner (a step: batch, forward, masks, sampling), Decoding (its tokens: one by one, drafts,
// beams), ending.h (a sequence finishes, a request ends), OutputWorker (text).
#ifndef KEEL_CORE_ENGINE_ENGINE_H_
#define KEEL_CORE_ENGINE_ENGINE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/trace.h"
#include "core/engine/ending.h"
#include "core/engine/engine_loop.h"
#include "core/engine/media_loader.h"
#include "core/engine/metrics.h"
#include "core/engine/model_runner.h"
#include "core/engine/output_worker.h"
#include "core/engine/prepare.h"
#include "core/engine/request.h"
#include "core/engine/running_request.h"
#include "core/engine/sampled.h"
#include "core/kernels/thread_pool.h"
#include "core/model/model.h"
#include "core/model/options.h"
#include "core/scheduler/scheduler.h"

namespace keel {

class Engine : private EngineClient {
 public:
  // Loads the model and begins to serve. Slow.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(const EngineOptions& options);

  // Serves a model that is loaded: its executor has its cache.
  static absl::StatusOr<std::unique_ptr<Engine>> Serve(const EngineOptions& options, Model model);

  // Ends every request with kAbort. Not on the engine's thread.
  ~Engine() override;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Queues a request and returns its id. Any thread. Errors, all before anything runs: those of RequestPreparer,
  // RESOURCE_EXHAUSTED (queue full), UNAVAILABLE (shutting down).
  absl::StatusOr<uint64_t> Submit(const Request& request, OutputCallback callback);

  // From the next step on. NOT_FOUND when the request has ended. Any thread, and in a callback too.
  absl::Status Cancel(uint64_t id) { return Tell(id, Command::kCancel); }
  // A paused request computes nothing and holds no blocks, until it is resumed, cancelled or overdue. One that is too far
  // ahead of its reader is paused besides, and goes on when neither holds it.
  absl::Status Pause(uint64_t id) { return Tell(id, Command::kPause); }
  absl::Status Resume(uint64_t id) { return Tell(id, Command::kResume); }
  // The reader has taken `tokens` tokens of a request with max_unread_tokens. NOT_FOUND when it has ended. Any thread, and
  // in a callback too.
  absl::Status Read(uint64_t id, int64_t tokens);

  // Forgets what is kept of earlier prompts, before the next one begins. FAILED_PRECONDITION: requests run. Any thread.
  absl::Status ResetPrefixCache();

  // OK while the engine serves. Any thread.
  absl::Status Check() const;

  // Requests whose last output has not been given. Any thread.
  size_t num_requests() const;

  const Model& model() const { return model_; }
  const std::string& info_json() const { return info_json_; }
  Metrics& metrics() { return *metrics_; }

  // The prompt's token ids, as Submit makes them. Any thread.
  absl::StatusOr<std::vector<int32_t>> PromptTokens(const Request& request) const {
    return preparer_.PromptTokens(request);
  }

 private:
  // kHold, kGoOn: flow control's own pause, which a client's neither ends nor is ended by.
  enum class Command { kCancel, kPause, kResume, kHold, kGoOn };

  struct OpenRequest {
    std::shared_ptr<OutputChannel> channel;
    int64_t sequences;
  };

  Engine(const EngineOptions& options, Model model, std::unique_ptr<Trace> trace,
         std::unique_ptr<MediaLoader> media);
  // Takes its place among those that run or wait.
  absl::Status Admit(RunningRequest& request, uint64_t* id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Tell(uint64_t id, Command command);

  // From here on on the engine's thread.
  bool RunOnce() override;
  absl::Time WakeAt() const override;
  void Idled(absl::Duration duration) override;
  void TakeIncoming();
  void Obey(RunningRequest& request, Command command);
  void EndOverdue();
  void End(RunningRequest& request, FinishReason reason, const absl::Status& status = {});
  void ForgetEnded();
  void UpdateLoad();

  // engine_step.cc
  void RunStep();
  void NoteScheduled(const Step& step);
  void Decode(absl::Span<Sampled> sampled);
  void Fail(const Step& step, const absl::Status& status);

  const int64_t max_sequences_;         // running or waiting
  const std::unique_ptr<Trace> trace_;  // null: off
  const Model model_;
  const std::unique_ptr<Metrics> metrics_;
  const std::unique_ptr<MediaLoader> media_;  // null: the model takes none
  const RequestPreparer preparer_;
  const std::string info_json_;

  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<RunningRequest>> incoming_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<uint64_t, Command>> commands_ ABSL_GUARDED_BY(mutex_);
  // Of requests whose last output is to come.
  absl::flat_hash_map<uint64_t, OpenRequest> open_ ABSL_GUARDED_BY(mutex_);
  int64_t open_sequences_ ABSL_GUARDED_BY(mutex_) = 0;  // theirs
  bool reset_prefixes_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;

  // The engine thread's.
  BlockAllocator blocks_;
  Scheduler scheduler_;
  ModelRunner runner_;
  absl::Duration encode_for_;  // between the last step and the next
  std::map<uint64_t, std::unique_ptr<RunningRequest>> requests_;
  std::set<std::pair<absl::Time, uint64_t>> deadlines_;
  std::vector<uint64_t> ended_;      // to be forgotten when nobody refers to them any more
  std::vector<OutputEvent> events_;  // for the output worker
  DecodingContext decoding_ = {scheduler_, *metrics_, trace_.get(), events_, ended_};
  std::vector<RunningRequest*> sampled_requests_;  // scratch of a step
  int64_t num_evicted_ = 0;                        // blocks, as the metrics know
  FeatureCache::Usage media_usage_;                // as the metrics know
  int64_t num_encoder_calls_ = 0;                  // likewise
  int64_t num_paused_ = 0;                         // sequences

  const std::shared_ptr<ThreadPool> threads_;  // that compute its steps
  const std::shared_ptr<EngineLoop> loop_;
  OutputWorker outputs_;  // goes first: its callbacks may use the others
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_ENGINE_H_
