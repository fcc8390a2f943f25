// The processor of PaliGemma, as in transformers' processing_paligemma.py and image_processing_siglip.py.
#ifndef KEEL_PLUGINS_PALIGEMMA_PROCESSING_PALIGEMMA_H_
#define KEEL_PLUGINS_PALIGEMMA_PROCESSING_PALIGEMMA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sdk/keel/blocks/newlines.h"
#include "sdk/keel/blocks/square_images.h"
#include "sdk/keel/plugin.h"

namespace keel {

class PaliGemmaProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"PaliGemmaProcessor"};

  PaliGemmaProcessor(const Config& config, const Assets& assets)
      : images_(config, assets, ImageSettings::Siglip()), newlines_(assets) {
    if (const auto c = assets.Json("tokenizer_config.json")) {
      if (c->IsString("bos_token")) bos_ = c->String("bos_token", bos_.c_str());
      if (c->IsString("image_token")) image_token_ = c->String("image_token", "<image>");
    }
    bos_id_ = assets.TokenId(bos_);
    image_token_id_ = assets.TokenId(image_token_);
  }

  std::vector<MediaTokens> Tokens() const {
    return {{KEEL_MODALITY_IMAGE, image_token_, image_token_id_}};
  }

  keel_media_count Count(const keel_media& media) const {
    return images_.Count(media, images_.patches());
  }

  void Preprocess(MediaItems items, const TensorSink& inputs) const {
    images_.Preprocess(items, inputs);
  }

  std::string Replacement(const keel_media_count& item, uint32_t) const {
    return Repeated(image_token_, item.tokens);
  }

  // The text begins behind the last image and ends with a newline; all of it is one group.
  ExpandedPrompt Expand(PromptIds prompt, MediaCounts items) const {
    CheckPlaceholders(prompt, image_token_id_, items);
    if (!prompt.empty() && prompt[0] == bos_id_) prompt = prompt.subspan(1);
    ExpandedPrompt out;
    std::vector<int64_t>&ids = out.input_ids, &types = out.mm_token_type_ids;
    size_t item = 0;
    for (const int64_t id : prompt) {
      if (id != image_token_id_) {
        ids.push_back(id);
        continue;
      }
      types.resize(ids.size(), KEEL_MODALITY_TEXT);
      ids.insert(ids.end(), static_cast<size_t>(items[item++].tokens), image_token_id_);
      types.resize(ids.size(), KEEL_MODALITY_IMAGE);
      if (item == items.size()) ids.push_back(bos_id_);
    }
    newlines_.Append(1, ids);
    types.resize(ids.size(), KEEL_MODALITY_TEXT);
    out.groups.assign(ids.size(), 0);
    return out;
  }

 private:
  const SquareImages images_;
  const Newlines newlines_;
  std::string bos_ = "<bos>", image_token_ = "<image>";
  int64_t bos_id_ = 0, image_token_id_ = 0;
};

}  // namespace keel

#endif  // KEEL_PLUGINS_PALIGEMMA_PROCESSING_PALIGEMMA_H_
