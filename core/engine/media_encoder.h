// Encodes the media that a step computes tokens of.
#ifndef KEEL_CORE_ENGINE_MEDIA_ENCODER_H_
#define KEEL_CORE_ENGINE_MEDIA_ENCODER_H_

#include <cstdint>

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

  // Gives `batch`, which MakeBatch made of `step`, features for its placeholders, and positions where a sequence has its
  // own. Items that no token of the step is of are left for later; those of a prefix that is cached are never encoded. A
  // sequence whose media can't be encoded gets its media_status, and shares its blocks with nobody; others go on.
  void AddMedia(const Step& step, Batch& batch);

  const FeatureCache::Usage& usage() const { return cache_.usage(); }

 private:
  absl::StatusOr<std::shared_ptr<const Features>> FeaturesOf(const RequestMedia::Item& item);
  absl::Status AddFeatures(const RequestMedia& media, int32_t begin, int32_t end, int32_t row,
                           Batch& batch);

  Executor& executor_;
  FeatureCache cache_;
};

}  // namespace keel

#endif  // KEEL_CORE_ENGINE_MEDIA_ENCODER_H_
