// The kernel classes of the plugin that a graph is of: what its op `call` may name.
#ifndef KEEL_CORE_GRAPH_PLUGIN_KERNELS_H_
#define KEEL_CORE_GRAPH_PLUGIN_KERNELS_H_

#include <boost/json/value.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/plugin_call.h"
#include "core/config/config_view.h"
#include "core/graph/graph.pb.h"
#include "core/graph/types.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Borrowed from a plugin that stays loaded.
struct PluginKernels {
  std::vector<const keel_kernel_class*> classes = {};
  void* plugin = nullptr;  // its `self`
  PluginCall call = {};    // may be empty

  // kNotFound lists those there are.
  absl::StatusOr<const keel_kernel_class*> Find(absl::string_view name) const;
};

// A declared kernel as the class's functions are told of it.
class KernelUse {
 public:
  // `dtype`: what MODEL stands for. Errors: attributes that are no JSON object.
  static absl::StatusOr<std::unique_ptr<KernelUse>> Create(const proto::Kernel& kernel,
                                                           uint32_t dtype);

  const keel_kernel_use* get() const { return &use_; }
  // What the class could not read of the attributes.
  const absl::Status& status() const { return document_.status(); }

 private:
  KernelUse(boost::json::value attrs, const std::string& where);

  const boost::json::value attrs_;
  ConfigDocument document_;
  keel_kernel_use use_ = {};
};

// The types of a call's results, by the class's infer. Errors say what it gave.
absl::StatusOr<std::vector<TensorType>> InferKernelTypes(const PluginKernels& kernels,
                                                         const proto::Kernel& kernel,
                                                         absl::Span<const TensorType> inputs,
                                                         uint32_t num_outputs);

}  // namespace keel
#endif  // KEEL_CORE_GRAPH_PLUGIN_KERNELS_H_
