// The processor of Qwen2.5-VL, as in transformers' processing_qwen2_5_vl.py and image_processing_qwen2_vl.py, with what
// modeling_qwen2_5_vl.py computes from grids alone: windows, rotary positions of patches and of the prompt.
#ifndef KEEL_TESTS_RECORDED_QWEN2_5_VL_PROCESSING_QWEN2_5_VL_H_
#define KEEL_TESTS_RECORDED_QWEN2_5_VL_PROCESSING_QWEN2_5_VL_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "sdk/keel/plugin.h"

namespace keel {

// The size (height, width) nearest to an image's, in whole multiples of `factor`, with its aspect and with a number of
// pixels within the limits.
inline std::pair<int64_t, int64_t> SmartResize(int64_t height, int64_t width, int64_t factor,
                                               int64_t min_pixels, int64_t max_pixels) {
  const std::string size = std::to_string(height) + "x" + std::to_string(width);
  if (height < 1 || width < 1) throw Error("an image is " + size + ", expected at least 1x1");
  if (std::max(height, width) > 200 * std::min(height, width))
    throw Error("an image is " + size + ", expected an aspect ratio of at most 200");
  const double h = static_cast<double>(height), w = static_cast<double>(width),
               f = static_cast<double>(factor);
  const auto multiple = [&](double n) { return static_cast<int64_t>(n) * factor; };
  // Halves go to the even number, as in Python's round.
  const int64_t h_bar = multiple(std::nearbyint(h / f)), w_bar = multiple(std::nearbyint(w / f));
  if (h_bar * w_bar > max_pixels) {
    const double beta = std::sqrt(h * w / static_cast<double>(max_pixels));
    return {std::max(factor, multiple(std::floor(h / beta / f))),
            std::max(factor, multiple(std::floor(w / beta / f)))};
  }
  if (h_bar * w_bar < min_pixels) {
    const double beta = std::sqrt(static_cast<double>(min_pixels) / (h * w));
    return {multiple(std::ceil(h * beta / f)), multiple(std::ceil(w * beta / f))};
  }
  return {h_bar, w_bar};
}

class Qwen2_5_VLProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"Qwen2_5_VLProcessor"};

  Qwen2_5_VLProcessor(const Config& config, const Assets& assets)
      : assets_(assets),
        image_token_id_(assets.TokenId("<|image_pad|>")),
        video_token_id_(assets.TokenId("<|video_pad|>")) {
    const Config vision = config.Object("vision_config");
    tokens_per_second_ = vision.Real("tokens_per_second", 4);
    if (const auto c = assets.Json("preprocessor_config.json")) ReadImageProcessor(*c);
    window_ = vision.Int("window_size", 112) / (merge_size_ * patch_size_);
    if (window_ < 1) vision.Fail("window_size", "is smaller than a merged patch");
  }

  std::vector<MediaTokens> Tokens() const {
    return {{KEEL_MODALITY_IMAGE, "<|image_pad|>", image_token_id_},
            {KEEL_MODALITY_VIDEO, "<|video_pad|>", video_token_id_}};
  }

  keel_media_count Count(const keel_media& media) const {
    const bool video = media.modality == KEEL_MODALITY_VIDEO;
    if (!video && media.modality != KEEL_MODALITY_IMAGE)
      throw Error("modality " + std::to_string(media.modality) + ", expected an image or a video");
    int64_t min_pixels = min_pixels_, max_pixels = max_pixels_;
    if (const auto options = MediaOptions(media)) {
      min_pixels = options->Int("min_pixels|size/shortest_edge", min_pixels);
      max_pixels = options->Int("max_pixels|size/longest_edge", max_pixels);
    }
    const auto [height, width] =
        SmartResize(media.height, media.width, patch_size_ * merge_size_, min_pixels, max_pixels);
    keel_media_count count{};
    count.modality = media.modality;
    count.grid_t = video ? (media.length + temporal_patch_size_ - 1) / temporal_patch_size_ : 1;
    count.grid_h = height / patch_size_;
    count.grid_w = width / patch_size_;
    count.patches = count.grid_t * count.grid_h * count.grid_w;
    count.tokens = count.features = count.patches / (merge_size_ * merge_size_);
    if (video && media.rate > 0)
      count.seconds_per_grid = static_cast<double>(temporal_patch_size_) / media.rate;
    return count;
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    std::vector<keel_media_count> grids;
    int64_t patches = 0;
    for (const keel_media& item : items) {
      grids.push_back(Count(item));
      patches += grids.back().patches;
    }
    float* out = inputs.F32("pixel_values", {patches, PatchValues()}).data();
    for (size_t i = 0; i < items.size(); ++i) {
      for (int64_t t = 0; t < grids[i].grid_t; ++t) out = Patchify(items[i], grids[i], t, out);
    }
    const Windows windows = MakeWindows(grids);
    const int64_t tokens = static_cast<int64_t>(windows.index.size());
    const auto copy = [](const auto& from, const auto& to) {
      std::copy(from.begin(), from.end(), to.begin());
    };
    copy(windows.positions, inputs.I64("positions", {2, patches}));
    copy(windows.index, inputs.I64("window_index", {tokens}));
    copy(windows.reverse, inputs.I64("reverse_indices", {tokens}));
    copy(windows.cu_seqlens,
         inputs.I32("cu_seqlens", {static_cast<int64_t>(windows.cu_seqlens.size())}));
    copy(windows.cu_window_seqlens,
         inputs.I32("cu_window_seqlens", {static_cast<int64_t>(windows.cu_window_seqlens.size())}));
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    std::string text;
    const char* token = item.modality == KEEL_MODALITY_VIDEO ? "<|video_pad|>" : "<|image_pad|>";
    for (int64_t i = 0; i < item.tokens; ++i) text += token;
    return text;
  }

  ExpandedPrompt Expand(PromptIds ids, MediaCounts items) const {
    ExpandedPrompt out;
    NextItem next(items);
    for (const int64_t id : ids) {
      const uint32_t modality = ModalityOf(id);
      const int64_t n = modality == KEEL_MODALITY_TEXT ? 1 : next.Take(modality).tokens;
      out.input_ids.insert(out.input_ids.end(), static_cast<size_t>(n), id);
      out.mm_token_type_ids.insert(out.mm_token_type_ids.end(), static_cast<size_t>(n), modality);
    }
    next.ExpectEnd();
    return out;
  }

  // transformers' get_rope_index: text goes on along all three axes, an item starts where the text before it ends and
  // takes as many positions as its longer side has tokens.
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
    for (size_t i = 0; i < n;) {
      const uint32_t modality = ModalityOf(ids[i]);
      if (modality == KEEL_MODALITY_TEXT) {
        put(i++, position, position, position);
        ++position;
        continue;
      }
      const keel_media_count& item = next.Take(modality);
      const int64_t height = item.grid_h / merge_size_, width = item.grid_w / merge_size_;
      const double interval =
          modality == KEEL_MODALITY_VIDEO ? tokens_per_second_ * item.seconds_per_grid : 1;
      for (int64_t t = 0; t < item.grid_t; ++t) {
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

  // What the tower needs to know of the grids. A cell is merge_size x merge_size patches, one token.
  struct Windows {
    std::vector<int64_t> index, reverse, positions;  // positions [2, patches], in order of index
    std::vector<int32_t> cu_seqlens = {0}, cu_window_seqlens = {0};
  };

  void ReadImageProcessor(const Config& c) {
    min_pixels_ = c.Int("min_pixels|size/shortest_edge", min_pixels_);
    max_pixels_ = c.Int("max_pixels|size/longest_edge", max_pixels_);
    patch_size_ = c.Int("patch_size", patch_size_);
    temporal_patch_size_ = c.Int("temporal_patch_size", temporal_patch_size_);
    merge_size_ = c.Int("merge_size", merge_size_);
    rescale_factor_ = c.Real("rescale_factor", rescale_factor_);
    resample_ = static_cast<uint32_t>(c.Int("resample", resample_));
    for (int i = 0; i < 3; ++i) {
      mean_[i] = c.Real(("image_mean/" + std::to_string(i)).c_str(), mean_[i]);
      std_[i] = c.Real(("image_std/" + std::to_string(i)).c_str(), std_[i]);
    }
    if (patch_size_ < 1 || temporal_patch_size_ < 1 || merge_size_ < 1) {
      c.Fail("patch_size", "with temporal_patch_size and merge_size: expected at least 1 each");
      patch_size_ = temporal_patch_size_ = merge_size_ = 1;
    }
  }

  uint32_t ModalityOf(int64_t id) const {
    return id == image_token_id_   ? KEEL_MODALITY_IMAGE
           : id == video_token_id_ ? KEEL_MODALITY_VIDEO
                                   : KEEL_MODALITY_TEXT;
  }

  int64_t PatchValues() const { return 3 * temporal_patch_size_ * patch_size_ * patch_size_; }

  // Frame `index` of an item, or its last one, [height, width, 3], resized.
  std::vector<uint8_t> Frame(const keel_media& item, int64_t index, int64_t height,
                             int64_t width) const {
    const keel_dl_tensor& data = *item.data;
    const int first = data.ndim - 3;  // frames come before height
    if (first != 0 && first != 1)
      throw Error("an image or video has the wrong number of dimensions");
    keel_dl_tensor frame = data;
    frame.ndim = 3;
    frame.shape = data.shape + first;
    frame.strides = data.strides + first;
    if (first == 1) {
      const int64_t at = std::min(index, data.shape[0] - 1);
      frame.byte_offset += static_cast<uint64_t>(at * data.strides[0]);
    }
    if (frame.shape[0] != height || frame.shape[1] != width)
      return assets_.Resize(frame, resample_, height, width);
    std::vector<uint8_t> pixels(static_cast<size_t>(height * width * 3));
    const auto* bytes = static_cast<const uint8_t*>(frame.data) + frame.byte_offset;
    for (int64_t y = 0, i = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        for (int64_t c = 0; c < 3; ++c)
          pixels[i++] = bytes[y * frame.strides[0] + x * frame.strides[1] + c * frame.strides[2]];
      }
    }
    return pixels;
  }

  // Writes the patches of step `t`, cell by cell, each [channel, time, y, x]; returns the end.
  float* Patchify(const keel_media& item, const keel_media_count& grid, int64_t t,
                  float* out) const {
    const int64_t p = patch_size_, m = merge_size_, width = grid.grid_w * p;
    std::vector<std::vector<uint8_t>> frames;
    for (int64_t i = 0; i < temporal_patch_size_; ++i)
      frames.push_back(Frame(item, t * temporal_patch_size_ + i, grid.grid_h * p, width));
    for (int64_t cell = 0; cell < grid.grid_h * grid.grid_w / (m * m); ++cell) {
      const int64_t cells = grid.grid_w / m;  // in a row
      for (int64_t part = 0; part < m * m; ++part) {
        const int64_t top = (cell / cells * m + part / m) * p,
                      left = (cell % cells * m + part % m) * p;
        for (int64_t c = 0; c < 3; ++c) {
          for (const std::vector<uint8_t>& frame : frames) {
            for (int64_t i = 0; i < p * p; ++i) {
              const uint8_t value = frame[((top + i / p) * width + left + i % p) * 3 + c];
              *out++ = static_cast<float>((value * rescale_factor_ - mean_[c]) / std_[c]);
            }
          }
        }
      }
    }
    return out;
  }

  // transformers' get_window_index and rot_pos_emb.
  Windows MakeWindows(const std::vector<keel_media_count>& grids) const {
    Windows out;
    const int32_t unit = static_cast<int32_t>(merge_size_ * merge_size_);
    std::vector<int64_t> heights, widths;
    int64_t base = 0;  // the grid's first cell
    for (const keel_media_count& grid : grids) {
      const int64_t rows = grid.grid_h / merge_size_, columns = grid.grid_w / merge_size_;
      for (int64_t t = 0; t < grid.grid_t; ++t, base += rows * columns) {
        for (int64_t top = 0; top < rows; top += window_) {
          for (int64_t left = 0; left < columns; left += window_) {
            const int64_t bottom = std::min(top + window_, rows),
                          right = std::min(left + window_, columns);
            for (int64_t y = top; y < bottom; ++y) {
              for (int64_t x = left; x < right; ++x) {
                out.index.push_back(base + y * columns + x);
                for (int64_t part = 0; part < unit; ++part) {
                  heights.push_back(y * merge_size_ + part / merge_size_);
                  widths.push_back(x * merge_size_ + part % merge_size_);
                }
              }
            }
            const auto cells = static_cast<int32_t>((bottom - top) * (right - left));
            out.cu_window_seqlens.push_back(out.cu_window_seqlens.back() + cells * unit);
          }
        }
        out.cu_seqlens.push_back(out.cu_seqlens.back() +
                                 static_cast<int32_t>(grid.grid_h * grid.grid_w));
      }
    }
    out.reverse.resize(out.index.size());
    for (size_t i = 0; i < out.index.size(); ++i)
      out.reverse[static_cast<size_t>(out.index[i])] = static_cast<int64_t>(i);
    out.positions = std::move(heights);
    out.positions.insert(out.positions.end(), widths.begin(), widths.end());
    return out;
  }

  const Assets assets_;
  const int64_t image_token_id_, video_token_id_;
  int64_t min_pixels_ = 56 * 56, max_pixels_ = 28 * 28 * 1280;
  int64_t patch_size_ = 14, temporal_patch_size_ = 2, merge_size_ = 2;
  int64_t window_ = 4;  // of cells, each way
  uint32_t resample_ = KEEL_RESAMPLE_BICUBIC;
  double tokens_per_second_ = 4, rescale_factor_ = 1.0 / 255;
  double mean_[3] = {0.48145466, 0.4578275, 0.40821073};
  double std_[3] = {0.26862954, 0.26130258, 0.27577711};
};

}  // namespace keel

#endif  // KEEL_TESTS_RECORDED_QWEN2_5_VL_PROCESSING_QWEN2_5_VL_H_
