// What is decoded of media that come from outside, and how much at most.
#ifndef KEEL_CORE_MEDIA_DECODE_OPTIONS_H_
#define KEEL_CORE_MEDIA_DECODE_OPTIONS_H_

#include <cstdint>

namespace keel {

struct ImageOptions {
  // width * height. Told from the header, before memory is taken. Pillow warns above it.
  int64_t max_pixels = 89478485;
};

// How frames are chosen, as transformers' default_sample_indices_fn does; at most one of the two.
// Neither: all frames.
struct FrameSampling {
  int num_frames = 0;   // that many, evenly spread: frame i is i * total / num_frames, rounded down
  double fps = 0;       // that many a second: num_frames is total / clip's fps * fps, rounded down
  bool or_all = false;  // of a clip that has fewer, all frames
};

struct VideoOptions {
  FrameSampling sampling = {};
  int64_t max_pixels = 89478485;  // of all decoded frames together
  int64_t max_frames = 768;       // decoded
  int64_t max_clip_frames = 1 << 17;
};

struct AudioOptions {
  int rate = 0;  // samples a second wanted; 0: as stored
  double max_seconds = 3600;
};

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_DECODE_OPTIONS_H_
