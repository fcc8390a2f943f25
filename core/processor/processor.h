// A checkpoint's processor: a plugin's class that turns media into tokens and the inputs of an encoder, called through the
// ABI with the host's help (files of the checkpoint, its tokenizer, image resizing).
#ifndef KEEL_CORE_PROCESSOR_PROCESSOR_H_
#define KEEL_CORE_PROCESSOR_PROCESSOR_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/checkpoint/checkpoint.h"
#include "core/media/media_item.h"
#include "core/plugin/plugin.h"
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

 private:
  friend class Processor;
  std::vector<keel_media> media_;  // without data and options
  std::vector<keel_media_count> counts_;
};

// What a processor gives breaks the contract: INTERNAL, named "processor <name>: ...". Its own refusals are as it says.
// Thread-safe.
class Processor {
 public:
  // The class `name` of `plugin`. Errors name the class; NOT_FOUND: there is none.
  static absl::StatusOr<std::unique_ptr<Processor>> Create(
      std::shared_ptr<Plugin> plugin, const std::string& name,
      std::shared_ptr<const Checkpoint> checkpoint, std::shared_ptr<const Tokenizer> tokenizer);
  ~Processor();
  Processor(const Processor&) = delete;
  Processor& operator=(const Processor&) = delete;

  const std::string& name() const { return name_; }
  const std::string& plugin_name() const { return plugin_->name(); }
  const Placeholders& placeholders() const { return tokens_; }
  // Null: it takes none of that modality.
  const PlaceholderTokens* tokens(uint32_t modality) const {
    return tokens_[modality].has_value() ? &*tokens_[modality] : nullptr;
  }
  int audio_sampling_rate() const {
    return audio_sampling_rate_;
  }  // samples a second that it takes

  // From sizes alone. `options`: mm_processor_kwargs, a JSON object, or "". Every item has tokens and features, and no more
  // runs than tokens.
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
  class Assets;
  class Media;

  Processor(std::shared_ptr<Plugin> plugin, std::string name);
  absl::Status Open(std::shared_ptr<const Checkpoint> checkpoint);
  absl::Status ReadTokens();
  absl::Status ReadSamplingRate(absl::Span<const int64_t> said);
  uint32_t ModalityOfPlaceholder(int32_t id) const;
  absl::StatusOr<ExpandedIds> ReplacePlaceholders(absl::Span<const int32_t> ids,
                                                  absl::Span<const keel_media_count> items) const;
  absl::StatusOr<std::vector<int32_t>> Replacement(const keel_media_count& item,
                                                   uint32_t index) const;
  absl::Status Call(const char* function, absl::FunctionRef<keel_status()> call) const;
  absl::Status Broken(absl::string_view what) const;

  const std::shared_ptr<Plugin> plugin_;
  const std::string name_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  const keel_processor_class* class_ = nullptr;
  std::unique_ptr<Assets> assets_;
  void* processor_ = nullptr;
  Placeholders tokens_;
  int audio_sampling_rate_ = 16000;
};

}  // namespace keel

#endif  // KEEL_CORE_PROCESSOR_PROCESSOR_H_
