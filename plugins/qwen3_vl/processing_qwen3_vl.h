// The processor of Qwen3-VL, as in transformers' processing_qwen3_vl.py.
#ifndef KEEL_PLUGINS_QWEN3_VL_PROCESSING_QWEN3_VL_H_
#define KEEL_PLUGINS_QWEN3_VL_PROCESSING_QWEN3_VL_H_

#include <array>
#include <cstdio>

#include "sdk/keel/blocks/qwen_vl_timed_processor.h"
#include "sdk/keel/plugin.h"

namespace keel {

class Qwen3VLProcessor : public QwenVlTimedProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"Qwen3VLProcessor"};
  Qwen3VLProcessor(const Config& config, const Assets& assets)
      : QwenVlTimedProcessor(
            assets, SideOfPositions(config.Int("vision_config/num_position_embeddings", 2304)),
            BilinearTaps, TextOfStep,
            {.video_min_pixels = 128 * 32 * 32,
             .video_max_pixels = 32 * 32 * 768,
             .video_settings = ImageSettings::Siglip}) {}

 private:
  static StepText TextOfStep(double first, double last) {
    std::array<char, 64> time;
    std::snprintf(time.data(), time.size(), "<%.1f seconds>", (first + last) / 2);
    return {std::string(time.data()) + "<|vision_start|>", "<|vision_end|>"};
  }
};

}  // namespace keel

#endif  // KEEL_PLUGINS_QWEN3_VL_PROCESSING_QWEN3_VL_H_
