// A keel_sink that keeps what a processor delivers, within limits.
#ifndef KEEL_CORE_PROCESSOR_COLLECTOR_H_
#define KEEL_CORE_PROCESSOR_COLLECTOR_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor/host_tensor.h"
#include "sdk/abi/plugin.h"

namespace keel {

// What a call of a processor gave, by key.
struct Delivered {
  std::map<std::string, std::string> texts;
  std::map<std::string, std::vector<int64_t>> ints;
  NamedTensors tensors;
};

// One call's. A key that comes again replaces what it had.
class Collector {
 public:
  // `max_bytes` of all that is delivered; more is refused with RESOURCE_EXHAUSTED.
  explicit Collector(int64_t max_bytes = int64_t{4} << 30);
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  const keel_sink* sink() const { return &sink_; }

  // Once, when the call has returned.
  Delivered Take() { return std::move(out_); }

 private:
  struct View {
    std::vector<int64_t> shape, strides;
    keel_dl_tensor tensor = {};
  };

  static keel_status Bytes(void* self, const char* key, const void* data, size_t n);
  static keel_status Ints(void* self, const char* key, const int64_t* data, size_t n);
  static keel_dl_tensor* Tensor(void* self, const char* key, uint32_t dtype, uint32_t ndim,
                                const int64_t* dims);
  bool Reserve(uint64_t bytes);

  keel_sink sink_;
  Delivered out_;
  uint64_t left_;  // bytes
  std::deque<View> views_;
};

}  // namespace keel

#endif  // KEEL_CORE_PROCESSOR_COLLECTOR_H_
