#include "core/engine/engine_info.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"

namespace keel {
namespace {

// Which implementation runs the model.
MetricsConfig::Labels Implementation(const EngineOptions& options, const Model& model) {
  return {{"architecture", model.architecture},
          {"model_impl", model.impl},
          {"model_impl_source", model.impl_source},
          {"model_impl_reason", model.impl_reason},
          {"plugin", model.plugin},
          {"attention_implementation", model.attention},
          {"attention_reason", model.attention_reason},
          {"exec", ExecModeName(options.executor.mode)},
          {"dtype", std::string(TorchName(model.dtype))},
          {"kv_cache_dtype", std::string(TorchName(model.kv_dtype))},
          {"quantization", QuantizationName(model.quantization)}};
}

boost::json::object PoolingJson(const Pooling& pooling) {
  return {{"type", PoolingTypeName(pooling.type)},
          {"activation", VectorActivationName(pooling.activation)},
          {"size", pooling.size},
          {"reads_pairs", pooling.task == PoolingTask::kClassify},
          {"labels", boost::json::array(pooling.labels.begin(), pooling.labels.end())}};
}

int64_t NumBlocks(const Model& model) {
  return model.blocks.groups.empty() ? 0 : model.blocks.groups[0].num_blocks;
}

}  // namespace

std::string NameOf(const ModelOptions& options, const Model& model) {
  if (!options.served_name.empty()) return options.served_name;
  // A directory that the user named; what an id names lies elsewhere.
  if (model.dir != JoinPath(options.base_dir, options.name)) return options.name;
  const std::filesystem::path dir = std::filesystem::path(model.dir).lexically_normal();
  const std::filesystem::path name =
      dir.has_filename() ? dir.filename() : dir.parent_path().filename();
  return name.empty() ? options.name : name.string();
}

std::string InfoJson(const EngineOptions& options, const Model& model) {
  boost::json::object info;
  info["model"] = model.name;
  for (const auto& [key, value] : Implementation(options, model)) info[key] = value;
  info["max_model_len"] = model.max_model_len;
  info["vocab_size"] = model.vocab_size;
  boost::json::array groups;
  for (const CacheGroup& group : model.blocks.groups) {
    groups.push_back(boost::json::object{
        {"blocks", group.num_blocks}, {"window", group.window}, {"chunk", group.chunk}});
  }
  info["kv_cache_blocks"] = NumBlocks(model);
  info["kv_cache_groups"] = std::move(groups);
  info["kv_cache_bytes"] = model.kv_cache_bytes;
  info["weights"] = boost::json::object{{"token", model.weights.token},
                                        {"logits", model.weights.logits},
                                        {"stored", model.weights.stored},
                                        {"has_experts", model.weights.has_experts}};
  info["packed_weight_bytes"] = model.packed_bytes;
  info["packed_weights_from_cache"] = model.packed_from_cache;
  info["state_slots"] = model.blocks.num_state_slots;
  info["block_size"] = model.blocks.block_size;
  info["tensor_parallel_size"] = options.executor.tensor_parallel;
  info["pipeline_parallel_size"] = options.executor.pipeline_parallel;
  info["enable_expert_parallel"] = options.executor.expert_parallel;
  info["eos_token_ids"] =
      boost::json::array(model.eos_token_ids.begin(), model.eos_token_ids.end());
  info["has_chat_template"] = model.text.chat_template != nullptr;
  boost::json::array modalities = {"text"};
  if (model.processor != nullptr)
    modalities.insert(modalities.end(), model.encoders.begin(), model.encoders.end());
  info["modalities"] = std::move(modalities);
  info["tool_call_parser"] = model.parsers.tools;
  info["reasoning_parser"] = model.parsers.reasoning;
  info["task"] = model.pooling.has_value() ? PoolingTaskName(model.pooling->task) : "generate";
  if (model.pooling.has_value()) info["pooling"] = PoolingJson(*model.pooling);
  info["warnings"] = boost::json::array(model.warnings.begin(), model.warnings.end());
  return boost::json::serialize(info);
}

MetricsConfig MetricsConfigOf(const EngineOptions& options, const Model& model) {
  MetricsConfig config;
  config.max_model_len = model.max_model_len;
  config.num_speculative_tokens = options.speculation.num_drafts();
  config.cache_info = {{"block_size", absl::StrCat(model.blocks.block_size)},
                       {"num_gpu_blocks", absl::StrCat(NumBlocks(model))},
                       {"cache_dtype", std::string(TorchName(model.kv_dtype))},
                       {"enable_prefix_caching", model.blocks.prefix_caching ? "True" : "False"},
                       {"kv_cache_memory_bytes", absl::StrCat(model.kv_cache_bytes)}};
  config.model_info = Implementation(options, model);
  return config;
}

}  // namespace keel
