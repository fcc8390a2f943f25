// The processor of Qwen2.5-VL, as in transformers' processing_qwen2_5_vl.py, with what modeling_qwen2_5_vl.py computes from
// grids alone: windows of cells, and the order of patches by them.
#ifndef KEEL_PLUGINS_QWEN2_5_VL_PROCESSING_QWEN2_5_VL_H_
#define KEEL_PLUGINS_QWEN2_5_VL_PROCESSING_QWEN2_5_VL_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "sdk/keel/blocks/qwen_vl_processor.h"
#include "sdk/keel/plugin.h"

namespace keel {

class Qwen2_5_VLProcessor : public QwenVlProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"Qwen2_5_VLProcessor"};

  Qwen2_5_VLProcessor(const Config& config, const Assets& assets)
      : QwenVlProcessor(assets,
                        {.tokens_per_second = config.Real("vision_config/tokens_per_second", 4)}) {
    const Config vision = config.Object("vision_config");
    window_ = vision.Int("window_size", 112) / (merge_size() * patch_size());
    if (window_ >= 1) return;
    vision.Fail("window_size", "is smaller than a merged patch");
    window_ = 1;
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    const Windows windows = MakeWindows(PutPatches(items, inputs));
    PutPositions(windows.patches, inputs);
    const auto tokens = static_cast<int64_t>(windows.index.size());
    const auto borders = static_cast<int64_t>(windows.cu_window_seqlens.size());
    const auto copy = [](const auto& from, const auto& to) {
      std::copy(from.begin(), from.end(), to.begin());
    };
    copy(windows.index, inputs.I64("window_index", {tokens}));
    copy(windows.reverse, inputs.I64("reverse_indices", {tokens}));
    copy(windows.cu_window_seqlens, inputs.I32("cu_window_seqlens", {borders}));
  }

 private:
  // A cell is merge_size x merge_size patches, one token. Patches are in the order of index.
  struct Windows {
    Patches patches;
    std::vector<int64_t> index = {}, reverse = {};
    std::vector<int32_t> cu_window_seqlens = {0};
  };

  // transformers' get_window_index and rot_pos_emb.
  Windows MakeWindows(const std::vector<keel_media_count>& grids) const {
    Windows out;
    int64_t base = 0;  // the grid's first cell
    for (const keel_media_count& grid : grids) {
      const int64_t rows = grid.grid_h / merge_size(), columns = grid.grid_w / merge_size();
      for (int64_t t = 0; t < grid.grid_t; ++t, base += rows * columns) {
        for (int64_t top = 0; top < rows; top += window_) {
          for (int64_t left = 0; left < columns; left += window_) {
            for (int64_t y = top; y < std::min(top + window_, rows); ++y) {
              for (int64_t x = left; x < std::min(left + window_, columns); ++x) {
                out.index.push_back(base + y * columns + x);
                AddCell(y, x, out.patches);
              }
            }
            out.cu_window_seqlens.push_back(static_cast<int32_t>(out.patches.rows.size()));
          }
        }
        out.patches.cu_seqlens.push_back(static_cast<int32_t>(out.patches.rows.size()));
      }
    }
    out.reverse.resize(out.index.size());
    for (size_t i = 0; i < out.index.size(); ++i)
      out.reverse[static_cast<size_t>(out.index[i])] = static_cast<int64_t>(i);
    return out;
  }

  int64_t window_ = 4;  // of cells, each way
};

}  // namespace keel

#endif  // KEEL_PLUGINS_QWEN2_5_VL_PROCESSING_QWEN2_5_VL_H_
