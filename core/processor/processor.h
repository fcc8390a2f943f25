// A checkpoint's processor: a plugin's class that turns media into tokens and the inputs of an encoder. Whether its code
// runs here or in a jail, what it gives is held against the contract here.
#ifndef KEEL_CORE_PROCESSOR_PROCESSOR_H_
#define KEEL_CORE_PROCESSOR_PROCESSOR_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/media/media_item.h"
#include "core/processor/processor_calls.h"
#include "core/tensor/host_tensor.h"
#include "core/text/tokenizer.h"
#include "sdk/abi/plugin.h"

namespace keel {

// How a modality's items stand in a prompt.
struct PlaceholderTokens {
  std::string text;         // "<|image_pad|>": one an item before a prompt is expanded
  int32_t placeholder = 0;  // its id
  int32_t feature = 0;      // the id whose embeddings features replace
  std::set<int32_t> ids;    // that one, and what else an item has: row ends, tile marks
};

using Placeholders = std::array<std::optional<PlaceholderTokens>, 4>;  // by KEEL_MODALITY_*

struct ExpandedIds {
  std::vector<int32_t> ids, types;  // of each id its modality
  std::vector<int32_t> groups =
      {};  // of each the group that it is in; -1: none. Empty: each run of an item's tokens is one
};

struct PromptPlaces {
  int64_t axes = 1;
  std::vector<int64_t> positions;  // [axes, n]
  int64_t delta = 0;               // a later token's position, less the number of tokens before it
};

// What a processor counts of some items, in their order. `media` of each points into this and, for the times of a
// video's frames, into its item: both must outlive whoever reads it.
class MediaCounts {
 public:
  MediaCounts() = default;
  MediaCounts(MediaCounts&&) = default;
  MediaCounts& operator=(MediaCounts&&) = default;

  const keel_media_count* data() const { return counts_.data(); }
  size_t size() const { return counts_.size(); }
  const keel_media_count& operator[](size_t i) const { return counts_[i]; }
  const keel_media_count* begin() const { return data(); }
  const keel_media_count* end() const { return data() + size(); }
  // What Preprocess is to have of each: the mm_processor_kwargs, and what the class wanted to know of the others.
  const std::string& options() const { return options_; }

 private:
  friend class Processor;
  std::string options_;
  std::vector<keel_media> media_;  // without data and options
  std::vector<keel_media_count> counts_;
};

// What a processor gives breaks the contract: INTERNAL, named "processor <name> of <plugin>: ...". Its own refusals are as
// it says. Thread-safe.
class Processor {
 public:
  // The class `name`, whose functions `calls` has.
  static absl::StatusOr<std::unique_ptr<Processor>> Create(
      std::string name, std::unique_ptr<const ProcessorCalls> calls,
      std::shared_ptr<const Tokenizer> tokenizer);

  const std::string& name() const { return name_; }
  const std::string& plugin_name() const { return calls_->plugin_name(); }
  const Placeholders& placeholders() const { return tokens_; }
  // Null: it takes none of that modality.
  const PlaceholderTokens* tokens(uint32_t modality) const {
    return tokens_[modality].has_value() ? &*tokens_[modality] : nullptr;
  }
  // Samples a second that it takes.
  int audio_sampling_rate() const { return audio_sampling_rate_; }

  // From sizes alone. `options`: mm_processor_kwargs, a JSON object, or "". Every item has tokens and features, and no more
  // runs than tokens. A class may ask the options for `batch_num_images`, how many images there are, if more than one.
  absl::StatusOr<MediaCounts> Count(absl::Span<const MediaItem* const> items,
                                    const std::string& options) const;
  // One item's inputs of its encoder. INVALID_ARGUMENT: an option that the class does not read.
  absl::StatusOr<NamedTensors> Preprocess(const MediaItem& item, const std::string& options) const;
  // A prompt with one placeholder an item, expanded: by the class, or by tokenizing each item's replacement.
  absl::StatusOr<ExpandedIds> Expand(absl::Span<const int32_t> ids,
                                     absl::Span<const keel_media_count> items) const;
  // Of expanded ids; nullopt: tokens are where they stand.
  absl::StatusOr<std::optional<PromptPlaces>> Positions(
      absl::Span<const int32_t> ids, absl::Span<const keel_media_count> items) const;

 private:
  Processor(std::string name, std::unique_ptr<const ProcessorCalls> calls,
            std::shared_ptr<const Tokenizer> tokenizer);
  absl::Status ReadTokens();
  absl::Status ReadSamplingRate(absl::Span<const int64_t> said);
  absl::Status CheckAllAsked(const std::string& options, const ProcessorCalls::Keys& asked) const;
  uint32_t ModalityOfPlaceholder(int32_t id) const;
  absl::StatusOr<ExpandedIds> ReplacePlaceholders(absl::Span<const int32_t> ids,
                                                  absl::Span<const keel_media_count> items) const;
  absl::StatusOr<std::vector<int32_t>> Replacement(const keel_media_count& item,
                                                   uint32_t index) const;
  absl::Status Broken(absl::string_view what) const;

  const std::string name_;
  const std::unique_ptr<const ProcessorCalls> calls_;
  const std::shared_ptr<const Tokenizer> tokenizer_;
  Placeholders tokens_;
  int audio_sampling_rate_ = 16000;
};

}  // namespace keel

#endif  // KEEL_CORE_PROCESSOR_PROCESSOR_H_
