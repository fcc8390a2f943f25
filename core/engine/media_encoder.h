// Encodes media between steps, a while at a time, so that who decodes never waits for all of somebody's picture.
#ifndef KEEL_CORE_ENGINE_MEDIA_ENCODER_H_
#define KEEL_CORE_ENGINE_MEDIA_ENCODER_H_

#include <cstdint>
#include <deque>
#include <memory>

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
  // `executor` must outlive it. `cache_bytes`: of features kept for later.
  MediaEncoder(Executor& executor, int64_t cache_bytes)
      : executor_(executor), cache_(cache_bytes) {}

  // How many of `n` tokens from `begin` on a step may compute: those up to the first whose features are not there, which
  // are queued then. Items that nobody asks for, those of a prefix that is cached, are never encoded. A sequence whose
  // media can't be encoded gets its media_status, waits for no other, and shares its blocks with nobody.
  int32_t NumReady(RunningSequence& sequence, int32_t begin, int32_t n);

  // Somebody waits for features.
  bool pending();
  // Goes on with the first that are queued for about `limit`, at most until they are there; what nobody waits for any
  // more is dropped.
  void Advance(absl::Duration limit);

  // Gives `batch`, which MakeBatch made of `step`, features for its placeholders, which NumReady has found, and positions
  // where a sequence has its own.
  void AddMedia(const Step& step, Batch& batch);

  const FeatureCache::Usage& usage() const { return cache_.usage(); }

 private:
  std::shared_ptr<MediaJob> JobFor(const std::shared_ptr<const RequestMedia>& media,
                                   const RequestMedia::Item& item);
  absl::Status Continue(MediaJob& job, absl::Duration limit);
  static void Fail(RunningSequence& sequence, const absl::Status& status);
  static void AddFeatures(RunningSequence& sequence, int32_t begin, int32_t end, int32_t row,
                          Batch& batch);

  Executor& executor_;
  FeatureCache cache_;
  std::deque<std::weak_ptr<MediaJob>>
      queue_;  // by when they were asked for first; sequences own them
};

}  // namespace keel

#endif  // KEEL_CORE_ENGINE_MEDIA_ENCODER_H_
