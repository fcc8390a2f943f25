#include "core/kernels/plugin_context.h"

#include <ATen/ops/empty.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/kernels/float_mode.h"
#include "core/kernels/parallel.h"

namespace keel {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 34;

void PoolParallelFor(void* /*pool*/, int64_t n, int64_t grain,
                     void (*fn)(void* arg, int64_t begin, int64_t end), void* arg) {
  if (n < 1) return;
  ParallelFor(n, grain < 1 ? 1 : grain, [&](int64_t begin, int64_t end) {
    const DefaultFloatMode mode;  // the plugin's code was compiled for it, and may leave another
    fn(arg, begin, end);
  });
}

}  // namespace

absl::StatusOr<at::Tensor> PluginMemory(uint64_t bytes) {
  if (bytes == 0) return at::Tensor();
  if (bytes > kMaxBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("asks for ", bytes, " bytes, expected at most ", kMaxBytes));
  }
  return at::empty({static_cast<int64_t>(bytes)}, at::kByte);  // ATen aligns to 64 bytes
}

PluginContext::PluginContext() {
  context_.struct_size = sizeof(context_);
  context_.device_type = kCpuDevice;
  context_.parallel_for = PoolParallelFor;
}

absl::Status PluginContext::Reserve(uint64_t bytes) {
  absl::StatusOr<at::Tensor> memory = PluginMemory(bytes);
  if (!memory.ok()) return memory.status();
  workspace_ = *std::move(memory);
  context_.workspace = bytes == 0 ? nullptr : workspace_.data_ptr();
  context_.workspace_bytes = bytes;
  return absl::OkStatus();
}

}  // namespace keel
