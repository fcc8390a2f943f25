// The processor of models that cut images as Qwen2-VL does, whose tower has learned positions (interpolated_positions.h),
// and whose prompts say of each step of a video when it is shown, as Qwen3-VL's and GLM-4.1V's do.
//
//   #include "sdk/keel/blocks/qwen_vl_timed_processor.h"
//   using namespace keel;
//
//   class MyVlProcessor : public QwenVlTimedProcessor {
//    public:
//     static constexpr const char* kProcessorNames[] = {"MyVlProcessor"};
//     MyVlProcessor(const Config&, const Assets& assets)
//         : QwenVlTimedProcessor(assets, 48, BilinearTaps, TextOfStep) {}
//
//    private:
//     static StepText TextOfStep(double first, double) { return {"At " + std::to_string(first) + ": ", "\n"}; }
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_QWEN_VL_TIMED_PROCESSOR_H_
#define KEEL_SDK_KEEL_BLOCKS_QWEN_VL_TIMED_PROCESSOR_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/keel/blocks/interpolated_positions.h"
#include "sdk/keel/blocks/qwen_vl_processor.h"

namespace keel {

// What stands around the tokens of a step, tokenized by itself.
struct StepText {
  std::string before, behind;
};

class QwenVlTimedProcessor : public QwenVlProcessor {
 public:
  using TapsOfPatch = Taps (*)(int64_t i, int64_t size, int64_t side);
  // Of a step whose first and last frame are shown at these seconds.
  using TextOfStep = StepText (*)(double first, double last);

  // `side`: of the square of positions; `taps`: which of them a patch is between.
  QwenVlTimedProcessor(const Assets& assets, int64_t side, TapsOfPatch taps, TextOfStep text,
                       const QwenVlProcessorOptions& options = {})
      : QwenVlProcessor(assets, Timed(options)), side_(side), taps_(taps), text_(text) {}

  keel_media_count Count(const keel_media& media) const {
    keel_media_count count = QwenVlProcessor::Count(media);
    if (media.modality == KEEL_MODALITY_VIDEO) count.runs = count.grid_t;
    return count;
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    const std::vector<keel_media_count> grids = PutPatches(items, inputs);
    const Patches patches = PatchesInOrder(grids);
    PutPositions(patches, inputs);
    PutInterpolation(grids, patches, side_, taps_, inputs);
  }

  std::string Replacement(const keel_media_count& item, uint32_t index) const {
    if (item.modality != KEEL_MODALITY_VIDEO) return QwenVlProcessor::Replacement(item, index);
    std::string text;
    for (int64_t step = 0; step < item.grid_t; ++step) {
      const StepText around = TextOf(item, step);
      text += around.before;
      text += Repeated(video_feature_token(), item.tokens / item.grid_t) + around.behind;
    }
    return text;
  }

  ExpandedPrompt Expand(PromptIds ids, MediaCounts items) const {
    return ExpandBy(ids, items, [&](const keel_media_count& item, int64_t id, ExpandedPrompt& out) {
      if (item.modality != KEEL_MODALITY_VIDEO) return Append(item.tokens, id, item.modality, out);
      for (int64_t step = 0; step < item.grid_t; ++step) {
        const StepText text = TextOf(item, step);
        AppendText(text.before, out);
        Append(item.tokens / item.grid_t, video_feature_id(), item.modality, out);
        AppendText(text.behind, out);
      }
    });
  }

 private:
  static QwenVlProcessorOptions Timed(QwenVlProcessorOptions options) {
    options.timed = true;
    return options;
  }

  void AppendText(const std::string& text, ExpandedPrompt& out) const {
    for (const int64_t id : assets().Encode(text)) Append(1, id, KEEL_MODALITY_TEXT, out);
  }

  StepText TextOf(const keel_media_count& item, int64_t step) const {
    if (item.media == nullptr) throw Error("the host does not say what was counted");
    const int64_t frames = temporal_patch_size();
    return text_(Seconds(*item.media, step * frames),
                 Seconds(*item.media, step * frames + frames - 1));
  }

  // When a frame is shown; one behind the last fills up a step with it.
  static double Seconds(const keel_media& video, int64_t frame) {
    constexpr double kUsualRate = 24;  // transformers' of a clip that says none
    frame = std::min(frame, video.length - 1);
    if (video.frame_times != nullptr) return video.frame_times[frame];
    return static_cast<double>(frame) / (video.rate > 0 ? video.rate : kUsualRate);
  }

  const int64_t side_;
  const TapsOfPatch taps_;
  const TextOfStep text_;
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_QWEN_VL_TIMED_PROCESSOR_H_
