// A tensor in plain memory: what a processor gives and an encoder takes. No tensor library is needed to hold one.
#ifndef KEEL_CORE_TENSOR_HOST_TENSOR_H_
#define KEEL_CORE_TENSOR_HOST_TENSOR_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/tensor/dtype.h"

namespace keel {

struct HostTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> dims;
  std::vector<uint8_t> bytes;  // as many as type and dimensions say
};

using NamedTensors = std::map<std::string, HostTensor>;

}  // namespace keel

#endif  // KEEL_CORE_TENSOR_HOST_TENSOR_H_
