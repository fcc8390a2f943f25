// The engine: takes requests, runs steps, gives outputs.
//
// Threads: callers prepare requests (template, tokenizer, checks) on their own threads; one engine thread schedules,
// runs, samples and calls back. It never waits for a reader.
#ifndef KEEL_CORE_ENGINE_ENGINE_H_
#define KEEL_CORE_ENGINE_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/engine/metrics.h"
#include "core/engine/model.h"
#include "core/engine/options.h"
#include "core/engine/request.h"
#include "core/engine/running_request.h"
#include "core/scheduler/scheduler.h"

namespace keel {

class Engine {
 public:
  // Loads the model and starts the engine's thread. Slow.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(const EngineOptions& options);

  // Ends every request with kAbort, then joins.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Queues a request and returns its id. Any thread. Errors, all before anything runs: INVALID_ARGUMENT (a parameter, a
  // prompt that is too long, with both numbers), RESOURCE_EXHAUSTED (queue full), UNIMPLEMENTED (by name).
  absl::StatusOr<uint64_t> Submit(const Request& request, OutputCallback callback);

  // Ends the request soon. NOT_FOUND when it has ended. Any thread.
  absl::Status Cancel(uint64_t id);

  // OK while the engine serves. Any thread.
  absl::Status Check() const;

  const Model& model() const { return model_; }
  std::string info_json() const;
  Metrics& metrics() { return *metrics_; }

  // The prompt's token ids, as Submit makes them. Any thread.
  absl::StatusOr<std::vector<int32_t>> PromptTokens(const Request& request) const;

 private:
  Engine(const EngineOptions& options, Model model);

  absl::StatusOr<std::unique_ptr<RunningRequest>> Prepare(const Request& request,
                                                          OutputCallback callback) const;

  // On the engine's thread.
  void Loop();
  void TakeIncoming();
  void RunStep();
  absl::Status RunModel(const Step& step);
  void Take(RunningSequence& sequence, const SampledToken& token);
  void Finish(RunningSequence& sequence, FinishReason reason, std::string stop_reason,
              absl::Status status = {});
  void End(RunningRequest& request, FinishReason reason, const absl::Status& status = {});
  void UpdateGauges();

  const EngineOptions options_;
  const Model model_;
  std::unique_ptr<Metrics> metrics_;

  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<RunningRequest>> incoming_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> cancelled_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, bool> known_ ABSL_GUARDED_BY(mutex_);  // ids that have not ended
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;

  // The engine thread's.
  BlockPool pool_;
  Scheduler scheduler_;
  std::map<uint64_t, std::unique_ptr<RunningRequest>> requests_;

  std::thread thread_;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_ENGINE_H_
