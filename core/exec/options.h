// How a model is run: what an executor is made with.
#ifndef KEEL_CORE_EXEC_OPTIONS_H_
#define KEEL_CORE_EXEC_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/base/plugin_call.h"
#include "core/graph/plugin_kernels.h"
#include "core/tensor/dtype.h"
#include "core/weights/quantization.h"
#include "sdk/abi/plugin.h"

namespace keel {

// How a step is run: the recorded graph as a list of kernel calls, the graph node by node, op by op through the plugin,
// or the last two compared at every op.
enum class ExecMode { kCompiled, kGraph, kEager, kShadow };

// "compiled", "graph", "eager", "shadow".
inline constexpr const char* kExecModeNames[] = {"compiled", "graph", "eager", "shadow"};
inline const char* ExecModeName(ExecMode mode) { return kExecModeNames[static_cast<int>(mode)]; }
inline std::optional<ExecMode> ExecModeFromName(absl::string_view name) {
  for (const ExecMode mode :
       {ExecMode::kCompiled, ExecMode::kGraph, ExecMode::kEager, ExecMode::kShadow}) {
    if (name == ExecModeName(mode)) return mode;
  }
  return std::nullopt;
}
// Whether the plugin's forward is called in every step.
inline bool RunsPlugin(ExecMode mode) {
  return mode == ExecMode::kEager || mode == ExecMode::kShadow;
}

// A plugin's live model, needed by kEager and kShadow. Borrowed.
struct LiveModel {
  const keel_model_class* model_class = nullptr;
  const void* model = nullptr;
  PluginCall call = {};  // how its functions are called; may be empty
};

struct ExecutorOptions {
  // kCompiled is kGraph with `deterministic`: compiled steps keep no bits from step to step.
  ExecMode mode = ExecMode::kCompiled;
  std::vector<std::string> disabled_passes = {};  // of kCompiled; names of core/compile/pass.h
  bool measure_steps = false;                     // Executor::step_times is wanted
  bool print_graph = false;                       // LoadReport::graphs is wanted
  DType dtype = DType::kF32;                      // type of weights and activations
  std::optional<DType> kv_dtype = {};             // --kv-cache-dtype; unset: dtype
  // Which implementation, as core/attention/choose.h says; "": not given.
  std::string attention = {};         // --attention-implementation
  std::string config_attention = {};  // _attn_implementation of config.json
  int32_t block_size = 16;            // tokens a cache block holds
  int32_t tensor_parallel = 1;        // ranks that share each layer, run as threads
  int32_t pipeline_parallel = 1;      // stages that the layers are divided into, likewise
  // Whole experts to each of the tensor-parallel ranks (base_model_ep_plan), not a part of each.
  bool expert_parallel = false;
  // Steps give vectors, of hidden states through the graph's `pool` if it has one, and not logits: the
  // head that would make those is not loaded.
  bool pooling = false;
  LiveModel live = {};         // with kEager, kShadow
  PluginKernels kernels = {};  // of the model's plugin
  // The logits of a sequence's token have the same bits whatever else is in its step and however its
  // prompt was cut into steps; slower. One CPU type: others round elsewhere.
  bool deterministic = false;
  // Linears are packed for the kernels, unless the run is deterministic: its kernels read them as they are.
  bool pack = true;
  Quantization quantization = Quantization::kNone;  // --quantize; what is not packed has none
  std::string weight_cache = {};                    // the directory of packed weights; "": none
  // Both may be null.
  std::function<void(int64_t done, int64_t total)> on_load_bytes = {}, on_pack_bytes = {};
};

}  // namespace keel
#endif  // KEEL_CORE_EXEC_OPTIONS_H_
