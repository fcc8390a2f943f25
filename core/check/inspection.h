// What is known of a model while its clauses are checked: each part comes from one clause and is for
// those that rest on it.
#ifndef KEEL_CORE_CHECK_INSPECTION_H_
#define KEEL_CORE_CHECK_INSPECTION_H_

#include <boost/json/value.hpp>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/attention/choose.h"
#include "core/cache/cache_layout.h"
#include "core/checkpoint/checkpoint.h"
#include "core/graph/graph.pb.h"
#include "core/model/found_model.h"
#include "core/model/options.h"
#include "core/model/text_probe.h"
#include "core/ops/graph_attention.h"
#include "core/plugin/catalog.h"
#include "core/plugin/plugin.h"
#include "core/plugin/trust.h"
#include "core/tensor/dtype.h"
#include "core/weights/weights.h"

namespace keel {

struct CheckOptions {
  EngineOptions engine;
  // Degrees that must work. Beside them 2, 4 and 8 are told of.
  std::vector<int32_t> tensor_parallel = {};
};

struct Inspection {
  explicit Inspection(const CheckOptions& options) : options(options) {}

  const CheckOptions& options;
  std::string dir;
  std::future<absl::StatusOr<Text>> loading_text;
  boost::json::value config;  // an object
  std::shared_ptr<const Checkpoint> checkpoint;
  ModelQuery query;
  std::optional<PluginCatalog> plugins;
  std::optional<PluginTrust> trust;
  std::optional<ModelChoice> choice;
  std::shared_ptr<Plugin> plugin;  // outlives what comes of it; null: the graph came without code
  proto::Graph graph;              // with what the host adds to it
  std::set<std::string> config_keys;  // that the plugin asked for
  DType dtype = DType::kF32;
  KeptPlugins kept;                        // with the attention implementations
  std::vector<AttentionChoice> attention;  // by object - 1
  TensorComparison tensors;
  CacheLayout cache;
  Text text;
};

// How the model would keep keys and values.
inline KvFormat KvFormatOf(const Inspection& x) {
  const EngineOptions& engine = x.options.engine;
  return {engine.executor.kv_dtype.value_or(x.dtype), engine.cache.block_size};
}

}  // namespace keel
#endif  // KEEL_CORE_CHECK_INSPECTION_H_
