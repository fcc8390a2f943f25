// Encodes media between steps, a while at a time, so that who decodes never waits for all of somebody's picture. Small items
// that wait at the same time, of any requests, go through the encoder together.
#ifndef KEEL_CORE_ENGINE_MEDIA_ENCODER_H_
#define KEEL_CORE_ENGINE_MEDIA_ENCODER_H_

#include <cstdint>
#include <deque>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/engine/feature_cache.h"
#include "core/engine/running_request.h"
#include "core/exec/batch.h"
#include "core/exec/executor.h"
#include "core/scheduler/scheduler.h"

namespace keel {

// The engine thread's.
class MediaEncoder {
 public:
  // `executor` must outlive it. `cache_bytes`: of features kept for later. `max_tokens`: features that a call of an encoder
  // makes of several items; one that has more goes alone.
  MediaEncoder(Executor& executor, int64_t cache_bytes, int64_t max_tokens);
  ~MediaEncoder();

  // How many of `n` tokens from `begin` on a step may compute: those up to the first whose features are not there. What is
  // missing of all of them is queued. Items that nobody asks for, those of a prefix that is cached, are never encoded. A
  // sequence whose media can't be encoded gets its media_status, waits for no other, and shares its blocks with nobody.
  int32_t NumReady(RunningSequence& sequence, int32_t begin, int32_t n);

  // Somebody waits for features.
  bool pending();
  // Goes on with the first that are queued for about `limit`, at most until they are there; what nobody waits for any
  // more is dropped. Where a call for several items fails, each goes alone, so that it fails by itself.
  void Advance(absl::Duration limit);

  // Gives `batch`, which MakeBatch made of `step`, features for its placeholders, which NumReady has found, and positions
  // where a sequence has its own.
  void AddMedia(const Step& step, Batch& batch);

  const FeatureCache::Usage& usage() const { return cache_.usage(); }
  int64_t num_calls() const { return num_calls_; }  // of encoders, that were begun

 private:
  struct Call;

  std::shared_ptr<MediaJob> JobFor(const std::shared_ptr<const RequestMedia>& media,
                                   const RequestMedia::Item& item);
  std::unique_ptr<Call> NextCall();
  absl::StatusOr<FeatureList> Continue(absl::Duration limit);
  void Finish(const Call& call, const absl::StatusOr<FeatureList>& features);
  static void Fail(RunningSequence& sequence, const absl::Status& status);
  static void AddFeatures(RunningSequence& sequence, int32_t begin, int32_t end, int32_t row,
                          Batch& batch);

  Executor& executor_;
  const int64_t max_tokens_;
  FeatureCache cache_;
  // Not done, by when they were asked for first; sequences own them. Those of the call are among them.
  std::deque<std::weak_ptr<MediaJob>> queue_;
  std::unique_ptr<Call> call_;  // null: none is under way
  int64_t num_calls_ = 0;
};

}  // namespace keel

#endif  // KEEL_CORE_ENGINE_MEDIA_ENCODER_H_
