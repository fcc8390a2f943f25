// The processor of Qwen3-VL, as in transformers' processing_qwen3_vl.py. Images alone: a video has words between its
// frames.
#ifndef KEEL_PLUGINS_QWEN3_VL_PROCESSING_QWEN3_VL_H_
#define KEEL_PLUGINS_QWEN3_VL_PROCESSING_QWEN3_VL_H_

#include "sdk/keel/blocks/qwen_vl_image_processor.h"
#include "sdk/keel/plugin.h"

namespace keel {

struct Qwen3VLProcessor : QwenVlImageProcessor {
  static constexpr const char* kProcessorNames[] = {"Qwen3VLProcessor"};
  Qwen3VLProcessor(const Config& config, const Assets& assets)
      : QwenVlImageProcessor(
            assets, SideOfPositions(config.Int("vision_config/num_position_embeddings", 2304)),
            BilinearTaps) {}
};

}  // namespace keel

#endif  // KEEL_PLUGINS_QWEN3_VL_PROCESSING_QWEN3_VL_H_
