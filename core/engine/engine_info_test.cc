#include "core/engine/engine_info.h"

#include <boost/json/parse.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::Contains;
using ::testing::Pair;

Model MakeModel() {
  Model model;
  model.name = "tiny";
  model.architecture = "LlamaForCausalLM";
  model.impl = "native";
  model.impl_source = "in-tree";
  model.impl_reason = "auto: in-tree serves LlamaForCausalLM by libllama.so";
  model.attention = "paged";
  model.dtype = DType::kBF16;
  model.kv_dtype = DType::kF8E4M3FN;
  model.quantization = Quantization::kInt8;
  model.weights = {.token = 600, .logits = 200, .stored = 900, .has_experts = true};
  model.packed_bytes = 1000;
  model.max_model_len = 128;
  model.blocks.block_size = 8;
  model.blocks.groups = {{40, 0, 0}, {5, 16, 0}};
  model.eos_token_ids = {2};
  return model;
}

TEST(EngineInfoTest, SaysWhatRunsTheModel) {
  EngineOptions options;
  options.executor.mode = ExecMode::kEager;
  const boost::json::value info = boost::json::parse(InfoJson(options, MakeModel()));
  EXPECT_EQ(info.at("model").as_string(), "tiny");
  EXPECT_EQ(info.at("model_impl").as_string(), "native");
  EXPECT_EQ(info.at("model_impl_source").as_string(), "in-tree");
  EXPECT_EQ(info.at("model_impl_reason").as_string(),
            "auto: in-tree serves LlamaForCausalLM by libllama.so");
  EXPECT_EQ(info.at("exec").as_string(), "eager");
  EXPECT_EQ(info.at("dtype").as_string(), "bfloat16");
  EXPECT_EQ(info.at("kv_cache_dtype").as_string(), "float8_e4m3fn");
  EXPECT_EQ(info.at("quantization").as_string(), "int8");
  EXPECT_EQ(info.at("weights").at("token").as_int64(), 600);
  EXPECT_EQ(info.at("weights").at("logits").as_int64(), 200);
  EXPECT_EQ(info.at("weights").at("stored").as_int64(), 900);
  EXPECT_TRUE(info.at("weights").at("has_experts").as_bool());
  EXPECT_EQ(info.at("packed_weight_bytes").as_int64(), 1000);
  EXPECT_FALSE(info.at("packed_weights_from_cache").as_bool());
  EXPECT_EQ(info.at("block_size").as_int64(), 8);
  EXPECT_EQ(info.at("kv_cache_blocks").as_int64(), 40);
  EXPECT_EQ(info.at("kv_cache_groups").as_array().size(), 2u);
  EXPECT_FALSE(info.at("has_chat_template").as_bool());
}

TEST(EngineInfoTest, AModelIsCalledAsItIsServedElseAsItsDirectoryOrItsId) {
  Model model;
  const auto name = [&](const char* given, const char* dir, const char* base_dir = "") {
    model.dir = dir;
    ModelOptions options;
    options.name = given;
    options.base_dir = base_dir;
    return NameOf(options, model);
  };
  EXPECT_EQ(name("/models/Qwen3-8B", "/models/Qwen3-8B"), "Qwen3-8B");
  EXPECT_EQ(name("models/Qwen3-8B/", "/home/me/models/Qwen3-8B/", "/home/me"), "Qwen3-8B");
  EXPECT_EQ(name("Qwen/Qwen3-8B", "/cache/models--Qwen--Qwen3-8B/snapshots/ab"), "Qwen/Qwen3-8B");
  ModelOptions options;
  options.name = "/models/Qwen3-8B";
  options.served_name = "chat";
  EXPECT_EQ(NameOf(options, model), "chat");
}

TEST(EngineInfoTest, MetricsSayTheSame) {
  const Model model = MakeModel();
  const MetricsConfig config = MetricsConfigOf({}, model);
  const boost::json::value info = boost::json::parse(InfoJson({}, model));
  for (const auto& [label, value] : config.model_info) EXPECT_EQ(info.at(label).as_string(), value);
  EXPECT_THAT(config.cache_info, Contains(Pair("num_gpu_blocks", "40")));
  EXPECT_THAT(config.cache_info, Contains(Pair("cache_dtype", "float8_e4m3fn")));
  EXPECT_EQ(config.num_speculative_tokens, 0);
}

}  // namespace
}  // namespace keel
