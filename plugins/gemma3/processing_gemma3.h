// The processor of Gemma 3, as in transformers' processing_gemma3.py and image_processing_gemma3.py. Pan and scan is off but
// where the checkpoint's settings or a request turn it on (transformers heeds requests alone).
#ifndef KEEL_PLUGINS_GEMMA3_PROCESSING_GEMMA3_H_
#define KEEL_PLUGINS_GEMMA3_PROCESSING_GEMMA3_H_

#include <cstdint>
#include <string>
#include <vector>

#include "plugins/gemma3/pan_and_scan.h"
#include "sdk/keel/blocks/newlines.h"
#include "sdk/keel/blocks/square_images.h"
#include "sdk/keel/plugin.h"

namespace keel {

// The whole number whose square comes next below.
inline int64_t TokensOfASide(int64_t tokens) {
  int64_t side = 0;
  while ((side + 1) * (side + 1) <= tokens && side < 1 << 15) ++side;
  return side;
}

class Gemma3Processor {
 public:
  static constexpr const char* kProcessorNames[] = {"Gemma3Processor"};

  Gemma3Processor(const Config& config, const Assets& assets)
      : assets_(assets),
        images_(config, assets, Settings()),
        newlines_(assets),
        tokens_(config.Int("mm_tokens_per_image", 256)) {
    if (const auto c = assets.Json("tokenizer_config.json")) {
      begin_ = c->String("boi_token", begin_.c_str());
      end_ = c->String("eoi_token", end_.c_str());
      image_token_ = c->String("image_token", image_token_.c_str());
    }
    begin_id_ = assets.TokenId(begin_);
    end_id_ = assets.TokenId(end_);
    image_token_id_ = assets.TokenId(image_token_);
    if (const auto c = assets.Json("processor_config.json");
        c && c->Int("image_seq_length", 256) != tokens_)
      c->Fail("image_seq_length", "is not " + std::to_string(tokens_) +
                                      ", which config.json says in mm_tokens_per_image");
    if (const auto c = ImageProcessorConfig(assets)) pan_and_scan_ = pan_and_scan_.With(*c);
  }

  // What a prompt holds is the token that begins an image.
  std::vector<MediaTokens> Tokens() const {
    return {{KEEL_MODALITY_IMAGE, begin_, image_token_id_}};
  }

  keel_media_count Count(const keel_media& media) const {
    CheckIsImage(media);
    const auto views = 1 + static_cast<int64_t>(PartsOf(media).size());
    keel_media_count count = images_.Count(media, tokens_ * views);
    count.patches = count.runs = views;
    return count;
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    int64_t views = 0;
    for (const keel_media& item : items) views += Count(item).patches;
    float* out = images_.Begin(views, inputs);
    for (const keel_media& item : items) {
      const Pixels image = PixelsOf(item);
      out = images_.Put(image, out);
      for (const PanAndScan::Part& part : PartsOf(item))
        out = images_.Put(Crop(image, part.top, part.left, part.height, part.width), out);
    }
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    const std::string view = begin_ + Repeated(image_token_, tokens_) + end_;
    std::string text;
    for (int64_t i = 0; i < item.patches; ++i) text += TextBefore(item, i) + view;
    return text + "\n\n";
  }

  // The replacements in the text, as it is tokenized with them: newlines around an image are joined with theirs. Words
  // before an image's parts are tokenized by themselves.
  ExpandedPrompt Expand(PromptIds prompt, MediaCounts items) const {
    CheckPlaceholders(prompt, begin_id_, items);
    ExpandedPrompt out;
    std::vector<int64_t>&ids = out.input_ids, &types = out.mm_token_type_ids;
    size_t item = 0;
    bool is_behind_image = false;
    for (const int64_t id : prompt) {
      if (id == begin_id_) {
        const keel_media_count& count = items[item++];
        for (int64_t view = 0; view < count.patches; ++view) {
          if (count.patches == 1) {
            newlines_.Append(2, ids);
          } else {
            const std::vector<int64_t> text = assets_.Encode(TextBefore(count, view));
            ids.insert(ids.end(), text.begin(), text.end());
          }
          ids.push_back(begin_id_);
          types.resize(ids.size(), KEEL_MODALITY_TEXT);
          ids.insert(ids.end(), static_cast<size_t>(tokens_), image_token_id_);
          types.resize(ids.size(), KEEL_MODALITY_IMAGE);
          ids.push_back(end_id_);
        }
        newlines_.Append(2, ids);
        is_behind_image = true;
      } else if (is_behind_image && newlines_(id) > 0) {
        newlines_.Append(newlines_(id), ids);
      } else {
        ids.push_back(id);
        is_behind_image = false;
      }
    }
    types.resize(ids.size(), KEEL_MODALITY_TEXT);
    return out;
  }

 private:
  std::vector<PanAndScan::Part> PartsOf(const keel_media& media) const {
    const auto options = MediaOptions(media);
    return (options ? pan_and_scan_.With(*options) : pan_and_scan_)
        .PartsOf(media.height, media.width);
  }

  // What stands before a view of an image, from the end of the one before it on.
  static std::string TextBefore(const keel_media_count& item, int64_t view) {
    if (item.patches == 1) return "\n\n";
    if (view == 0) return "Here is the original image \n\n";
    return view == 1 ? "\n\n and here are some crops to help you see better \n\n" : "\n\n \n\n";
  }

  static ImageSettings Settings() {
    ImageSettings settings = ImageSettings::Siglip();
    settings.resample = KEEL_RESAMPLE_BILINEAR;
    return settings;
  }

  const Assets assets_;
  const SquareImages images_;
  const Newlines newlines_;
  const int64_t tokens_;  // of a view of an image: of the whole, or of a part
  PanAndScan pan_and_scan_;
  std::string begin_ = "<start_of_image>", end_ = "<end_of_image>",
              image_token_ = "<image_soft_token>";
  int64_t begin_id_ = 0, end_id_ = 0, image_token_id_ = 0;
};

}  // namespace keel

#endif  // KEEL_PLUGINS_GEMMA3_PROCESSING_GEMMA3_H_
