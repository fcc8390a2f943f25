#include "core/media/frame_sampling.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel {
namespace {

absl::StatusOr<int64_t> Count(const FrameSampling& sampling, int64_t total, double clip_fps) {
  if (sampling.num_frames < 0 || !(sampling.fps >= 0) || std::isinf(sampling.fps))
    return absl::InvalidArgumentError("num_frames and fps must be at least 0");
  if (sampling.num_frames > 0 && sampling.fps > 0)
    return absl::InvalidArgumentError("num_frames and fps are both given, expected one of them");
  if (sampling.num_frames > 0) return sampling.num_frames;
  if (sampling.fps == 0) return total;
  if (!(clip_fps > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("it does not say its frames a second, so ", sampling.fps,
                     " of them can't be chosen; choose a number of frames"));
  }
  const double wanted = static_cast<double>(total) / clip_fps * sampling.fps;
  // Too many are refused below; a double may be more than an integer holds.
  return static_cast<int64_t>(std::clamp(wanted, 1.0, static_cast<double>(total) + 1));
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> SampleFrames(const FrameSampling& sampling, int64_t total,
                                                  double clip_fps, int64_t max_frames) {
  KEEL_ASSIGN_OR_RETURN(int64_t count, Count(sampling, total, clip_fps));
  if (sampling.or_all) count = std::min(count, total);
  if (count > total) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", total, " frames, fewer than are to be taken; ask for fewer"));
  }
  if (count > max_frames) {
    return absl::ResourceExhaustedError(
        absl::StrCat(count, " frames are to be taken, expected at most ", max_frames));
  }
  std::vector<int64_t> indices(count);
  for (int64_t i = 0; i < count; ++i) indices[i] = i * total / count;
  return indices;
}

}  // namespace keel
