#include "core/processor/collector.h"

#include <optional>

#include "absl/status/status.h"

namespace keel {
namespace {

constexpr auto kTooMuch = static_cast<keel_status>(absl::StatusCode::kResourceExhausted);
constexpr auto kInvalid = static_cast<keel_status>(absl::StatusCode::kInvalidArgument);

Collector& Self(void* self) { return *static_cast<Collector*>(self); }

}  // namespace

Collector::Collector(int64_t max_bytes)
    : sink_{sizeof(keel_sink), 0, this, Bytes, Ints, Tensor},
      left_(static_cast<uint64_t>(max_bytes)) {}

bool Collector::Reserve(uint64_t bytes) {
  if (bytes > left_) return false;
  left_ -= bytes;
  return true;
}

keel_status Collector::Bytes(void* self, const char* key, const void* data, size_t n) {
  if (key == nullptr || (data == nullptr && n > 0)) return kInvalid;
  if (!Self(self).Reserve(n)) return kTooMuch;
  Self(self).out_.texts[key].assign(static_cast<const char*>(data), n);
  return 0;
}

keel_status Collector::Ints(void* self, const char* key, const int64_t* data, size_t n) {
  if (key == nullptr || (data == nullptr && n > 0)) return kInvalid;
  if (n > (uint64_t{1} << 40) || !Self(self).Reserve(n * sizeof(int64_t))) return kTooMuch;
  Self(self).out_.ints[key].assign(data, data + n);
  return 0;
}

keel_dl_tensor* Collector::Tensor(void* self, const char* key, uint32_t dtype, uint32_t ndim,
                                  const int64_t* dims) {
  const std::optional<DType> type = DTypeFromImage(dtype);
  if (key == nullptr || !type.has_value() || BytesOf(*type) == 0 || ndim > KEEL_MAX_DIMS)
    return nullptr;
  int64_t elements = 1;
  for (uint32_t i = 0; i < ndim; ++i) {
    if (dims[i] < 0 || __builtin_mul_overflow(elements, dims[i], &elements)) return nullptr;
  }
  const std::optional<int64_t> bytes = BytesOfElements(*type, elements);
  if (!bytes.has_value() || !Self(self).Reserve(static_cast<uint64_t>(*bytes))) return nullptr;
  HostTensor& tensor = Self(self).out_.tensors[key];
  tensor = {*type, {dims, dims + ndim}, std::vector<uint8_t>(static_cast<size_t>(*bytes))};
  View& view = Self(self).views_.emplace_back();
  view.shape = tensor.dims;
  view.strides.assign(ndim, 1);
  for (uint32_t i = ndim; i-- > 1;) view.strides[i - 1] = view.strides[i] * view.shape[i];
  view.tensor.data = tensor.bytes.data();
  view.tensor.device = {1, 0};
  view.tensor.ndim = static_cast<int32_t>(ndim);
  view.tensor.dtype = {static_cast<uint8_t>(dtype), static_cast<uint8_t>(dtype >> 8), 1};
  view.tensor.shape = view.shape.data();
  view.tensor.strides = view.strides.data();
  return &view.tensor;
}

}  // namespace keel
