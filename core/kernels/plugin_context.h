// What a plugin's kernel runs with: the host's threads, and memory to work in for one call.
#ifndef KEEL_CORE_KERNELS_PLUGIN_CONTEXT_H_
#define KEEL_CORE_KERNELS_PLUGIN_CONTEXT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sdk/abi/plugin.h"

namespace keel {

// DLPack's number of the CPU.
inline constexpr int32_t kCpuDevice = 1;

class PluginContext {
 public:
  PluginContext();
  PluginContext(const PluginContext&) = delete;
  PluginContext& operator=(const PluginContext&) = delete;

  // Gives the kernel a workspace of so many bytes, contents undefined. kResourceExhausted if they are
  // more than a kernel may ask for. Throws c10::Error.
  absl::Status Reserve(uint64_t bytes);
  void SetSequences(const keel_sequences* sequences) { context_.sequences = sequences; }

  const keel_kernel_context* get() const { return &context_; }

 private:
  keel_kernel_context context_ = {};
  at::Tensor workspace_;
};

// Memory that a plugin is given to write into, 64-byte aligned; undefined for 0 bytes. Likewise.
absl::StatusOr<at::Tensor> PluginMemory(uint64_t bytes);

}  // namespace keel

#endif  // KEEL_CORE_KERNELS_PLUGIN_CONTEXT_H_
