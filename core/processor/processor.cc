#include "core/processor/processor.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/status.h"

namespace keel {
namespace {

std::vector<int64_t> Wide(absl::Span<const int32_t> ids) { return {ids.begin(), ids.end()}; }

// transformers' name for it.
constexpr char kNumberOfImages[] = "batch_num_images";

absl::StatusOr<std::string> WithNumberOfImages(absl::Span<const MediaItem* const> items,
                                               const std::string& options) {
  constexpr char kWhere[] = "mm_processor_kwargs";
  const auto images = std::count_if(items.begin(), items.end(), [](const MediaItem* item) {
    return item->modality == KEEL_MODALITY_IMAGE;
  });
  if (options.empty() && images < 2) return options;
  KEEL_ASSIGN_OR_RETURN(boost::json::value json,
                        ParseJson(options.empty() ? "{}" : options, kWhere));
  boost::json::object* object = json.if_object();
  if (object == nullptr) return options;  // which the class refuses
  if (object->contains(kNumberOfImages))
    return absl::InvalidArgumentError(
        absl::StrCat(kWhere, " has '", kNumberOfImages, "', which the request's images say"));
  if (images < 2) return options;
  (*object)[kNumberOfImages] = images;
  return boost::json::serialize(json);
}

keel_media_count Uncounted(uint32_t modality) {
  keel_media_count count = {};
  count.struct_size = sizeof(count);
  count.modality = modality;
  return count;
}

}  // namespace

Processor::Processor(std::string name, std::unique_ptr<const ProcessorCalls> calls,
                     std::shared_ptr<const Tokenizer> tokenizer)
    : name_(std::move(name)), calls_(std::move(calls)), tokenizer_(std::move(tokenizer)) {}

absl::StatusOr<std::unique_ptr<Processor>> Processor::Create(
    std::string name, std::unique_ptr<const ProcessorCalls> calls,
    std::shared_ptr<const Tokenizer> tokenizer) {
  std::unique_ptr<Processor> out(
      new Processor(std::move(name), std::move(calls), std::move(tokenizer)));
  KEEL_RETURN_IF_ERROR(out->ReadTokens());
  return out;
}

absl::Status Processor::Broken(absl::string_view what) const {
  return absl::InternalError(absl::StrCat("processor ", name_, " of ", plugin_name(), ": ", what));
}

absl::Status Processor::ReadTokens() {
  KEEL_ASSIGN_OR_RETURN(Delivered out, calls_->Tokens());
  const int64_t vocabulary = tokenizer_->vocab_size();
  for (const uint32_t modality : {KEEL_MODALITY_IMAGE, KEEL_MODALITY_VIDEO, KEEL_MODALITY_AUDIO}) {
    const std::string key = absl::StrCat(ModalityName(modality), "_token");
    if (!out.texts.contains(key)) continue;
    PlaceholderTokens tokens;
    tokens.text = out.texts[key];
    const auto placeholder = tokenizer_->TokenToId(tokens.text);
    if (!placeholder.has_value())
      return Broken(absl::StrCat(key, " '", tokens.text, "' is no token of the tokenizer"));
    tokens.placeholder = *placeholder;
    const std::vector<int64_t>& feature = out.ints[key + "_id"];
    if (feature.size() != 1) return Broken(absl::StrCat(key, "_id is missing"));
    const std::vector<int64_t>& ids = out.ints[key + "_ids"];
    for (const int64_t id : ids) {
      if (id < 0 || id >= vocabulary)
        return Broken(absl::StrCat(key, "_ids has ", id, ", expected 0 to ", vocabulary - 1));
      tokens.ids.insert(static_cast<int32_t>(id));
    }
    tokens.feature = static_cast<int32_t>(feature[0]);
    if (!tokens.ids.contains(tokens.feature))
      return Broken(absl::StrCat(key, "_ids lacks ", key, "_id ", feature[0]));
    tokens_[modality] = std::move(tokens);
  }
  return ReadSamplingRate(out.ints["audio_sampling_rate"]);
}

absl::Status Processor::ReadSamplingRate(absl::Span<const int64_t> said) {
  constexpr int64_t kLeast = 8000, kMost = 192000;
  if (said.empty()) return absl::OkStatus();
  if (said.size() != 1 || said[0] < kLeast || said[0] > kMost)
    return Broken(absl::StrCat("audio_sampling_rate is ", absl::StrJoin(said, ", "),
                               ", expected one number of ", kLeast, " to ", kMost));
  audio_sampling_rate_ = static_cast<int>(said[0]);
  return absl::OkStatus();
}

absl::StatusOr<MediaCounts> Processor::Count(absl::Span<const MediaItem* const> items,
                                             const std::string& options) const {
  constexpr int64_t kMost = int64_t{1} << 24;
  MediaCounts out;
  std::vector<keel_media_count>& counts = out.counts_;
  for (const MediaItem* item : items) {
    counts.push_back(Uncounted(item->modality));
    out.media_.push_back(SizesOf(*item));
  }
  KEEL_ASSIGN_OR_RETURN(const std::string with_number, WithNumberOfImages(items, options));
  ProcessorCalls::Keys asked;
  KEEL_RETURN_IF_ERROR(calls_->Count(items, with_number, absl::MakeSpan(counts), asked));
  out.options_ = asked.contains(kNumberOfImages) ? with_number : options;
  for (size_t i = 0; i < counts.size(); ++i) {
    keel_media_count& c = counts[i];
    if (c.features < 1 || c.features > c.tokens || c.tokens > kMost)
      return Broken(
          absl::StrCat("count gives ", c.tokens, " tokens, of them ", c.features, " for features"));
    if (c.runs < 0 || c.runs > c.tokens)
      return Broken(absl::StrCat("count gives ", c.tokens, " tokens in ", c.runs, " runs"));
    c.modality = items[i]->modality;  // which a class may have overwritten
    c.media = &out.media_[i];
  }
  return out;
}

absl::Status Processor::CheckAllAsked(const std::string& options,
                                      const ProcessorCalls::Keys& asked) const {
  KEEL_ASSIGN_OR_RETURN(const boost::json::value json, ParseJson(options, "mm_processor_kwargs"));
  if (!json.is_object())
    return absl::InvalidArgumentError("mm_processor_kwargs: expected an object");
  for (const auto& [key, value] : json.get_object()) {
    if (key == kNumberOfImages || asked.contains(std::string(key))) continue;
    return absl::InvalidArgumentError(absl::StrCat("mm_processor_kwargs has '", std::string(key),
                                                   "', which processor ", name_, " does not read"));
  }
  return absl::OkStatus();
}

absl::StatusOr<NamedTensors> Processor::Preprocess(const MediaItem& item,
                                                   const std::string& options) const {
  ProcessorCalls::Keys asked;
  if (!options.empty()) {  // some are for counting alone
    const MediaItem* pointer = &item;
    keel_media_count count = Uncounted(item.modality);
    KEEL_RETURN_IF_ERROR(calls_->Count({&pointer, 1}, options, absl::MakeSpan(&count, 1), asked));
  }
  KEEL_ASSIGN_OR_RETURN(Delivered out, calls_->Preprocess(item, options, asked));
  if (!options.empty()) KEEL_RETURN_IF_ERROR(CheckAllAsked(options, asked));
  return std::move(out.tensors);
}

absl::StatusOr<std::vector<int32_t>> Processor::Replacement(const keel_media_count& item,
                                                            uint32_t index) const {
  KEEL_ASSIGN_OR_RETURN(Delivered out, calls_->Replacement(item, index));
  return tokenizer_->Encode(out.texts["text"], {.add_special_tokens = false});
}

uint32_t Processor::ModalityOfPlaceholder(int32_t id) const {
  for (uint32_t modality = KEEL_MODALITY_IMAGE; modality <= KEEL_MODALITY_AUDIO; ++modality)
    if (tokens_[modality].has_value() && tokens_[modality]->placeholder == id) return modality;
  return KEEL_MODALITY_TEXT;
}

absl::StatusOr<ExpandedIds> Processor::ReplacePlaceholders(
    absl::Span<const int32_t> ids, absl::Span<const keel_media_count> items) const {
  ExpandedIds out;
  std::array<std::vector<const keel_media_count*>, 4> of;  // by modality
  for (const keel_media_count& item : items) of[item.modality].push_back(&item);
  std::array<uint32_t, 4> next = {};
  for (const int32_t id : ids) {
    const uint32_t modality = ModalityOfPlaceholder(id);
    if (modality == KEEL_MODALITY_TEXT || next[modality] == of[modality].size()) {
      out.ids.push_back(id);
      out.types.push_back(KEEL_MODALITY_TEXT);
      continue;
    }
    const uint32_t index = next[modality]++;
    KEEL_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens,
                          Replacement(*of[modality][index], index));
    for (const int32_t token : tokens) {
      out.ids.push_back(token);
      const bool is_items = tokens_[modality]->ids.contains(token);
      out.types.push_back(static_cast<int32_t>(is_items ? modality : KEEL_MODALITY_TEXT));
    }
  }
  return out;
}

absl::StatusOr<ExpandedIds> Processor::Expand(absl::Span<const int32_t> ids,
                                              absl::Span<const keel_media_count> items) const {
  KEEL_ASSIGN_OR_RETURN(std::optional<Delivered> given, calls_->Expand(Wide(ids), items));
  if (!given.has_value()) return ReplacePlaceholders(ids, items);
  Delivered& out = *given;
  ExpandedIds expanded;
  for (const int64_t id : out.ints["input_ids"]) {
    if (id < 0 || id > std::numeric_limits<int32_t>::max())
      return Broken(absl::StrCat("expand gives the id ", id));
    expanded.ids.push_back(static_cast<int32_t>(id));
  }
  for (const int64_t type : out.ints["mm_token_type_ids"]) {
    if (type < 0 || type > KEEL_MODALITY_AUDIO)
      return Broken(absl::StrCat("expand gives the token type ", type, ", expected 0 to 3"));
    expanded.types.push_back(static_cast<int32_t>(type));
  }
  if (expanded.types.size() != expanded.ids.size())
    return Broken(absl::StrCat("expand gives ", expanded.ids.size(), " input_ids and ",
                               expanded.types.size(), " mm_token_type_ids"));
  for (const int64_t group : out.ints["groups"]) {
    if (group < -1 || group > std::numeric_limits<int32_t>::max())
      return Broken(absl::StrCat("expand gives the group ", group, ", expected -1 or a number"));
    expanded.groups.push_back(static_cast<int32_t>(group));
  }
  if (!expanded.groups.empty() && expanded.groups.size() != expanded.ids.size())
    return Broken(absl::StrCat("expand gives ", expanded.ids.size(), " input_ids and ",
                               expanded.groups.size(), " groups"));
  return expanded;
}

absl::StatusOr<std::optional<PromptPlaces>> Processor::Positions(
    absl::Span<const int32_t> ids, absl::Span<const keel_media_count> items) const {
  KEEL_ASSIGN_OR_RETURN(std::optional<Delivered> out, calls_->Positions(Wide(ids), items));
  if (!out.has_value()) return std::optional<PromptPlaces>();
  const HostTensor& tensor = out->tensors["positions"];
  const auto n = static_cast<int64_t>(ids.size());
  const bool is_right = tensor.dtype == DType::kI64 &&
                        (tensor.dims == std::vector<int64_t>{n} ||
                         (tensor.dims.size() == 2 && tensor.dims[0] >= 1 && tensor.dims[1] == n));
  if (!is_right || out->ints["delta"].size() != 1)
    return Broken("positions gives no i64 [n] or [axes, n] and one delta");
  PromptPlaces places;
  places.axes = tensor.dims.size() == 2 ? tensor.dims[0] : 1;
  const auto* values = reinterpret_cast<const int64_t*>(tensor.bytes.data());
  places.positions.assign(values, values + places.axes * n);
  places.delta = out->ints["delta"][0];
  return std::optional<PromptPlaces>(std::move(places));
}

}  // namespace keel
