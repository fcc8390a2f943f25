// The processor of models that cut images as Qwen2-VL does, whose tower has learned positions (interpolated_positions.h),
// and that take images alone: words stand between a video's frames, as in Qwen3-VL and GLM-4.1V.
//
//   #include "sdk/keel/blocks/qwen_vl_image_processor.h"
//   using namespace keel;
//
//   class MyVlProcessor : public QwenVlImageProcessor {
//    public:
//     static constexpr const char* kProcessorNames[] = {"MyVlProcessor"};
//     MyVlProcessor(const Config&, const Assets& assets) : QwenVlImageProcessor(assets, 48, BilinearTaps) {}
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_QWEN_VL_IMAGE_PROCESSOR_H_
#define KEEL_SDK_KEEL_BLOCKS_QWEN_VL_IMAGE_PROCESSOR_H_

#include <cstdint>
#include <vector>

#include "sdk/keel/blocks/interpolated_positions.h"
#include "sdk/keel/blocks/qwen_vl_processor.h"

namespace keel {

class QwenVlImageProcessor : public QwenVlProcessor {
 public:
  using TapsOfPatch = Taps (*)(int64_t i, int64_t size, int64_t side);

  // `side`: of the square of positions; `taps`: which of them a patch is between.
  QwenVlImageProcessor(const Assets& assets, int64_t side, TapsOfPatch taps,
                       const QwenVlProcessorOptions& options = {})
      : QwenVlProcessor(assets, options), side_(side), taps_(taps) {}

  std::vector<MediaTokens> Tokens() const { return {QwenVlProcessor::Tokens()[0]}; }

  keel_media_count Count(const keel_media& media) const {
    CheckIsImage(media);
    return QwenVlProcessor::Count(media);
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    const std::vector<keel_media_count> grids = PutPatches(items, inputs);
    const Patches patches = PatchesInOrder(grids);
    PutPositions(patches, inputs);
    PutInterpolation(grids, patches, side_, taps_, inputs);
  }

 private:
  const int64_t side_;
  const TapsOfPatch taps_;
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_QWEN_VL_IMAGE_PROCESSOR_H_
