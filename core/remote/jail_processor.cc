#include "core/remote/jail_processor.h"

#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/remote/jail_tensor.h"

namespace keel {
namespace {

using Function = proto::CallProcessor;

keel_status Code(const absl::Status& status) { return static_cast<keel_status>(status.code()); }

// A sink that fills a message.
class Collector {
 public:
  explicit Collector(proto::Delivered* out)
      : out_(out), sink_{sizeof(keel_sink), 0, this, Bytes, Ints, Tensor} {}
  const keel_sink* sink() const { return &sink_; }

 private:
  static Collector& Self(void* self) { return *static_cast<Collector*>(self); }
  static keel_status Bytes(void* self, const char* key, const void* data, size_t n) {
    (*Self(self).out_->mutable_texts())[key].assign(static_cast<const char*>(data), n);
    return 0;
  }
  static keel_status Ints(void* self, const char* key, const int64_t* data, size_t n) {
    (*Self(self).out_->mutable_ints())[key].mutable_values()->Assign(data, data + n);
    return 0;
  }
  static keel_dl_tensor* Tensor(void* self, const char* key, uint32_t dtype, uint32_t ndim,
                                const int64_t* dims) {
    const absl::StatusOr<int64_t> bytes = TensorBytes(dtype, {dims, ndim});
    if (!bytes.ok()) return nullptr;
    proto::JailTensor& tensor = (*Self(self).out_->mutable_tensors())[key];
    tensor.set_dtype(dtype);
    tensor.mutable_dims()->Assign(dims, dims + ndim);
    tensor.mutable_data()->assign(static_cast<size_t>(*bytes), '\0');
    return Self(self)
        .views_.emplace_back(dtype, absl::MakeConstSpan(dims, ndim), tensor.mutable_data()->data())
        .get();
  }

  proto::Delivered* const out_;
  const keel_sink sink_;
  std::deque<RowMajorView> views_;
};

template <typename T>
std::vector<T*> PointersTo(std::vector<T>& items) {
  std::vector<T*> out;
  for (T& item : items) out.push_back(&item);
  return out;
}

// A JSON text under the getters of keel_config_api.
absl::StatusOr<boost::json::value> ParseObject(const std::string& text, const std::string& where) {
  KEEL_ASSIGN_OR_RETURN(boost::json::value json, ParseJson(text, where));
  if (json.is_object()) return json;
  return absl::InvalidArgumentError(absl::StrCat(where, ": expected an object"));
}

void AddCount(const keel_media_count& count, proto::JailReply& reply) {
  proto::JailMediaCount& c = *reply.add_counts();
  c.set_modality(count.modality);
  c.set_tokens(count.tokens);
  c.set_features(count.features);
  c.set_patches(count.patches);
  c.set_grid_t(count.grid_t);
  c.set_grid_h(count.grid_h);
  c.set_grid_w(count.grid_w);
  c.set_seconds_per_grid(count.seconds_per_grid);
  c.set_runs(count.runs);
}

// Sizes and times, without data and options; points into `m`.
absl::StatusOr<keel_media> ReadMedia(const proto::JailMedia& m) {
  if (m.frame_times_size() != 0 && m.frame_times_size() != m.length()) {
    return absl::InvalidArgumentError(absl::StrCat("media of ", m.length(), " frames have ",
                                                   m.frame_times_size(), " frame_times"));
  }
  return keel_media{
      sizeof(keel_media), m.modality(), nullptr,
      m.height(),         m.width(),    m.length(),
      m.rate(),           nullptr,      m.frame_times().empty() ? nullptr : m.frame_times().data()};
}

}  // namespace

JailProcessor::JailProcessor(std::shared_ptr<Plugin> plugin, proto::OpenProcessor request,
                             AskHost ask_host)
    : plugin_(std::move(plugin)), request_(std::move(request)), ask_host_(std::move(ask_host)) {
  assets_ = {sizeof(keel_assets), 0, this, Read, Json, TokenId, Encode, Resize, Spectrum};
}

absl::StatusOr<std::unique_ptr<JailProcessor>> JailProcessor::Create(std::shared_ptr<Plugin> plugin,
                                                                     proto::OpenProcessor request,
                                                                     AskHost ask_host) {
  std::unique_ptr<JailProcessor> out(
      new JailProcessor(std::move(plugin), std::move(request), std::move(ask_host)));
  KEEL_RETURN_IF_ERROR(out->Open());
  return out;
}

absl::Status JailProcessor::Open() {
  class_ = plugin_->FindProcessor(request_.name());
  if (class_ == nullptr)
    return absl::NotFoundError(absl::StrCat("has no processor '", request_.name(), "'"));
  KEEL_ASSIGN_OR_RETURN(boost::json::value json,
                        ParseObject(request_.config_json(), "config.json"));
  documents_.emplace_back(std::move(json), "config.json");
  const absl::Status created = plugin_->Call(absl::StrCat(request_.name(), ".create"), [&] {
    return class_->create(plugin_->self(), documents_.front().view.root(), &assets_, &processor_);
  });
  KEEL_RETURN_IF_ERROR(unread_);
  for (const Document& document : documents_) KEEL_RETURN_IF_ERROR(document.view.status());
  return created;
}

bool JailProcessor::Has(proto::CallProcessor::Function function) const {
  switch (function) {
    case Function::EXPAND:
      return KEEL_HAS(class_, keel_processor_class, expand);
    case Function::CHAT:
      return KEEL_HAS(class_, keel_processor_class, chat);
    case Function::POSITIONS:
      return KEEL_HAS(class_, keel_processor_class, positions);
    default:
      return true;
  }
}

absl::Status JailProcessor::Call(const proto::CallProcessor& call, proto::JailReply& reply) {
  if (!Has(call.function())) {
    reply.set_lacks_function(true);
    return absl::OkStatus();
  }
  const std::string name = absl::AsciiStrToLower(Function::Function_Name(call.function()));
  absl::Status mine;
  const absl::Status said = plugin_->Call(absl::StrCat(request_.name(), ".", name), [&] {
    mine = CallFunction(call, reply);
    return Code(mine);
  });
  return mine.message().empty() ? said : mine;  // the plugin's own have no text but in `said`
}

absl::Status JailProcessor::CallFunction(const proto::CallProcessor& call,
                                         proto::JailReply& reply) {
  Arguments arguments;
  KEEL_RETURN_IF_ERROR(arguments.Read(call));
  Collector out(reply.mutable_delivered());
  const keel_status code = Dispatch(call, arguments, out.sink());
  if (call.function() == Function::COUNT) {
    for (const keel_media_count& count : arguments.counts) AddCount(count, reply);
  }
  for (const Document& document : arguments.options) {
    KEEL_RETURN_IF_ERROR(document.view.status());
    for (const std::string& key : document.view.asked()) reply.add_asked(key);
  }
  return absl::Status(static_cast<absl::StatusCode>(code), "");
}

absl::Status JailProcessor::Arguments::Read(const proto::CallProcessor& call) {
  for (const proto::JailMedia& m : call.media()) {
    KEEL_ASSIGN_OR_RETURN(keel_media item, ReadMedia(m));
    if (m.has_data()) {
      KEEL_RETURN_IF_ERROR(CheckTensor(m.data()));
      const auto dims = absl::MakeConstSpan(m.data().dims().data(), m.data().dims_size());
      char* data = const_cast<char*>(m.data().data().data());  // which the plugin may not change
      item.data = tensors.emplace_back(m.data().dtype(), dims, data).get();
    }
    if (!m.options_json().empty()) {
      constexpr char kWhere[] = "mm_processor_kwargs";
      KEEL_ASSIGN_OR_RETURN(boost::json::value json, ParseObject(m.options_json(), kWhere));
      item.options = options.emplace_back(std::move(json), kWhere).view.root();
    }
    media.push_back(item);
  }
  for (const proto::JailMediaCount& c : call.counts()) {
    counts.push_back({sizeof(keel_media_count), c.modality(), c.tokens(), c.features(), c.patches(),
                      c.grid_t(), c.grid_h(), c.grid_w(), c.seconds_per_grid(), c.runs(), nullptr});
    if (!c.has_media()) continue;
    KEEL_ASSIGN_OR_RETURN(counted.emplace_back(), ReadMedia(c.media()));
    counts.back().media = &counted.back();
  }
  if (call.function() != Function::COUNT) return absl::OkStatus();
  counts.assign(media.size(), {});  // to be filled
  for (size_t i = 0; i < media.size(); ++i) {
    counts[i].struct_size = sizeof(keel_media_count);
    counts[i].modality = media[i].modality;
  }
  return absl::OkStatus();
}

keel_status JailProcessor::Dispatch(const proto::CallProcessor& call, Arguments& arguments,
                                    const keel_sink* sink) {
  std::vector<keel_media*> media = PointersTo(arguments.media);
  std::vector<keel_media_count*> counts = PointersTo(arguments.counts);
  const auto num_media = static_cast<uint32_t>(media.size());
  const auto num_counts = static_cast<uint32_t>(counts.size());
  const auto num_ids = static_cast<size_t>(call.ids_size());
  const int64_t* ids = call.ids().data();
  switch (call.function()) {
    case Function::TOKENS:
      return class_->tokens(processor_, sink);
    case Function::COUNT:
      return class_->count(processor_, media.data(), num_media, counts.data());
    case Function::PREPROCESS:
      return class_->preprocess(processor_, media.data(), num_media, sink);
    case Function::REPLACEMENT:
      if (num_counts != 1) return Code(absl::InvalidArgumentError(""));
      return class_->replacement(processor_, counts[0], call.index(), sink);
    case Function::EXPAND:
      return class_->expand(processor_, ids, num_ids, counts.data(), num_counts, sink);
    case Function::CHAT:
      return class_->chat(processor_, {call.conversation().data(), call.conversation().size()},
                          sink);
    case Function::POSITIONS:
      return class_->positions(processor_, ids, num_ids, counts.data(), num_counts, sink);
    default:
      return Code(absl::InvalidArgumentError(""));
  }
}

// ---- keel_assets -------------------------------------------------------------------------------

absl::StatusOr<const std::string*> JailProcessor::File(const char* name) {
  const auto known = files_.find(name);
  if (known != files_.end()) return &known->second;
  proto::HostQuestion question;
  question.set_read(name);
  KEEL_ASSIGN_OR_RETURN(proto::HostAnswer answer, ask_host_(std::move(question)));
  return &(files_[name] = std::move(*answer.mutable_file()));
}

keel_status JailProcessor::Read(void* self, const char* name, const void** data, size_t* n) {
  const absl::StatusOr<const std::string*> file = static_cast<JailProcessor*>(self)->File(name);
  if (!file.ok()) return Code(file.status());
  *data = (*file)->data();
  *n = (*file)->size();
  return 0;
}

keel_config* JailProcessor::Json(void* self, const char* name) {
  auto& me = *static_cast<JailProcessor*>(self);
  const absl::StatusOr<const std::string*> file = me.File(name);
  if (absl::IsNotFound(file.status())) return nullptr;
  absl::StatusOr<boost::json::value> json =
      file.ok() ? ParseObject(**file, name) : absl::StatusOr<boost::json::value>(file.status());
  if (json.ok()) return me.documents_.emplace_back(*std::move(json), name).view.root();
  me.unread_.Update(json.status());
  return nullptr;
}

int64_t JailProcessor::TokenId(void* self, const char* token) {
  proto::HostQuestion question;
  question.set_token_id(token);
  const auto answer = static_cast<JailProcessor*>(self)->ask_host_(std::move(question));
  return answer.ok() && answer->ids_size() == 1 ? answer->ids(0) : -1;
}

keel_status JailProcessor::Encode(void* self, keel_str text, const keel_sink* sink) {
  proto::HostQuestion question;
  question.set_encode(text.data, text.size);
  const auto answer = static_cast<JailProcessor*>(self)->ask_host_(std::move(question));
  if (!answer.ok()) return Code(answer.status());
  return sink->ints(sink->self, "ids", answer->ids().data(),
                    static_cast<size_t>(answer->ids_size()));
}

keel_status JailProcessor::Resize(void* self, const keel_dl_tensor* image, uint32_t resample,
                                  keel_dl_tensor* out) {
  absl::StatusOr<proto::JailTensor> message = ToMessage(*image);
  if (!message.ok()) return Code(message.status());
  proto::HostQuestion question;
  *question.mutable_resize()->mutable_image() = *std::move(message);
  question.mutable_resize()->set_filter(resample);
  question.mutable_resize()->set_height(out->shape[0]);
  question.mutable_resize()->set_width(out->shape[1]);
  const auto answer = static_cast<JailProcessor*>(self)->ask_host_(std::move(question));
  if (!answer.ok()) return Code(answer.status());
  const std::string& pixels = answer->image().data();
  const int64_t row = out->shape[1] * 3;
  if (static_cast<int64_t>(pixels.size()) != out->shape[0] * row)
    return static_cast<keel_status>(absl::StatusCode::kInternal);
  auto* to = static_cast<char*>(out->data) + out->byte_offset;
  for (int64_t y = 0; y < out->shape[0]; ++y)
    std::memcpy(to + y * out->strides[0], pixels.data() + y * row, static_cast<size_t>(row));
  return 0;
}

keel_status JailProcessor::Spectrum(void* self, const float* samples, int64_t n,
                                    const float* window, int64_t n_fft, int64_t hop,
                                    keel_dl_tensor* out) {
  if (n < 1 || n_fft < 2 || hop < 1 || out->ndim != 2) return Code(absl::InvalidArgumentError(""));
  absl::StatusOr<proto::JailTensor> sound = ToMessage(samples, n), shape = ToMessage(window, n_fft);
  if (!sound.ok()) return Code(sound.status());
  if (!shape.ok()) return Code(shape.status());
  proto::HostQuestion question;
  proto::PowerSpectrum& asked = *question.mutable_power_spectrum();
  *asked.mutable_samples() = *std::move(sound);
  *asked.mutable_window() = *std::move(shape);
  asked.set_hop(hop);
  const auto answer = static_cast<JailProcessor*>(self)->ask_host_(std::move(question));
  if (!answer.ok()) return Code(answer.status());
  const std::string& values = answer->spectrum().data();
  const int64_t frames = 1 + n / hop, bins = n_fft / 2 + 1;
  if (out->shape[0] != frames || out->shape[1] != bins || out->strides[1] != 1)
    return Code(absl::InvalidArgumentError(""));
  const int64_t row = bins * static_cast<int64_t>(sizeof(float));
  if (static_cast<int64_t>(values.size()) != frames * row) return Code(absl::InternalError(""));
  auto* to = static_cast<char*>(out->data) + out->byte_offset;
  for (int64_t i = 0; i < frames; ++i) {
    std::memcpy(to + i * out->strides[0] * static_cast<int64_t>(sizeof(float)),
                values.data() + i * row, static_cast<size_t>(row));
  }
  return 0;
}

}  // namespace keel
