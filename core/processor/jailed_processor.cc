#include "core/processor/jailed_processor.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/plugin/sealed_file.h"
#include "core/processor/power_spectrum.h"
#include "core/processor/resize.h"
#include "core/remote/jail_tensor.h"

namespace keel {
namespace {

using Function = proto::CallProcessor;

// Pixels go in, come back to be resized and go out as floats, within one frame of the channel each.
constexpr int64_t kMemoryBytes = int64_t{2} << 30;
constexpr size_t kMaxEncodedBytes = 1 << 20;

// ---- what the host answers -------------------------------------------------------------------------------------------

// As Checkpoint::ReadText, but that no link leads out of the checkpoint: who wrote the processor may have laid it.
absl::StatusOr<std::string> ReadAsset(const Checkpoint& checkpoint, const std::string& name) {
  KEEL_ASSIGN_OR_RETURN(std::optional<std::string> text, checkpoint.ReadText(name));
  if (!text.has_value()) return absl::NotFoundError(absl::StrCat("no file ", name));
  KEEL_RETURN_IF_ERROR(Annotate(ResolveInCheckpoint(checkpoint.dir(), name).status(), name));
  return *std::move(text);
}

RowMajorView ViewOf(const proto::JailTensor& tensor) {
  const auto dims = absl::MakeConstSpan(tensor.dims().data(), tensor.dims_size());
  return RowMajorView(tensor.dtype(), dims, const_cast<char*>(tensor.data().data()));
}

// Of zeros.
absl::StatusOr<proto::JailTensor> MakeTensor(uint32_t dtype, absl::Span<const int64_t> dims) {
  KEEL_ASSIGN_OR_RETURN(const int64_t bytes, TensorBytes(dtype, dims));
  proto::JailTensor out;
  out.set_dtype(dtype);
  out.mutable_dims()->Add(dims.begin(), dims.end());
  out.mutable_data()->assign(static_cast<size_t>(bytes), '\0');
  return out;
}

absl::StatusOr<proto::JailTensor> Resize(const proto::ResizeImage& asked) {
  KEEL_ASSIGN_OR_RETURN(proto::JailTensor out,
                        MakeTensor(KEEL_U8, {asked.height(), asked.width(), 3}));
  RowMajorView from = ViewOf(asked.image()), to = ViewOf(out);
  KEEL_RETURN_IF_ERROR(ResizeImage(*from.get(), asked.filter(), *to.get()));
  return out;
}

absl::Span<const float> Floats(const proto::JailTensor& vector) {
  return {reinterpret_cast<const float*>(vector.data().data()),
          vector.data().size() / sizeof(float)};
}

absl::StatusOr<proto::JailTensor> Spectrum(const proto::PowerSpectrum& asked) {
  const absl::Span<const float> samples = Floats(asked.samples()), window = Floats(asked.window());
  const auto n = static_cast<int64_t>(samples.size()), n_fft = static_cast<int64_t>(window.size());
  KEEL_RETURN_IF_ERROR(CheckSpectrumSizes(n, n_fft, asked.hop()));
  KEEL_ASSIGN_OR_RETURN(proto::JailTensor out,
                        MakeTensor(KEEL_F32, {1 + n / asked.hop(), n_fft / 2 + 1}));
  RowMajorView to = ViewOf(out);
  KEEL_RETURN_IF_ERROR(PowerSpectrum(samples, window, asked.hop(), *to.get()));
  return out;
}

absl::StatusOr<std::vector<int64_t>> Encode(const Tokenizer& tokenizer, absl::string_view text) {
  if (text.size() > kMaxEncodedBytes)
    return absl::InvalidArgumentError(absl::StrCat("encode: a text of ", text.size(),
                                                   " bytes, expected at most ", kMaxEncodedBytes));
  KEEL_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                        tokenizer.Encode(text, {.add_special_tokens = false}));
  return std::vector<int64_t>(ids.begin(), ids.end());
}

// ---- messages --------------------------------------------------------------------------------------------------------

proto::JailMedia ToMessage(const keel_media& sizes) {
  proto::JailMedia out;
  out.set_modality(sizes.modality);
  out.set_height(sizes.height);
  out.set_width(sizes.width);
  out.set_length(sizes.length);
  out.set_rate(sizes.rate);
  if (sizes.frame_times != nullptr)
    out.mutable_frame_times()->Add(sizes.frame_times, sizes.frame_times + sizes.length);
  return out;
}

proto::JailMediaCount ToMessage(const keel_media_count& count) {
  proto::JailMediaCount out;
  out.set_modality(count.modality);
  out.set_tokens(count.tokens);
  out.set_features(count.features);
  out.set_patches(count.patches);
  out.set_grid_t(count.grid_t);
  out.set_grid_h(count.grid_h);
  out.set_grid_w(count.grid_w);
  out.set_seconds_per_grid(count.seconds_per_grid);
  out.set_runs(count.runs);
  if (count.media != nullptr) *out.mutable_media() = ToMessage(*count.media);
  return out;
}

void FillCount(const proto::JailMediaCount& message, keel_media_count& out) {
  out.tokens = message.tokens();
  out.features = message.features();
  out.patches = message.patches();
  out.grid_t = message.grid_t();
  out.grid_h = message.grid_h();
  out.grid_w = message.grid_w();
  out.seconds_per_grid = message.seconds_per_grid();
  out.runs = message.runs();
}

// Pixels or samples.
absl::StatusOr<proto::JailTensor> DataOf(const MediaItem& item) {
  proto::JailTensor out;
  if (item.modality == KEEL_MODALITY_AUDIO) {
    out.set_dtype(KEEL_F32);
    out.add_dims(item.length);
  } else {
    out.set_dtype(KEEL_U8);
    if (item.modality == KEEL_MODALITY_VIDEO) out.add_dims(item.length);
    for (const int64_t dim : {item.height, item.width, int64_t{3}}) out.add_dims(dim);
  }
  const auto dims = absl::MakeConstSpan(out.dims().data(), out.dims_size());
  KEEL_RETURN_IF_ERROR(TensorBytes(out.dtype(), dims).status());  // before it is copied
  if (item.modality == KEEL_MODALITY_AUDIO) {
    out.set_data(item.samples.data(), item.samples.size() * sizeof(float));
  } else {
    out.set_data(item.rgb.data(), item.rgb.size());
  }
  return out;
}

absl::StatusOr<HostTensor> FromMessage(const proto::JailTensor& message) {
  const std::optional<DType> dtype = DTypeFromImage(message.dtype());
  if (!dtype.has_value())
    return absl::InternalError(absl::StrCat("gives a tensor of type ", message.dtype(),
                                            ", which this host does not know"));
  return HostTensor{*dtype,
                    {message.dims().begin(), message.dims().end()},
                    {message.data().begin(), message.data().end()}};
}

}  // namespace

absl::StatusOr<std::unique_ptr<JailedProcessor>> JailedProcessor::Create(
    JailedImage image, const std::string& name, std::shared_ptr<const Checkpoint> checkpoint,
    std::shared_ptr<const Tokenizer> tokenizer) {
  proto::OpenProcessor open;
  open.set_name(name);
  KEEL_ASSIGN_OR_RETURN(*open.mutable_config_json(), ReadAsset(*checkpoint, "config.json"));
  HostAnswers host;
  host.token_id = [tokenizer](absl::string_view token) -> absl::StatusOr<int64_t> {
    return tokenizer->TokenToId(token).value_or(-1);
  };
  host.encode = [tokenizer](absl::string_view text) { return Encode(*tokenizer, text); };
  host.resize = Resize;
  host.power_spectrum = Spectrum;
  host.read = [checkpoint](const std::string& file) { return ReadAsset(*checkpoint, file); };
  ProcessorPool::Options options;
  options.jail.limits.memory_bytes = kMemoryBytes;
  KEEL_ASSIGN_OR_RETURN(
      std::unique_ptr<ProcessorPool> pool,
      ProcessorPool::Create(std::move(image), std::move(open), std::move(host), options));
  return std::unique_ptr<JailedProcessor>(new JailedProcessor(std::move(pool)));
}

absl::StatusOr<Delivered> JailedProcessor::Read(proto::JailReply reply) const {
  Delivered out;
  for (auto& [key, text] : *reply.mutable_delivered()->mutable_texts())
    out.texts[key] = std::move(text);
  for (const auto& [key, ints] : reply.delivered().ints())
    out.ints[key].assign(ints.values().begin(), ints.values().end());
  for (const auto& [key, tensor] : reply.delivered().tensors()) {
    absl::StatusOr<HostTensor> copy = FromMessage(tensor);
    if (!copy.ok()) return Annotate(copy.status(), absl::StrCat("plugin ", plugin_name()));
    out.tensors[key] = *std::move(copy);
  }
  return out;
}

absl::StatusOr<Delivered> JailedProcessor::Tokens() const {
  proto::CallProcessor call;
  call.set_function(Function::TOKENS);
  KEEL_ASSIGN_OR_RETURN(proto::JailReply reply, pool_->Call(std::move(call)));
  return Read(std::move(reply));
}

absl::Status JailedProcessor::Count(Items items, const std::string& options,
                                    absl::Span<keel_media_count> counts, Keys& asked) const {
  proto::CallProcessor call;
  call.set_function(Function::COUNT);
  for (const MediaItem* item : items) {
    *call.add_media() = ToMessage(SizesOf(*item));
    call.mutable_media()->rbegin()->set_options_json(options);
  }
  KEEL_ASSIGN_OR_RETURN(const proto::JailReply reply, pool_->Call(std::move(call)));
  for (int i = 0; i < reply.counts_size(); ++i)
    FillCount(reply.counts(i), counts[static_cast<size_t>(i)]);
  asked.insert(reply.asked().begin(), reply.asked().end());
  return absl::OkStatus();
}

absl::StatusOr<Delivered> JailedProcessor::Preprocess(const MediaItem& item,
                                                      const std::string& options,
                                                      Keys& asked) const {
  proto::CallProcessor call;
  call.set_function(Function::PREPROCESS);
  proto::JailMedia& media = *call.add_media();
  media = ToMessage(SizesOf(item));
  media.set_options_json(options);
  KEEL_ASSIGN_OR_RETURN(*media.mutable_data(), DataOf(item));
  KEEL_ASSIGN_OR_RETURN(proto::JailReply reply, pool_->Call(std::move(call)));
  asked.insert(reply.asked().begin(), reply.asked().end());
  return Read(std::move(reply));
}

absl::StatusOr<Delivered> JailedProcessor::Replacement(const keel_media_count& item,
                                                       uint32_t index) const {
  proto::CallProcessor call;
  call.set_function(Function::REPLACEMENT);
  *call.add_counts() = ToMessage(item);
  call.set_index(index);
  KEEL_ASSIGN_OR_RETURN(proto::JailReply reply, pool_->Call(std::move(call)));
  return Read(std::move(reply));
}

absl::StatusOr<std::optional<Delivered>> JailedProcessor::OfPrompt(
    proto::CallProcessor::Function function, Ids ids, Counts counts) const {
  proto::CallProcessor call;
  call.set_function(function);
  call.mutable_ids()->Add(ids.begin(), ids.end());
  for (const keel_media_count& count : counts) *call.add_counts() = ToMessage(count);
  KEEL_ASSIGN_OR_RETURN(proto::JailReply reply, pool_->Call(std::move(call)));
  if (reply.lacks_function()) return std::nullopt;
  KEEL_ASSIGN_OR_RETURN(Delivered out, Read(std::move(reply)));
  return out;
}

absl::StatusOr<std::optional<Delivered>> JailedProcessor::Expand(Ids ids, Counts counts) const {
  return OfPrompt(Function::EXPAND, ids, counts);
}

absl::StatusOr<std::optional<Delivered>> JailedProcessor::Positions(Ids ids, Counts counts) const {
  return OfPrompt(Function::POSITIONS, ids, counts);
}

}  // namespace keel
