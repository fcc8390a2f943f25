// Processors: what turns media and a prompt into tokens and the inputs of encode. Included by
// plugin.h.
//
//   #include "sdk/keel/processor.h"
//   using namespace keel;
//
//   class TinyProcessor {  // one token an image, its mean as the only feature
//    public:
//     static constexpr const char* kProcessorNames[] = {"TinyProcessor"};
//     TinyProcessor(const Config&, const Assets& assets) : image_id_(assets.TokenId("<image>")) {}
//     std::vector<MediaTokens> Tokens() const {
//       return {{.modality = KEEL_MODALITY_IMAGE, .token = "<image>", .id = image_id_}};
//     }
//     keel_media_count Count(const keel_media&) const {
//       keel_media_count count = {};
//       count.tokens = count.features = count.patches = 1;
//       return count;
//     }
//     void Preprocess(MediaItems items, const TensorSink& inputs) const {
//       const std::span<float> out =
//           inputs.F32("pixel_values", {static_cast<int64_t>(items.size()), 1});
//       for (size_t i = 0; i < items.size(); ++i) {
//         const auto* pixels = static_cast<const uint8_t*>(items[i].data->data);
//         const int64_t n = items[i].height * items[i].width * 3;
//         int64_t sum = 0;
//         for (int64_t j = 0; j < n; ++j) sum += pixels[j];
//         out[i] = static_cast<float>(sum) / static_cast<float>(n);
//       }
//     }
//     std::string Replacement(const keel_media_count&, uint32_t) const { return "<image>"; }
//
//    private:
//     int64_t image_id_;
//   };
//
// A processor class P, named as in transformers, has
//   static constexpr const char* kProcessorNames[]    values of processor_class
//   P(const Config& config, const Assets& assets)     config.json; own files come from assets
//   std::vector<MediaTokens> Tokens() const           the placeholders of each modality
//   keel_media_count Count(const keel_media& sizes) const              from the sizes alone
//   void Preprocess(MediaItems items, const TensorSink& inputs) const  of one modality; by the
//                                                                      spec's names
//   std::string Replacement(const keel_media_count& item, uint32_t index) const
// and may have
//   ExpandedPrompt Expand(PromptIds ids, MediaCounts items) const
//   PromptPositions Positions(PromptIds ids, MediaCounts items) const
//   std::string Chat(std::string_view conversation) const
// What they throw becomes a status with a message. All are const and may run on several threads at
// once.
#ifndef KEEL_SDK_KEEL_PROCESSOR_H_
#define KEEL_SDK_KEEL_PROCESSOR_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/keel/config.h"
#include "sdk/keel/host.h"

namespace keel {

// A list that the ABI passes as pointers, since its structs may grow.
template <typename T>
class AbiList {
 public:
  AbiList() = default;
  AbiList(const T* const* items, size_t size) : items_(items), size_(size) {}

  class Iterator {
   public:
    explicit Iterator(const T* const* at) : at_(at) {}
    const T& operator*() const { return **at_; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator==(const Iterator&) const = default;

   private:
    const T* const* at_;
  };

  size_t size() const { return size_; }
  const T& operator[](size_t i) const { return *items_[i]; }
  Iterator begin() const { return Iterator(items_); }
  Iterator end() const { return Iterator(items_ + size_); }

 private:
  const T* const* items_ = nullptr;
  size_t size_ = 0;
};

using MediaItems = AbiList<keel_media>;
using MediaCounts = AbiList<keel_media_count>;
using PromptIds = std::span<const int64_t>;

// What the request asks of one item (mm_processor_kwargs).
inline std::optional<Config> MediaOptions(const keel_media& media) {
  return media.options == nullptr ? std::nullopt : std::optional<Config>(Config(media.options));
}

struct MediaTokens {
  uint32_t modality;                     // KEEL_MODALITY_*
  std::string token;                     // "<|image_pad|>"
  int64_t id;                            // the rows that features replace
  std::vector<int64_t> structural = {};  // other ids of the modality: row ends, tile marks
  int64_t sampling_rate = 0;             // of audio, samples a second; 0: 16000
};

struct ExpandedPrompt {
  std::vector<int64_t> input_ids, mm_token_type_ids;
  std::vector<int64_t> groups = {};  // empty: each run of an item's tokens
};

// Refuses a prompt with more or fewer placeholders `id` than there are items.
inline void CheckPlaceholders(PromptIds prompt, int64_t id, MediaCounts items) {
  const auto found = static_cast<size_t>(std::count(prompt.begin(), prompt.end(), id));
  if (found != items.size())
    throw Error("the prompt has " + std::to_string(found) + " placeholders, expected " +
                std::to_string(items.size()) + ", one an item");
}

struct PromptPositions {
  int64_t axes;                    // 1: positions [n], else [axes, n]
  std::vector<int64_t> positions;  // axis by axis
  int64_t delta;  // position of a token while decoding - number of tokens before it
};

// Where Preprocess writes the inputs of encode. A span is the host's memory, not cleared.
class TensorSink {
 public:
  explicit TensorSink(const keel_sink* sink) : sink_(sink) {}

  std::span<float> F32(const char* key, std::initializer_list<int64_t> dims) const {
    return Make<float>(key, KEEL_F32, dims);
  }
  std::span<int32_t> I32(const char* key, std::initializer_list<int64_t> dims) const {
    return Make<int32_t>(key, KEEL_I32, dims);
  }
  std::span<int64_t> I64(const char* key, std::initializer_list<int64_t> dims) const {
    return Make<int64_t>(key, KEEL_I64, dims);
  }

 private:
  template <typename T>
  std::span<T> Make(const char* key, uint32_t dtype, std::initializer_list<int64_t> dims) const {
    size_t size = 1;
    for (const int64_t dim : dims) size *= static_cast<size_t>(dim);
    const keel_dl_tensor* tensor =
        sink_->tensor(sink_->self, key, dtype, static_cast<uint32_t>(dims.size()), dims.begin());
    if (tensor == nullptr) throw Error(std::string(key) + ": the host gave no memory", 8);
    return {reinterpret_cast<T*>(static_cast<char*>(tensor->data) + tensor->byte_offset), size};
  }

  const keel_sink* sink_;
};

// The checkpoint and the host's help. Lives as long as the processor; copies are views.
class Assets {
 public:
  explicit Assets(const keel_assets* handle) : handle_(handle) {}

  // A JSON file of the checkpoint. Only in the constructor.
  std::optional<Config> Json(const char* name) const {
    keel_config* config = handle_->json(handle_->self, name);
    return config == nullptr ? std::nullopt : std::optional<Config>(Config(config));
  }
  // Any file of the checkpoint. Only in the constructor; the text lives as long as the processor.
  std::optional<std::string_view> Read(const char* name) const {
    const void* data = nullptr;
    size_t size = 0;
    const keel_status status = handle_->read(handle_->self, name, &data, &size);
    if (status == 5) return std::nullopt;  // not found
    Check(status, name);
    return std::string_view(static_cast<const char*>(data), size);
  }
  int64_t TokenId(const std::string& token) const {
    const int64_t id = handle_->token_id(handle_->self, token.c_str());
    if (id < 0) throw Error("tokenizer: has no token '" + token + "', which the processor needs");
    return id;
  }
  std::vector<int64_t> Encode(std::string_view text) const {
    std::vector<int64_t> ids;
    keel_sink sink{};
    sink.struct_size = sizeof(sink);
    sink.self = &ids;
    sink.ints = [](void* self, const char*, const int64_t* data, size_t n) -> keel_status {
      static_cast<std::vector<int64_t>*>(self)->assign(data, data + n);
      return 0;
    };
    Check(handle_->encode(handle_->self, {text.data(), text.size()}, &sink), "tokenizing");
    return ids;
  }
  // An RGB8 image [h, w, 3], resized as transformers does with `resample` (KEEL_RESAMPLE_*).
  std::vector<uint8_t> Resize(const keel_dl_tensor& image, uint32_t resample, int64_t height,
                              int64_t width) const {
    std::vector<uint8_t> pixels(static_cast<size_t>(height * width * 3));
    int64_t shape[] = {height, width, 3}, strides[] = {width * 3, 3, 1};
    keel_dl_tensor out{};
    out.data = pixels.data();
    out.device = image.device;
    out.ndim = 3;
    out.dtype = image.dtype;
    out.shape = shape;
    out.strides = strides;
    Check(handle_->resize(handle_->self, &image, resample, &out), "resizing an image");
    return pixels;
  }
  // |STFT|^2 of more than n_fft / 2 samples, n_fft being the even size of `window`, as torch.stft
  // makes it, both ends reflected: [1 + samples / hop, n_fft / 2 + 1].
  std::vector<float> PowerSpectrum(std::span<const float> samples, std::span<const float> window,
                                   int64_t hop) const {
    if (!KEEL_HAS(handle_, keel_assets, power_spectrum))
      throw Error("this host makes no spectra of sounds; update keel");
    const auto n = static_cast<int64_t>(samples.size()),
               n_fft = static_cast<int64_t>(window.size());
    if (hop < 1) throw Error("a spectrum has a hop of " + std::to_string(hop));
    int64_t shape[] = {1 + n / hop, n_fft / 2 + 1}, strides[] = {n_fft / 2 + 1, 1};
    std::vector<float> power(static_cast<size_t>(shape[0] * shape[1]));
    keel_dl_tensor out{};
    out.data = power.data();
    out.device = {1, 0};
    out.ndim = 2;
    out.dtype = {2, 32, 1};
    out.shape = shape;
    out.strides = strides;
    Check(
        handle_->power_spectrum(handle_->self, samples.data(), n, window.data(), n_fft, hop, &out),
        "making the spectrum of a sound");
    return power;
  }

 private:
  static void Check(keel_status status, const char* what) {
    if (status != 0)
      throw Error(std::string(what) + " failed in the host with status " + std::to_string(status),
                  status);
  }
  const keel_assets* handle_;
};

template <typename C>
concept ProcessorType = requires {
  C::kProcessorNames;
};

// The ABI's view of a processor class.
template <typename P>
struct ProcessorClass {
  static constexpr bool kExpands = requires(const P& p) { p.Expand(PromptIds(), MediaCounts()); };
  static constexpr bool kChats = requires(const P& p) { p.Chat(std::string_view()); };
  static constexpr bool kPlaces = requires(const P& p) { p.Positions(PromptIds(), MediaCounts()); };

  static const keel_processor_class* Get() {
    static const keel_processor_class c = Make();
    return &c;
  }

  // "Qwen2VLProcessor", or "A,B"; for the plugin's note.
  static constexpr std::string Names() {
    std::string out;
    for (const char* name : P::kProcessorNames) out += (out.empty() ? "" : ",") + std::string(name);
    return out;
  }

 private:
  static const P& Self(const void* processor) { return *static_cast<const P*>(processor); }
  static keel_status Put(const keel_sink* sink, const char* key, const std::vector<int64_t>& ints) {
    return sink->ints(sink->self, key, ints.data(), ints.size());
  }
  static keel_status Put(const keel_sink* sink, const char* key, const std::string& text) {
    return sink->bytes(sink->self, key, text.data(), text.size());
  }

  static keel_status Create(void*, keel_config* config, const keel_assets* assets,
                            void** processor) {
    return Guard([&] {
      *processor = new P(keel::Config(config), Assets(assets));
      return g_host.config->status(config);
    });
  }

  static keel_status Tokens(const void* processor, const keel_sink* sink) {
    return Guard([&]() -> keel_status {
      for (const MediaTokens& tokens : Self(processor).Tokens()) {
        const std::string name = tokens.modality == KEEL_MODALITY_IMAGE   ? "image_token"
                                 : tokens.modality == KEEL_MODALITY_VIDEO ? "video_token"
                                                                          : "audio_token";
        std::vector<int64_t> ids = tokens.structural;
        ids.insert(ids.begin(), tokens.id);
        keel_status status = Put(sink, name.c_str(), tokens.token);
        if (status == 0) status = Put(sink, (name + "_id").c_str(), std::vector{tokens.id});
        if (status == 0) status = Put(sink, (name + "_ids").c_str(), ids);
        if (status == 0 && tokens.sampling_rate != 0)
          status = Put(sink, "audio_sampling_rate", std::vector{tokens.sampling_rate});
        if (status != 0) return status;
      }
      return 0;
    });
  }

  static keel_status Count(const void* processor, const keel_media* const* sizes, uint32_t n,
                           keel_media_count* const* out) {
    return Guard([&] {
      for (uint32_t i = 0; i < n; ++i) {
        keel_media_count count = Self(processor).Count(*sizes[i]);
        count.struct_size = out[i]->struct_size;  // the host's room: it may be older or newer
        count.modality = sizes[i]->modality;
        std::memcpy(out[i], &count, std::min<size_t>(count.struct_size, sizeof(count)));
      }
      return 0;
    });
  }

  static keel_status Preprocess(const void* processor, const keel_media* const* items, uint32_t n,
                                const keel_sink* sink) {
    return Guard([&] {
      Self(processor).Preprocess(MediaItems(items, n), TensorSink(sink));
      return 0;
    });
  }

  static keel_status Replacement(const void* processor, const keel_media_count* item,
                                 uint32_t index, const keel_sink* sink) {
    return Guard([&] { return Put(sink, "text", Self(processor).Replacement(*item, index)); });
  }

  static keel_status Expand(const void* processor, const int64_t* ids, size_t n,
                            const keel_media_count* const* items, uint32_t count,
                            const keel_sink* sink) requires kExpands {
    return Guard([&] {
      const ExpandedPrompt out =
          Self(processor).Expand(PromptIds(ids, n), MediaCounts(items, count));
      keel_status status = Put(sink, "input_ids", out.input_ids);
      if (status == 0) status = Put(sink, "mm_token_type_ids", out.mm_token_type_ids);
      if (status == 0 && !out.groups.empty()) status = Put(sink, "groups", out.groups);
      return status;
    });
  }

  static keel_status Chat(const void* processor, keel_str conversation,
                          const keel_sink* sink) requires kChats {
    return Guard([&] {
      const std::string_view text(conversation.data, conversation.size);
      return Put(sink, "text", std::string(Self(processor).Chat(text)));
    });
  }

  static keel_status Positions(const void* processor, const int64_t* ids, size_t n,
                               const keel_media_count* const* items, uint32_t count,
                               const keel_sink* sink) requires kPlaces {
    return Guard([&] {
      const PromptPositions out =
          Self(processor).Positions(PromptIds(ids, n), MediaCounts(items, count));
      const int64_t size = static_cast<int64_t>(n);
      const TensorSink tensors(sink);
      const std::span<int64_t> to = out.axes == 1 ? tensors.I64("positions", {size})
                                                  : tensors.I64("positions", {out.axes, size});
      if (to.size() != out.positions.size())
        throw Error("positions has " + std::to_string(out.positions.size()) + " numbers for " +
                    std::to_string(n) + " tokens on " + std::to_string(out.axes) + " axes");
      std::copy(out.positions.begin(), out.positions.end(), to.begin());
      return Put(sink, "delta", std::vector{out.delta});
    });
  }

  static void Destroy(void* processor) { delete static_cast<P*>(processor); }

  static keel_processor_class Make() {
    static const std::vector<const char*> names = [] {
      std::vector<const char*> out(std::begin(P::kProcessorNames), std::end(P::kProcessorNames));
      out.push_back(nullptr);
      return out;
    }();
    keel_processor_class c{};
    c.struct_size = sizeof(c);
    c.names = names.data();
    c.create = Create;
    c.tokens = Tokens;
    c.count = Count;
    c.preprocess = Preprocess;
    c.replacement = Replacement;
    if constexpr (kExpands) c.expand = Expand;
    if constexpr (kChats) c.chat = Chat;
    if constexpr (kPlaces) c.positions = Positions;
    c.destroy = Destroy;
    return c;
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_PROCESSOR_H_
