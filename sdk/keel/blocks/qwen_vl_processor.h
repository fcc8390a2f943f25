// The processors of Qwen-VL's line, as in transformers' processing_qwen2_vl.py and image_processing_qwen2_vl.py: an image
// keeps its aspect, and has as many tokens as cells of 2x2 patches; and get_rope_index, which places them in the prompt.
//
//   #include "sdk/keel/blocks/qwen_vl_processor.h"
//   using namespace keel;
//
//   class MyVlProcessor : public QwenVlProcessor {  // a tower that takes patches cell by cell
//    public:
//     static constexpr const char* kProcessorNames[] = {"MyVlProcessor"};
//     MyVlProcessor(const Config&, const Assets& assets) : QwenVlProcessor(assets) {}
//     void Preprocess(MediaItems items, const TensorSink& inputs) const {
//       PutPositions(PatchesInOrder(PutPatches(items, inputs)), inputs);
//     }
//   };
#ifndef KEEL_SDK_KEEL_BLOCKS_QWEN_VL_PROCESSOR_H_
#define KEEL_SDK_KEEL_BLOCKS_QWEN_VL_PROCESSOR_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sdk/keel/blocks/images.h"
#include "sdk/keel/blocks/interpolated_positions.h"
#include "sdk/keel/blocks/smart_resize.h"

namespace keel {

// What a family's processor has otherwise than Qwen2-VL's.
struct QwenVlProcessorOptions {
  double tokens_per_second = 0;  // by which a video's steps are placed in time; 0: one a step
  const char* image_token = "<|image_pad|>";
  const char* video_token = "<|video_pad|>";
  // The limits of images are of the pixels of all frames, of which they have temporal_patch_size, and a smaller side
  // than a cell's is made as long as one first.
  bool counts_frames = false;
  int64_t min_pixels = 56 * 56, max_pixels = 28 * 28 * 1280;
  // The limits of videos are so too, and their steps stand in the prompt each by itself (qwen_vl_timed_processor.h).
  bool timed = false;
  bool counts_whole_steps = false;  // a last frame that fills up a step is one of the video's
  int64_t video_min_pixels = 28 * 28 * 128, video_max_pixels = 28 * 28 * 768;
  ImageSettings (*video_settings)() = ImageSettings::Clip;
  // Tokens between which those of images are a video's; null: a video has its own.
  const char* video_begin = nullptr;
  const char* video_end = nullptr;
};

class QwenVlProcessor {
 public:
  std::vector<MediaTokens> Tokens() const {
    return {{KEEL_MODALITY_IMAGE, options_.image_token, image_token_id_},
            {KEEL_MODALITY_VIDEO, options_.video_token, video_feature_id()}};
  }

  keel_media_count Count(const keel_media& media) const {
    const bool video = media.modality == KEEL_MODALITY_VIDEO;
    if (!video && media.modality != KEEL_MODALITY_IMAGE)
      throw Error("modality " + std::to_string(media.modality) + ", expected an image or a video");
    int64_t min_pixels = PreparationOf(media).min_pixels,
            max_pixels = PreparationOf(media).max_pixels;
    if (const auto options = MediaOptions(media)) {
      min_pixels = options->Int("min_pixels|size/shortest_edge", min_pixels);
      max_pixels = options->Int("max_pixels|size/longest_edge", max_pixels);
    }
    const auto [height, width] = ResizedSize(media, min_pixels, max_pixels);
    keel_media_count count{};
    count.modality = media.modality;
    count.grid_t = video ? (media.length + temporal_patch_size_ - 1) / temporal_patch_size_ : 1;
    count.grid_h = height / patch_size_;
    count.grid_w = width / patch_size_;
    count.patches = count.grid_t * count.grid_h * count.grid_w;
    count.tokens = count.features = count.patches / (merge_size_ * merge_size_);
    constexpr double kUsualRate = 24;  // transformers' of a clip that says none
    if (video) {
      count.seconds_per_grid =
          static_cast<double>(temporal_patch_size_) / (media.rate > 0 ? media.rate : kUsualRate);
    }
    return count;
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    const bool video = item.modality == KEEL_MODALITY_VIDEO;
    return Repeated(video ? video_feature_token() : options_.image_token, item.tokens);
  }

  ExpandedPrompt Expand(PromptIds ids, MediaCounts items) const {
    return ExpandBy(ids, items, [](const keel_media_count& item, int64_t id, ExpandedPrompt& out) {
      Append(item.tokens, id, item.modality, out);
    });
  }

  // transformers' get_rope_index: text goes on along all three axes, an item starts where the text before it ends and
  // takes as many positions as its longer side has tokens. Steps that stand by themselves are items of their own.
  PromptPositions Positions(PromptIds ids, MediaCounts items) const {
    const size_t n = ids.size();
    PromptPositions out{3, std::vector<int64_t>(3 * n), 0};
    NextItem next(items);
    int64_t position = 0, last = -1;
    const auto put = [&](size_t token, int64_t t, int64_t h, int64_t w) {
      if (token >= n) throw Error("the prompt ends within an image or video");
      out.positions[token] = t;
      out.positions[n + token] = h;
      out.positions[2 * n + token] = w;
      last = std::max({last, t, h, w});
    };
    bool in_video = false;
    int64_t steps_left = 0;  // of `item`
    const keel_media_count* item = nullptr;
    for (size_t i = 0; i < n;) {
      const uint32_t modality = TypeOf(ids[i], in_video);
      if (modality == KEEL_MODALITY_TEXT) {
        put(i++, position, position, position);
        ++position;
        continue;
      }
      const bool video = modality == KEEL_MODALITY_VIDEO;
      if (steps_left == 0 || !video) {
        item = &next.Take(modality);
        steps_left = item->grid_t;
      }
      const int64_t height = item->grid_h / merge_size_, width = item->grid_w / merge_size_,
                    steps = options_.timed ? 1 : steps_left;
      const double interval = video && options_.tokens_per_second > 0
                                  ? options_.tokens_per_second * item->seconds_per_grid
                                  : 1;
      steps_left -= steps;
      for (int64_t t = 0; t < steps; ++t) {
        const auto time = static_cast<int64_t>(static_cast<double>(t) * interval);
        for (int64_t h = 0; h < height; ++h) {
          for (int64_t w = 0; w < width; ++w) put(i++, position + time, position + h, position + w);
        }
      }
      position += std::max(height, width);
    }
    next.ExpectEnd();
    out.delta = last + 1 - static_cast<int64_t>(n);
    return out;
  }

 protected:
  // The patches of some items: their rows and columns, one after the other, and where each image or pair of frames ends.
  struct Patches {
    std::vector<int64_t> rows = {}, columns = {};
    std::vector<int32_t> cu_seqlens = {0};
  };

  explicit QwenVlProcessor(const Assets& assets, const QwenVlProcessorOptions& options = {})
      : QwenVlProcessor(assets, ImageProcessorConfig(assets), options) {}

  const Assets& assets() const { return assets_; }
  // What stands for a feature of a video.
  const char* video_feature_token() const {
    return options_.video_begin == nullptr ? options_.video_token : options_.image_token;
  }
  int64_t video_feature_id() const {
    return options_.video_begin == nullptr ? video_token_id_ : image_token_id_;
  }
  int64_t patch_size() const { return patch_size_; }
  int64_t merge_size() const { return merge_size_; }
  int64_t temporal_patch_size() const { return temporal_patch_size_; }

  static void Append(int64_t n, int64_t id, uint32_t type, ExpandedPrompt& out) {
    out.input_ids.insert(out.input_ids.end(), static_cast<size_t>(n), id);
    out.mm_token_type_ids.insert(out.mm_token_type_ids.end(), static_cast<size_t>(n), type);
  }

  // append(item, id of its placeholder, out) for each placeholder.
  template <typename F>
  ExpandedPrompt ExpandBy(PromptIds ids, MediaCounts items, const F& append) const {
    ExpandedPrompt out;
    NextItem next(items);
    for (const int64_t id : ids) {
      const uint32_t modality = ModalityOf(id);
      if (modality == KEEL_MODALITY_TEXT) {
        Append(1, id, modality, out);
      } else {
        append(next.Take(modality), id, out);
      }
    }
    next.ExpectEnd();
    return out;
  }

  // Puts `pixel_values`; returns the items' grids.
  std::vector<keel_media_count> PutPatches(MediaItems items, const TensorSink& inputs) const {
    std::vector<keel_media_count> grids;
    int64_t patches = 0;
    for (const keel_media& item : items) {
      grids.push_back(Count(item));
      patches += grids.back().patches;
    }
    const int64_t values = 3 * temporal_patch_size_ * patch_size_ * patch_size_;
    float* out = inputs.F32("pixel_values", {patches, values}).data();
    for (size_t i = 0; i < items.size(); ++i) {
      for (int64_t t = 0; t < grids[i].grid_t; ++t) out = Patchify(items[i], grids[i], t, out);
    }
    return grids;
  }

  // Cell by cell, as pixels are.
  Patches PatchesInOrder(const std::vector<keel_media_count>& grids) const {
    Patches out;
    for (const keel_media_count& grid : grids) {
      const int64_t rows = grid.grid_h / merge_size_, columns = grid.grid_w / merge_size_;
      for (int64_t t = 0; t < grid.grid_t; ++t) {
        for (int64_t cell = 0; cell < rows * columns; ++cell)
          AddCell(cell / columns, cell % columns, out);
        out.cu_seqlens.push_back(static_cast<int32_t>(out.rows.size()));
      }
    }
    return out;
  }

  // The patches of the cell at a row and a column of cells.
  void AddCell(int64_t row, int64_t column, Patches& out) const {
    for (int64_t part = 0; part < merge_size_ * merge_size_; ++part) {
      out.rows.push_back(row * merge_size_ + part / merge_size_);
      out.columns.push_back(column * merge_size_ + part % merge_size_);
    }
  }

  void PutPositions(const Patches& patches, const TensorSink& inputs) const {
    const auto n = static_cast<int64_t>(patches.rows.size());
    const std::span<int64_t> to = inputs.I64("positions", {2, n});
    std::copy(patches.rows.begin(), patches.rows.end(), to.begin());
    std::copy(patches.columns.begin(), patches.columns.end(), to.begin() + n);
    const auto borders = static_cast<int64_t>(patches.cu_seqlens.size());
    std::copy(patches.cu_seqlens.begin(), patches.cu_seqlens.end(),
              inputs.I32("cu_seqlens", {borders}).begin());
  }

  // Of the patches, for InterpolatedPositions over a square of `side`; `taps`: BilinearTaps or BicubicTaps.
  void PutInterpolation(const std::vector<keel_media_count>& grids, const Patches& patches,
                        int64_t side, Taps (*taps)(int64_t, int64_t, int64_t),
                        const TensorSink& inputs) const {
    std::vector<int64_t> indices;
    std::vector<float> weights;
    size_t i = 0;
    for (const keel_media_count& grid : grids) {
      for (int64_t patch = 0; patch < grid.patches; ++patch, ++i) {
        AddTaps(taps(patches.rows[i], grid.grid_h, side),
                taps(patches.columns[i], grid.grid_w, side), side, indices, weights);
      }
    }
    const auto n = static_cast<int64_t>(i),
               of_each = static_cast<int64_t>(indices.size() / std::max<size_t>(i, 1));
    std::copy(indices.begin(), indices.end(), inputs.I64("interp_indices", {n, of_each}).begin());
    std::copy(weights.begin(), weights.end(), inputs.F32("interp_weights", {n, of_each}).begin());
  }

 private:
  // Hands out the items of a prompt: the n-th placeholder of a modality is its n-th item.
  class NextItem {
   public:
    explicit NextItem(MediaCounts items) : items_(items) {}
    const keel_media_count& Take(uint32_t modality) {
      for (size_t& i = at_[modality]; i < items_.size();) {
        if (items_[i++].modality == modality) return ++taken_, items_[i - 1];
      }
      throw Error("the prompt has more placeholders of a modality than items were given");
    }
    void ExpectEnd() const {
      if (taken_ != items_.size())
        throw Error("the prompt has " + std::to_string(taken_) + " placeholders, expected " +
                    std::to_string(items_.size()) + ", one an item");
    }

   private:
    MediaCounts items_;
    size_t at_[4] = {}, taken_ = 0;
  };

  // How the pixels of images or of videos are made.
  struct Preparation {
    ImageSettings settings;
    int64_t min_pixels, max_pixels;
    int64_t max_frame_tokens = 0;  // 0: a frame may have all that max_pixels leaves it
    Preparation(const std::optional<Config>& c, const ImageSettings& defaults, int64_t min,
                int64_t max)
        : settings(c, defaults),
          min_pixels(c ? c->Int("min_pixels|size/shortest_edge", min) : min),
          max_pixels(c ? c->Int("max_pixels|size/longest_edge", max) : max) {
      if (c && c->Bool("cap_pixels_per_frame", false))
        max_frame_tokens = c->Int("max_video_tokens", 768);
    }
  };
  const Preparation& PreparationOf(const keel_media& media) const {
    return media.modality == KEEL_MODALITY_VIDEO ? videos_ : images_;
  }

  QwenVlProcessor(const Assets& assets, const std::optional<Config>& config,
                  const QwenVlProcessorOptions& options)
      : assets_(assets),
        options_(options),
        images_(config, ImageSettings::Clip(), options.min_pixels, options.max_pixels),
        videos_(VideoProcessorConfig(assets), options.video_settings(), options.video_min_pixels,
                options.video_max_pixels),
        image_token_id_(assets.TokenId(options.image_token)),
        video_token_id_(assets.TokenId(options.video_token)) {
    if (options.video_begin != nullptr) {
      video_begin_id_ = assets.TokenId(options.video_begin);
      video_end_id_ = assets.TokenId(options.video_end);
    }
    if (!config) return;
    const Config& c = *config;
    patch_size_ = CheckedSide(c, "patch_size", c.Int("patch_size", patch_size_));
    temporal_patch_size_ =
        CheckedSide(c, "temporal_patch_size", c.Int("temporal_patch_size", temporal_patch_size_));
    merge_size_ = CheckedSide(c, "merge_size", c.Int("merge_size", merge_size_));
  }

  std::pair<int64_t, int64_t> ResizedSize(const keel_media& media, int64_t min_pixels,
                                          int64_t max_pixels) const {
    const int64_t cell = patch_size_ * merge_size_, step = temporal_patch_size_;
    const bool video = media.modality == KEEL_MODALITY_VIDEO;
    if (!(video ? options_.timed : options_.counts_frames) || media.height < 1 || media.width < 1)
      return SmartResize(media.height, media.width, cell, min_pixels, max_pixels);
    int64_t frames = video ? media.length : step;
    if (options_.counts_whole_steps) frames = (frames + step - 1) / step * step;
    if (video && videos_.max_frame_tokens > 0) {
      const int64_t of_frame = std::min(videos_.max_frame_tokens * cell * cell,
                                        max_pixels / std::max<int64_t>(frames, 1));
      const auto least = static_cast<int64_t>(static_cast<double>(min_pixels) * 1.05);
      max_pixels = std::max(of_frame, least) * frames;
    }
    double height = static_cast<double>(media.height), width = static_cast<double>(media.width);
    const double side = static_cast<double>(cell), scale = std::max(side / height, side / width);
    if (scale > 1) height = std::trunc(height * scale), width = std::trunc(width * scale);
    return SmartResize(static_cast<int64_t>(height), static_cast<int64_t>(width), cell, min_pixels,
                       max_pixels, frames, step);
  }

  uint32_t ModalityOf(int64_t id) const {
    return id == image_token_id_   ? KEEL_MODALITY_IMAGE
           : id == video_token_id_ ? KEEL_MODALITY_VIDEO
                                   : KEEL_MODALITY_TEXT;
  }

  // Of a token of an expanded prompt, which is read from its first on.
  uint32_t TypeOf(int64_t id, bool& in_video) const {
    if (id == video_begin_id_) in_video = true;
    if (id == video_end_id_) in_video = false;
    return in_video && id == image_token_id_ ? KEEL_MODALITY_VIDEO : ModalityOf(id);
  }

  // Writes the patches of step `t`, cell by cell, each [channel, time, y, x]; returns the end.
  float* Patchify(const keel_media& item, const keel_media_count& grid, int64_t t,
                  float* out) const {
    const int64_t p = patch_size_, m = merge_size_, cells = grid.grid_w / m;  // in a row
    const ImageSettings& settings = PreparationOf(item).settings;
    std::vector<Pixels> frames;
    for (int64_t i = 0; i < temporal_patch_size_; ++i) {
      frames.push_back(Resize(assets_, PixelsOf(item, t * temporal_patch_size_ + i),
                              settings.resample, grid.grid_h * p, grid.grid_w * p));
    }
    for (int64_t cell = 0; cell < grid.grid_h * grid.grid_w / (m * m); ++cell) {
      for (int64_t part = 0; part < m * m; ++part) {
        const int64_t top = (cell / cells * m + part / m) * p,
                      left = (cell % cells * m + part % m) * p;
        for (int64_t c = 0; c < 3; ++c) {
          for (const Pixels& frame : frames) {
            for (int64_t i = 0; i < p * p; ++i)
              *out++ = static_cast<float>(settings(frame.at(top + i / p, left + i % p)[c], c));
          }
        }
      }
    }
    return out;
  }

  const Assets assets_;
  const QwenVlProcessorOptions options_;
  const Preparation images_, videos_;
  const int64_t image_token_id_, video_token_id_;
  int64_t video_begin_id_ = -1, video_end_id_ = -1;
  int64_t patch_size_ = 14, temporal_patch_size_ = 2, merge_size_ = 2;
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_BLOCKS_QWEN_VL_PROCESSOR_H_
