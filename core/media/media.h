// Decoded media: what an image, a video or a sound is once its file format is gone. Decoders
// (decode.h) make them in a process of their own; media_pool.h is how a host gets them.
#ifndef KEEL_CORE_MEDIA_MEDIA_H_
#define KEEL_CORE_MEDIA_MEDIA_H_

#include <cstdint>
#include <vector>

namespace keel {

// Upright: the orientation that a camera noted has been applied.
struct Image {
  int height = 0, width = 0;  // at least 1
  std::vector<uint8_t> rgb;   // [height, width, 3], sRGB as stored, no alpha
};

// Some frames of a clip, in the order of time.
struct Video {
  int frames = 0, height = 0, width = 0;  // at least 1
  std::vector<uint8_t> rgb;               // [frames, height, width, 3]
  std::vector<int64_t> indices;  // [frames], ascending: which frame of the clip each one is
  std::vector<double> seconds;   // [frames]: when it is shown; the clip's first frame at 0
  int64_t total_frames = 0;      // of the clip
  double fps = 0;                // of the clip, on average; 0 if it does not say
};

struct Audio {
  int rate = 0;                // samples a second
  std::vector<float> samples;  // one channel, the mean of all; 1 is full scale
};

// What is decoded of media that come from outside, and how much at most.
struct ImageOptions {
  // width * height. Told from the header, before memory is taken. Pillow warns above it.
  int64_t max_pixels = 89478485;
};

// How frames are chosen, as transformers' default_sample_indices_fn does; at most one of the two.
// Neither: all frames.
struct FrameSampling {
  int num_frames = 0;  // that many, evenly spread: frame i is i * total / num_frames, rounded down
  double fps = 0;      // that many a second: num_frames is total / clip's fps * fps, rounded down
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

#endif  // KEEL_CORE_MEDIA_MEDIA_H_
