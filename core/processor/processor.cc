#include "core/processor/processor.h"

#include <boost/json/value.hpp>
#include <deque>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/config/config_view.h"
#include "core/processor/collector.h"
#include "core/processor/power_spectrum.h"
#include "core/processor/resize.h"

namespace keel {
namespace {

// A JSON object under the getters of keel_config_api.
struct Document {
  Document(boost::json::value value, const std::string& where)
      : json(std::move(value)), view(json, where) {}
  boost::json::value json;
  ConfigDocument view;
};

absl::StatusOr<boost::json::value> ParseObject(absl::string_view text, absl::string_view where) {
  KEEL_ASSIGN_OR_RETURN(boost::json::value json, ParseJson(text, where));
  if (json.is_object()) return json;
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": is ", JsonKindName(json), ", expected an object"));
}

keel_status Code(const absl::Status& status) { return static_cast<keel_status>(status.code()); }

// Frames a second of those that were taken out of a clip; else as it says.
double RateOf(const MediaItem& item) {
  if (item.total_frames == 0) return item.rate;
  return item.rate * static_cast<double>(item.length) / static_cast<double>(item.total_frames);
}

bool HasTimes(const MediaItem& item) {
  return item.modality == KEEL_MODALITY_VIDEO &&
         item.seconds.size() == static_cast<size_t>(item.length);
}

std::vector<int64_t> Wide(absl::Span<const int32_t> ids) { return {ids.begin(), ids.end()}; }

template <typename T>
std::vector<T*> PointersTo(std::vector<T>& items) {
  std::vector<T*> out;
  for (T& item : items) out.push_back(&item);
  return out;
}

}  // namespace

// ---- keel_assets -----------------------------------------------------------------------------------------------------

class Processor::Assets {
 public:
  Assets(std::shared_ptr<const Checkpoint> checkpoint, std::shared_ptr<const Tokenizer> tokenizer)
      : checkpoint_(std::move(checkpoint)),
        tokenizer_(std::move(tokenizer)),
        assets_{sizeof(keel_assets), 0, this, Read, Json, TokenId, Encode, Resize, Spectrum},
        config_(checkpoint_->config(), "config.json") {}

  const keel_assets* get() const { return &assets_; }
  keel_config* config() { return config_.root(); }
  // The first error of what create read.
  absl::Status status() const {
    KEEL_RETURN_IF_ERROR(status_);
    KEEL_RETURN_IF_ERROR(config_.status());
    for (const Document& file : files_) KEEL_RETURN_IF_ERROR(file.view.status());
    return absl::OkStatus();
  }

 private:
  static Assets& Self(void* self) { return *static_cast<Assets*>(self); }

  static keel_status Read(void* self, const char* name, const void** data, size_t* n) {
    const auto text = Self(self).checkpoint_->ReadText(name);
    if (!text.ok()) return Code(text.status());
    if (!text->has_value()) return static_cast<keel_status>(absl::StatusCode::kNotFound);
    const std::string& kept = Self(self).texts_.emplace_back(**text);
    *data = kept.data();
    *n = kept.size();
    return 0;
  }

  static keel_config* Json(void* self, const char* name) {
    const auto text = Self(self).checkpoint_->ReadText(name);
    if (text.ok() && !text->has_value()) return nullptr;
    absl::StatusOr<boost::json::value> json =
        text.ok() ? ParseObject(**text, name) : absl::StatusOr<boost::json::value>(text.status());
    if (json.ok()) return Self(self).files_.emplace_back(*std::move(json), name).view.root();
    if (Self(self).status_.ok()) Self(self).status_ = json.status();
    return nullptr;
  }

  static int64_t TokenId(void* self, const char* token) {
    return Self(self).tokenizer_->TokenToId(token).value_or(-1);
  }

  static keel_status Encode(void* self, keel_str text, const keel_sink* sink) {
    const auto ids =
        Self(self).tokenizer_->Encode({text.data, text.size}, {.add_special_tokens = false});
    if (!ids.ok()) return Code(ids.status());
    const std::vector<int64_t> wide = Wide(*ids);
    return sink->ints(sink->self, "ids", wide.data(), wide.size());
  }

  static keel_status Resize(void*, const keel_dl_tensor* image, uint32_t resample,
                            keel_dl_tensor* out) {
    return Code(ResizeImage(*image, resample, *out));
  }

  static keel_status Spectrum(void*, const float* samples, int64_t n, const float* window,
                              int64_t n_fft, int64_t hop, keel_dl_tensor* out) {
    const absl::Status sizes = CheckSpectrumSizes(n, n_fft, hop);
    if (!sizes.ok()) return Code(sizes);
    return Code(PowerSpectrum({samples, static_cast<size_t>(n)},
                              {window, static_cast<size_t>(n_fft)}, hop, *out));
  }

  const std::shared_ptr<const Checkpoint> checkpoint_;
  const std::shared_ptr<const Tokenizer> tokenizer_;
  const keel_assets assets_;
  ConfigDocument config_;
  std::deque<std::string> texts_;
  std::deque<Document> files_;
  absl::Status status_;
};

// ---- media of a call -------------------------------------------------------------------------------------------------

class Processor::Media {
 public:
  // `options` is a JSON object or "". Borrows the items.
  static absl::StatusOr<std::unique_ptr<Media>> Make(absl::Span<const MediaItem* const> items,
                                                     const std::string& options, bool with_data) {
    auto media = std::make_unique<Media>();
    keel_config* config = nullptr;
    if (!options.empty()) {
      constexpr char kWhere[] = "mm_processor_kwargs";
      KEEL_ASSIGN_OR_RETURN(boost::json::value json, ParseObject(options, kWhere));
      media->options_ = std::make_unique<Document>(std::move(json), kWhere);
      config = media->options_->view.root();
    }
    for (const MediaItem* item : items) {
      media->items_.push_back({sizeof(keel_media), item->modality, nullptr, item->height,
                               item->width, item->length, RateOf(*item), config,
                               HasTimes(*item) ? item->seconds.data() : nullptr});
      if (with_data) media->items_.back().data = media->View(*item);
    }
    return media;
  }

  std::vector<keel_media*> pointers() { return PointersTo(items_); }
  // What was counted, without what lives no longer than this.
  std::vector<keel_media> TakeSizes() {
    for (keel_media& item : items_) item.options = nullptr;
    return std::move(items_);
  }
  absl::Status status() const {
    return options_ == nullptr ? absl::OkStatus() : options_->view.status();
  }
  // INVALID_ARGUMENT: an option that no getter was asked for.
  absl::Status CheckAllAsked(absl::string_view processor) const {
    if (options_ == nullptr) return absl::OkStatus();
    for (const auto& [key, value] : options_->json.get_object()) {
      if (options_->view.asked().contains(std::string(key))) continue;
      return absl::InvalidArgumentError(absl::StrCat("mm_processor_kwargs has '", std::string(key),
                                                     "', which processor ", processor,
                                                     " does not read"));
    }
    return absl::OkStatus();
  }

 private:
  struct Tensor {
    std::vector<int64_t> shape, strides;
    keel_dl_tensor tensor = {};
  };

  const keel_dl_tensor* View(const MediaItem& item) {
    Tensor& out = tensors_.emplace_back();
    const bool is_audio = item.modality == KEEL_MODALITY_AUDIO;
    if (is_audio) {
      out.shape = {item.length};
    } else if (item.modality == KEEL_MODALITY_VIDEO) {
      out.shape = {item.length, item.height, item.width, 3};
    } else {
      out.shape = {item.height, item.width, 3};
    }
    out.strides.assign(out.shape.size(), 1);
    for (size_t i = out.shape.size(); i-- > 1;) out.strides[i - 1] = out.strides[i] * out.shape[i];
    // A processor may not write what it is given; the struct has no const.
    out.tensor.data = is_audio ? static_cast<void*>(const_cast<float*>(item.samples.data()))
                               : const_cast<uint8_t*>(item.rgb.data());
    out.tensor.device = {1, 0};
    out.tensor.ndim = static_cast<int32_t>(out.shape.size());
    out.tensor.dtype = is_audio ? keel_dl_dtype{2, 32, 1} : keel_dl_dtype{1, 8, 1};
    out.tensor.shape = out.shape.data();
    out.tensor.strides = out.strides.data();
    return &out.tensor;
  }

  std::vector<keel_media> items_;
  std::deque<Tensor> tensors_;
  std::unique_ptr<Document> options_;
};

// ---- the processor ---------------------------------------------------------------------------------------------------

Processor::Processor(std::shared_ptr<Plugin> plugin, std::string name)
    : plugin_(std::move(plugin)), name_(std::move(name)) {}

Processor::~Processor() {
  if (processor_ != nullptr) class_->destroy(processor_);
}

absl::Status Processor::Call(const char* function, absl::FunctionRef<keel_status()> call) const {
  return plugin_->Call(absl::StrCat(name_, ".", function), call);
}

absl::Status Processor::Broken(absl::string_view what) const {
  return absl::InternalError(
      absl::StrCat("processor ", name_, " of ", plugin_->name(), ": ", what));
}

absl::StatusOr<std::unique_ptr<Processor>> Processor::Create(
    std::shared_ptr<Plugin> plugin, const std::string& name,
    std::shared_ptr<const Checkpoint> checkpoint, std::shared_ptr<const Tokenizer> tokenizer) {
  std::unique_ptr<Processor> out(new Processor(std::move(plugin), name));
  out->tokenizer_ = std::move(tokenizer);
  KEEL_RETURN_IF_ERROR(out->Open(std::move(checkpoint)));
  return out;
}

absl::Status Processor::Open(std::shared_ptr<const Checkpoint> checkpoint) {
  class_ = plugin_->FindProcessor(name_);
  if (class_ == nullptr)
    return absl::NotFoundError(absl::StrCat(plugin_->name(), " has no processor ", name_));
  assets_ = std::make_unique<Assets>(std::move(checkpoint), tokenizer_);
  const absl::Status created = Call("create", [&] {
    return class_->create(plugin_->self(), assets_->config(), assets_->get(), &processor_);
  });
  KEEL_RETURN_IF_ERROR(assets_->status());
  KEEL_RETURN_IF_ERROR(created);
  if (processor_ == nullptr) return Broken("create gave nothing");
  return ReadTokens();
}

absl::Status Processor::ReadTokens() {
  Collector out;
  KEEL_RETURN_IF_ERROR(Call("tokens", [&] { return class_->tokens(processor_, out.sink()); }));
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
  KEEL_ASSIGN_OR_RETURN(const auto media, Media::Make(items, options, /*with_data=*/false));
  MediaCounts out;
  std::vector<keel_media_count>& counts = out.counts_;
  counts.resize(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    counts[i].struct_size = sizeof(keel_media_count);
    counts[i].modality = items[i]->modality;
  }
  const absl::Status counted = Call("count", [&] {
    return class_->count(processor_, media->pointers().data(), static_cast<uint32_t>(items.size()),
                         PointersTo(counts).data());
  });
  KEEL_RETURN_IF_ERROR(media->status());
  KEEL_RETURN_IF_ERROR(counted);
  out.media_ = media->TakeSizes();
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

absl::StatusOr<NamedTensors> Processor::Preprocess(const MediaItem& item,
                                                   const std::string& options) const {
  const MediaItem* pointer = &item;
  KEEL_ASSIGN_OR_RETURN(const auto media, Media::Make({&pointer, 1}, options, /*with_data=*/true));
  if (!options.empty()) {  // some are for counting alone
    keel_media_count count = {};
    count.struct_size = sizeof(count);
    count.modality = item.modality;
    keel_media_count* const counts[] = {&count};
    KEEL_RETURN_IF_ERROR(Call(
        "count", [&] { return class_->count(processor_, media->pointers().data(), 1, counts); }));
  }
  Collector out;
  const absl::Status called = Call("preprocess", [&] {
    return class_->preprocess(processor_, media->pointers().data(), 1, out.sink());
  });
  KEEL_RETURN_IF_ERROR(media->status());
  KEEL_RETURN_IF_ERROR(called);
  KEEL_RETURN_IF_ERROR(media->CheckAllAsked(name_));
  return std::move(out.tensors);
}

absl::StatusOr<std::vector<int32_t>> Processor::Replacement(const keel_media_count& item,
                                                            uint32_t index) const {
  Collector out;
  KEEL_RETURN_IF_ERROR(Call(
      "replacement", [&] { return class_->replacement(processor_, &item, index, out.sink()); }));
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
  if (!KEEL_HAS(class_, keel_processor_class, expand)) return ReplacePlaceholders(ids, items);
  ExpandedIds expanded;
  const std::vector<int64_t> wide = Wide(ids);
  std::vector<keel_media_count> counts(items.begin(), items.end());
  Collector out;
  KEEL_RETURN_IF_ERROR(Call("expand", [&] {
    return class_->expand(processor_, wide.data(), wide.size(), PointersTo(counts).data(),
                          static_cast<uint32_t>(counts.size()), out.sink());
  }));
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
  if (!KEEL_HAS(class_, keel_processor_class, positions)) return std::optional<PromptPlaces>();
  const std::vector<int64_t> wide = Wide(ids);
  std::vector<keel_media_count> counts(items.begin(), items.end());
  Collector out;
  KEEL_RETURN_IF_ERROR(Call("positions", [&] {
    return class_->positions(processor_, wide.data(), wide.size(), PointersTo(counts).data(),
                             static_cast<uint32_t>(counts.size()), out.sink());
  }));
  const HostTensor& tensor = out.tensors["positions"];
  const auto n = static_cast<int64_t>(ids.size());
  const bool is_right = tensor.dtype == DType::kI64 &&
                        (tensor.dims == std::vector<int64_t>{n} ||
                         (tensor.dims.size() == 2 && tensor.dims[0] >= 1 && tensor.dims[1] == n));
  if (!is_right || out.ints["delta"].size() != 1)
    return Broken("positions gives no i64 [n] or [axes, n] and one delta");
  PromptPlaces places;
  places.axes = tensor.dims.size() == 2 ? tensor.dims[0] : 1;
  const auto* values = reinterpret_cast<const int64_t*>(tensor.bytes.data());
  places.positions.assign(values, values + places.axes * n);
  places.delta = out.ints["delta"][0];
  return std::optional<PromptPlaces>(std::move(places));
}

}  // namespace keel
