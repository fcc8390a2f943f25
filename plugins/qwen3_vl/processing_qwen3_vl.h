// The processor of Qwen3-VL, as in transformers' processing_qwen3_vl.py. Images alone: a video has words between its
// frames.
#ifndef KEEL_PLUGINS_QWEN3_VL_PROCESSING_QWEN3_VL_H_
#define KEEL_PLUGINS_QWEN3_VL_PROCESSING_QWEN3_VL_H_

#include <cstdint>
#include <vector>

#include "sdk/keel/blocks/interpolated_positions.h"
#include "sdk/keel/blocks/qwen_vl_processor.h"
#include "sdk/keel/plugin.h"

namespace keel {

class Qwen3VLProcessor : public QwenVlProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"Qwen3VLProcessor"};

  Qwen3VLProcessor(const Config& config, const Assets& assets)
      : QwenVlProcessor(assets),
        side_(SideOfPositions(config.Int("vision_config/num_position_embeddings", 2304))) {}

  std::vector<MediaTokens> Tokens() const { return {QwenVlProcessor::Tokens()[0]}; }

  keel_media_count Count(const keel_media& media) const {
    CheckIsImage(media);
    return QwenVlProcessor::Count(media);
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    const std::vector<keel_media_count> grids = PutPatches(items, inputs);
    const Patches patches = PatchesInOrder(grids);
    PutPositions(patches, inputs);
    PutInterpolation(grids, patches, side_, BilinearTaps, inputs);
  }

 private:
  const int64_t side_;  // of the square of positions
};

}  // namespace keel

#endif  // KEEL_PLUGINS_QWEN3_VL_PROCESSING_QWEN3_VL_H_
