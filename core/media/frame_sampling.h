// Which frames of a clip are taken.
#ifndef KEEL_CORE_MEDIA_FRAME_SAMPLING_H_
#define KEEL_CORE_MEDIA_FRAME_SAMPLING_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/media/decode_options.h"

namespace keel {

// Ascending indices of `total` >= 1 frames, at most `max_frames`, as transformers'
// default_sample_indices_fn gives. `clip_fps` is 0 if the clip does not say.
absl::StatusOr<std::vector<int64_t>> SampleFrames(const FrameSampling& sampling, int64_t total,
                                                  double clip_fps, int64_t max_frames);

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_FRAME_SAMPLING_H_
