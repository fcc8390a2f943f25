#include "core/conformance/processor_under_test.h"

#include <boost/json/value.hpp>
#include <deque>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/config/config_view.h"

namespace keel::conformance {
namespace {

template <typename T>
std::vector<const T*> PointersTo(absl::Span<const T> items) {
  std::vector<const T*> out;
  for (const T& item : items) out.push_back(&item);
  return out;
}

int64_t ElementBytes(uint32_t dtype) { return (dtype >> 8 & 0xff) / 8; }

// A sink that keeps what it gets.
class Collector {
 public:
  Collector() : sink_{sizeof(keel_sink), 0, this, Bytes, Ints, Tensor} {}
  const keel_sink* sink() const { return &sink_; }
  Delivered Take() { return std::move(delivered_); }

 private:
  static Collector& Self(void* self) { return *static_cast<Collector*>(self); }
  static keel_status Bytes(void* self, const char* key, const void* data, size_t n) {
    Self(self).delivered_.texts[key] = std::string(static_cast<const char*>(data), n);
    return 0;
  }
  static keel_status Ints(void* self, const char* key, const int64_t* data, size_t n) {
    Self(self).delivered_.ints[key].assign(data, data + n);
    return 0;
  }
  static keel_dl_tensor* Tensor(void* self, const char* key, uint32_t dtype, uint32_t ndim,
                                const int64_t* dims) {
    Delivered::Tensor& tensor = Self(self).delivered_.tensors[key];
    tensor.dtype = dtype;
    tensor.dims.assign(dims, dims + ndim);
    int64_t bytes = ElementBytes(dtype);
    for (const int64_t dim : tensor.dims) bytes *= dim;
    tensor.bytes.assign(static_cast<size_t>(bytes), 0xff);
    keel_dl_tensor& view = Self(self).views_.emplace_back();
    view = {};
    view.data = tensor.bytes.data();
    view.ndim = static_cast<int32_t>(ndim);
    view.shape = tensor.dims.data();
    return &view;
  }

  keel_sink sink_;
  Delivered delivered_;
  std::deque<keel_dl_tensor> views_;
};

std::vector<int64_t> RowMajor(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

}  // namespace

TestMedia TestMedia::Image(int64_t height, int64_t width,
                           uint8_t (*pixel)(int64_t, int64_t, int64_t)) {
  TestMedia out;
  out.media_ = Sizes(KEEL_MODALITY_IMAGE, height, width, 1);
  for (int64_t i = 0; i < height * width * 3; ++i)
    out.bytes_.push_back(pixel(i / 3 / width, i / 3 % width, i % 3));
  out.shape_ = {height, width, 3};
  return out;
}

TestMedia TestMedia::Video(int64_t frames, int64_t height, int64_t width, double rate,
                           uint8_t (*pixel)(int64_t, int64_t, int64_t)) {
  TestMedia out = Image(height, width, pixel);
  out.media_ = Sizes(KEEL_MODALITY_VIDEO, height, width, frames, rate);
  const std::vector<uint8_t> frame = out.bytes_;
  for (int64_t t = 1; t < frames; ++t)
    out.bytes_.insert(out.bytes_.end(), frame.begin(), frame.end());
  out.shape_ = {frames, height, width, 3};
  return out;
}

TestMedia TestMedia::Audio(std::vector<float> samples, double rate) {
  TestMedia out;
  out.media_ = Sizes(KEEL_MODALITY_AUDIO, 0, 0, static_cast<int64_t>(samples.size()), rate);
  out.shape_ = {static_cast<int64_t>(samples.size())};
  out.samples_ = std::move(samples);
  return out;
}

keel_media TestMedia::Sizes(uint32_t modality, int64_t height, int64_t width, int64_t length,
                            double rate) {
  keel_media media = {};
  media.struct_size = sizeof(media);
  media.modality = modality;
  media.height = height;
  media.width = width;
  media.length = length;
  media.rate = rate;
  return media;
}

keel_media TestMedia::media() const {
  keel_media media = media_;
  auto* self = const_cast<TestMedia*>(this);  // keel_dl_tensor points to what it may not change
  self->strides_ = RowMajor(shape_);
  tensor_.data = bytes_.empty() ? static_cast<void*>(self->samples_.data()) : self->bytes_.data();
  tensor_.device = {1, 0};
  tensor_.ndim = static_cast<int32_t>(shape_.size());
  tensor_.dtype = bytes_.empty() ? keel_dl_dtype{2, 32, 1} : keel_dl_dtype{1, 8, 1};
  tensor_.shape = self->shape_.data();
  tensor_.strides = self->strides_.data();
  media.data = &tensor_;
  return media;
}

class FakeAssets {
 public:
  FakeAssets(std::string dir, ProcessorUnderTest::TokenId token_id)
      : dir_(std::move(dir)), token_id_(std::move(token_id)) {
    assets_ = {sizeof(keel_assets), 0, this, Read, Json, TokenId, Encode, Resize, Spectrum};
  }
  const keel_assets* get() const { return &assets_; }
  const std::vector<std::string>& resized() const { return resized_; }
  absl::Status status() const {
    for (const auto& file : files_) KEEL_RETURN_IF_ERROR(file->document.status());
    return absl::OkStatus();
  }

 private:
  struct File {
    File(boost::json::value value, const std::string& name)
        : json(std::move(value)), document(json, name) {}
    boost::json::value json;
    ConfigDocument document;
  };

  static FakeAssets& Self(void* self) { return *static_cast<FakeAssets*>(self); }
  static keel_status Read(void* self, const char* name, const void** data, size_t* n) {
    absl::StatusOr<std::string> text = ReadFile(JoinPath(Self(self).dir_, name));
    if (!text.ok()) return static_cast<keel_status>(text.status().code());
    const std::string& kept = Self(self).texts_.emplace_back(*std::move(text));
    *data = kept.data();
    *n = kept.size();
    return 0;
  }
  static keel_config* Json(void* self, const char* name) {
    const absl::StatusOr<std::string> text = ReadFile(JoinPath(Self(self).dir_, name));
    if (!text.ok()) return nullptr;
    absl::StatusOr<boost::json::value> json = ParseJson(*text, name);
    if (!json.ok()) return nullptr;
    Self(self).files_.push_back(std::make_unique<File>(*std::move(json), name));
    return Self(self).files_.back()->document.root();
  }
  static int64_t TokenId(void* self, const char* token) { return Self(self).token_id_(token); }
  static keel_status Encode(void* self, keel_str text, const keel_sink* sink) {
    const int64_t id = TokenId(self, std::string(text.data, text.size).c_str());
    return sink->ints(sink->self, "ids", &id, 1);
  }
  static keel_status Resize(void* self, const keel_dl_tensor* image, uint32_t resample,
                            keel_dl_tensor* out) {
    {
      const std::lock_guard<std::mutex> lock(Self(self).mutex_);
      Self(self).resized_.push_back(absl::StrCat(image->shape[0], "x", image->shape[1], " -> ",
                                                 out->shape[0], "x", out->shape[1], ", filter ",
                                                 resample));
    }
    const auto* from = static_cast<const uint8_t*>(image->data) + image->byte_offset;
    auto* to = static_cast<uint8_t*>(out->data) + out->byte_offset;
    for (int64_t y = 0; y < out->shape[0]; ++y) {
      for (int64_t x = 0; x < out->shape[1]; ++x) {
        for (int64_t c = 0; c < 3; ++c) {
          to[y * out->strides[0] + x * out->strides[1] + c] =
              from[y * image->shape[0] / out->shape[0] * image->strides[0] +
                   x * image->shape[1] / out->shape[1] * image->strides[1] + c];
        }
      }
    }
    return 0;
  }

  // None, but numbers that hang on what is given, as those of a spectrum do.
  static keel_status Spectrum(void*, const float* samples, int64_t n, const float* window,
                              int64_t n_fft, int64_t hop, keel_dl_tensor* out) {
    if (n <= n_fft / 2 || hop < 1)
      return static_cast<keel_status>(absl::StatusCode::kInvalidArgument);
    auto* to = reinterpret_cast<float*>(static_cast<char*>(out->data) + out->byte_offset);
    for (int64_t frame = 0; frame <= n / hop; ++frame) {
      for (int64_t bin = 0; bin <= n_fft / 2; ++bin) {
        const float sample = samples[(frame * hop + bin) % n] + window[bin];
        to[frame * out->strides[0] + bin * out->strides[1]] = sample * sample;
      }
    }
    return 0;
  }

  const std::string dir_;
  const ProcessorUnderTest::TokenId token_id_;
  std::deque<std::string> texts_;
  std::vector<std::unique_ptr<File>> files_;
  std::mutex mutex_;
  std::vector<std::string> resized_;  // under mutex_
  keel_assets assets_ = {};
};

ProcessorUnderTest::~ProcessorUnderTest() {
  if (processor_ != nullptr) class_->destroy(processor_);
}

const std::vector<std::string>& ProcessorUnderTest::resized() const { return assets_->resized(); }

absl::StatusOr<std::unique_ptr<ProcessorUnderTest>> ProcessorUnderTest::Create(
    std::shared_ptr<Plugin> plugin, const keel_processor_class* processor_class,
    const std::string& dir, TokenId token_id) {
  std::unique_ptr<ProcessorUnderTest> out(new ProcessorUnderTest);
  out->plugin_ = std::move(plugin);
  out->class_ = processor_class;
  KEEL_ASSIGN_OR_RETURN(const std::string text, ReadFile(JoinPath(dir, "config.json")));
  KEEL_ASSIGN_OR_RETURN(const boost::json::value json, ParseJson(text, "config.json"));
  ConfigDocument config(json, "config.json");
  out->assets_ = std::make_unique<FakeAssets>(dir, std::move(token_id));
  const absl::Status created = out->Call("create", [&] {
    return out->class_->create(out->plugin_->self(), config.root(), out->assets_->get(),
                               &out->processor_);
  });
  KEEL_RETURN_IF_ERROR(config.status());
  KEEL_RETURN_IF_ERROR(out->assets_->status());
  KEEL_RETURN_IF_ERROR(created);
  return out;
}

absl::Status ProcessorUnderTest::Call(const char* function,
                                      absl::FunctionRef<keel_status()> call) const {
  return plugin_->Call(absl::StrCat(class_->names[0], ".", function), call);
}

absl::StatusOr<Delivered> ProcessorUnderTest::Tokens() const {
  Collector out;
  KEEL_RETURN_IF_ERROR(Call("tokens", [&] { return class_->tokens(processor_, out.sink()); }));
  return out.Take();
}

absl::StatusOr<keel_media_count> ProcessorUnderTest::Count(const keel_media& sizes) const {
  KEEL_ASSIGN_OR_RETURN(const std::vector<keel_media_count> counts,
                        CountAll(absl::MakeConstSpan(&sizes, 1)));
  return counts[0];
}

absl::StatusOr<std::vector<keel_media_count>> ProcessorUnderTest::CountAll(
    absl::Span<const keel_media> sizes) const {
  std::vector<keel_media_count> counts(sizes.size());
  std::vector<keel_media_count*> to;
  for (size_t i = 0; i < sizes.size(); ++i) {
    counts[i].struct_size = sizeof(keel_media_count);
    counts[i].modality = sizes[i].modality;
    to.push_back(&counts[i]);
  }
  KEEL_RETURN_IF_ERROR(Call("count", [&] {
    return class_->count(processor_, PointersTo(sizes).data(), static_cast<uint32_t>(sizes.size()),
                         to.data());
  }));
  const std::lock_guard<std::mutex> lock(mutex_);
  for (size_t i = 0; i < sizes.size(); ++i) {
    keel_media& media = counted_.emplace_back(sizes[i]);
    media.data = nullptr;
    media.options = nullptr;
    counts[i].media = &media;
  }
  return counts;
}

absl::StatusOr<Delivered> ProcessorUnderTest::Preprocess(absl::Span<const keel_media> items) const {
  Collector out;
  KEEL_RETURN_IF_ERROR(Call("preprocess", [&] {
    return class_->preprocess(processor_, PointersTo(items).data(),
                              static_cast<uint32_t>(items.size()), out.sink());
  }));
  return out.Take();
}

absl::StatusOr<std::string> ProcessorUnderTest::Replacement(const keel_media_count& item,
                                                            uint32_t index) const {
  Collector out;
  KEEL_RETURN_IF_ERROR(Call(
      "replacement", [&] { return class_->replacement(processor_, &item, index, out.sink()); }));
  return out.Take().texts["text"];
}

absl::StatusOr<Delivered> ProcessorUnderTest::Expand(
    const std::vector<int64_t>& ids, const std::vector<keel_media_count>& items) const {
  Collector out;
  KEEL_RETURN_IF_ERROR(Call("expand", [&] {
    return class_->expand(processor_, ids.data(), ids.size(),
                          PointersTo<keel_media_count>(items).data(),
                          static_cast<uint32_t>(items.size()), out.sink());
  }));
  return out.Take();
}

absl::StatusOr<std::string> ProcessorUnderTest::Chat(const std::string& conversation) const {
  Collector out;
  KEEL_RETURN_IF_ERROR(Call("chat", [&] {
    return class_->chat(processor_, {conversation.data(), conversation.size()}, out.sink());
  }));
  return out.Take().texts["text"];
}

absl::StatusOr<Delivered> ProcessorUnderTest::Positions(
    const std::vector<int64_t>& ids, const std::vector<keel_media_count>& items) const {
  Collector out;
  KEEL_RETURN_IF_ERROR(Call("positions", [&] {
    return class_->positions(processor_, ids.data(), ids.size(),
                             PointersTo<keel_media_count>(items).data(),
                             static_cast<uint32_t>(items.size()), out.sink());
  }));
  return out.Take();
}

}  // namespace keel::conformance
