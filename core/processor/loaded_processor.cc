#include "core/processor/loaded_processor.h"

#include <boost/json/value.hpp>
#include <deque>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/config/config_view.h"
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

template <typename T>
std::vector<T*> PointersTo(absl::Span<T> items) {
  std::vector<T*> out;
  for (T& item : items) out.push_back(&item);
  return out;
}

// The ABI has no const there; a class may not write what was counted.
std::vector<keel_media_count> CopyOf(absl::Span<const keel_media_count> counts) {
  return {counts.begin(), counts.end()};
}

// Media of a call.
class Media {
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
      media->items_.push_back(SizesOf(*item));
      media->items_.back().options = config;
      if (with_data) media->items_.back().data = media->View(*item);
    }
    return media;
  }

  std::vector<keel_media*> pointers() { return PointersTo(absl::MakeSpan(items_)); }
  absl::Status status() const {
    return options_ == nullptr ? absl::OkStatus() : options_->view.status();
  }
  void AddAsked(std::set<std::string>& asked) const {
    if (options_ != nullptr)
      asked.insert(options_->view.asked().begin(), options_->view.asked().end());
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

}  // namespace

// ---- keel_assets -----------------------------------------------------------------------------------------------------

class LoadedProcessor::Assets {
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
    const std::vector<int64_t> wide(ids->begin(), ids->end());
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

// ---- its functions ---------------------------------------------------------------------------------------------------

LoadedProcessor::LoadedProcessor(std::shared_ptr<Plugin> plugin, std::string name)
    : plugin_(std::move(plugin)), name_(std::move(name)) {}

LoadedProcessor::~LoadedProcessor() {
  if (processor_ != nullptr) class_->destroy(processor_);
}

absl::StatusOr<std::unique_ptr<LoadedProcessor>> LoadedProcessor::Create(
    std::shared_ptr<Plugin> plugin, const std::string& name,
    std::shared_ptr<const Checkpoint> checkpoint, std::shared_ptr<const Tokenizer> tokenizer) {
  std::unique_ptr<LoadedProcessor> out(new LoadedProcessor(std::move(plugin), name));
  KEEL_RETURN_IF_ERROR(out->Open(std::move(checkpoint), std::move(tokenizer)));
  return out;
}

absl::Status LoadedProcessor::Open(std::shared_ptr<const Checkpoint> checkpoint,
                                   std::shared_ptr<const Tokenizer> tokenizer) {
  class_ = plugin_->FindProcessor(name_);
  if (class_ == nullptr)
    return absl::NotFoundError(absl::StrCat(plugin_->name(), " has no processor ", name_));
  assets_ = std::make_unique<Assets>(std::move(checkpoint), std::move(tokenizer));
  const absl::Status created = Call("create", [&] {
    return class_->create(plugin_->self(), assets_->config(), assets_->get(), &processor_);
  });
  KEEL_RETURN_IF_ERROR(assets_->status());
  KEEL_RETURN_IF_ERROR(created);
  if (processor_ != nullptr) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("processor ", name_, " of ", plugin_->name(), ": create gave nothing"));
}

absl::Status LoadedProcessor::Call(const char* function,
                                   absl::FunctionRef<keel_status()> call) const {
  return plugin_->Call(absl::StrCat(name_, ".", function), call);
}

absl::StatusOr<Delivered> LoadedProcessor::Tokens() const {
  Collector out;
  KEEL_RETURN_IF_ERROR(Call("tokens", [&] { return class_->tokens(processor_, out.sink()); }));
  return out.Take();
}

absl::Status LoadedProcessor::Count(Items items, const std::string& options,
                                    absl::Span<keel_media_count> counts, Keys& asked) const {
  KEEL_ASSIGN_OR_RETURN(const auto media, Media::Make(items, options, /*with_data=*/false));
  const absl::Status counted = Call("count", [&] {
    return class_->count(processor_, media->pointers().data(), static_cast<uint32_t>(items.size()),
                         PointersTo(counts).data());
  });
  KEEL_RETURN_IF_ERROR(media->status());
  media->AddAsked(asked);
  return counted;
}

absl::StatusOr<Delivered> LoadedProcessor::Preprocess(const MediaItem& item,
                                                      const std::string& options,
                                                      Keys& asked) const {
  const MediaItem* pointer = &item;
  KEEL_ASSIGN_OR_RETURN(const auto media, Media::Make({&pointer, 1}, options, /*with_data=*/true));
  Collector out;
  const absl::Status called = Call("preprocess", [&] {
    return class_->preprocess(processor_, media->pointers().data(), 1, out.sink());
  });
  KEEL_RETURN_IF_ERROR(media->status());
  KEEL_RETURN_IF_ERROR(called);
  media->AddAsked(asked);
  return out.Take();
}

absl::StatusOr<Delivered> LoadedProcessor::Replacement(const keel_media_count& item,
                                                       uint32_t index) const {
  Collector out;
  KEEL_RETURN_IF_ERROR(Call(
      "replacement", [&] { return class_->replacement(processor_, &item, index, out.sink()); }));
  return out.Take();
}

absl::StatusOr<std::optional<Delivered>> LoadedProcessor::Expand(Ids ids, Counts counts) const {
  if (!KEEL_HAS(class_, keel_processor_class, expand)) return std::nullopt;
  std::vector<keel_media_count> copies = CopyOf(counts);
  Collector out;
  KEEL_RETURN_IF_ERROR(Call("expand", [&] {
    return class_->expand(processor_, ids.data(), ids.size(),
                          PointersTo(absl::MakeSpan(copies)).data(),
                          static_cast<uint32_t>(copies.size()), out.sink());
  }));
  return out.Take();
}

absl::StatusOr<std::optional<Delivered>> LoadedProcessor::Positions(Ids ids, Counts counts) const {
  if (!KEEL_HAS(class_, keel_processor_class, positions)) return std::nullopt;
  std::vector<keel_media_count> copies = CopyOf(counts);
  Collector out;
  KEEL_RETURN_IF_ERROR(Call("positions", [&] {
    return class_->positions(processor_, ids.data(), ids.size(),
                             PointersTo(absl::MakeSpan(copies)).data(),
                             static_cast<uint32_t>(copies.size()), out.sink());
  }));
  return out.Take();
}

}  // namespace keel
