#include "apps/bench/shapes.h"

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>
#include <set>
#include <string>

#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

namespace json = boost::json;
using ::testing::Contains;
using ::testing::Not;

json::object Tiny(const std::string& type) {
  return {{"model_type", type},       {"vocab_size", 300},          {"hidden_size", 16},
          {"intermediate_size", 32},  {"num_hidden_layers", 2},     {"num_attention_heads", 4},
          {"num_key_value_heads", 2}, {"tie_word_embeddings", true}};
}

int64_t Elements(const json::object& config) {
  const std::vector<ShapeTensor> tensors = ShapeTensors(config);
  return std::accumulate(tensors.begin(), tensors.end(), int64_t{0},
                         [](int64_t sum, const ShapeTensor& t) { return sum + t.numel(); });
}

std::set<std::string> Names(const json::object& config) {
  std::set<std::string> names;
  for (const ShapeTensor& tensor : ShapeTensors(config)) names.insert(tensor.name);
  return names;
}

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ShapesTest, TensorsFollowTheArchitecture) {
  EXPECT_THAT(Names(Tiny("llama")), Not(Contains("model.layers.0.self_attn.q_proj.bias")));
  EXPECT_THAT(Names(Tiny("qwen2")), Contains("model.layers.1.self_attn.q_proj.bias"));
  EXPECT_THAT(Names(Tiny("qwen3")), Contains("model.layers.1.self_attn.k_norm.weight"));
  json::object moe = Tiny("qwen3_moe");
  moe["num_experts"] = 3;
  moe["moe_intermediate_size"] = 8;
  moe["tie_word_embeddings"] = false;
  EXPECT_THAT(Names(moe), Contains("model.layers.0.mlp.experts.2.down_proj.weight"));
  EXPECT_THAT(Names(moe), Contains("lm_head.weight"));
  EXPECT_THAT(Names(moe), Not(Contains("model.layers.0.mlp.gate_proj.weight")));
  // Embedding, two layers of attention and MLP, five norms.
  EXPECT_EQ(Elements(Tiny("llama")),
            300 * 16 + 2 * (2 * 16 * 16 + 2 * 8 * 16 + 3 * 32 * 16) + 5 * 16);
}

TEST(ShapesTest, WeightsAreAWholeSafetensorsFile) {
  const std::string directory = ::testing::TempDir() + "/shape";
  int64_t done = 0, total = 0;
  ASSERT_TRUE(WriteShape(Tiny("llama"), directory, [&](int64_t d, int64_t t) {
                done = d;
                total = t;
              }).ok());
  EXPECT_EQ(done, total);
  EXPECT_EQ(total, 2 * Elements(Tiny("llama")));
  const std::string file = Read(directory + "/model.safetensors");
  uint64_t header_size = 0;
  ASSERT_GT(file.size(), sizeof(header_size));
  std::memcpy(&header_size, file.data(), sizeof(header_size));
  EXPECT_EQ(file.size(), sizeof(header_size) + header_size + static_cast<uint64_t>(total));
  const json::value header = json::parse(file.substr(sizeof(header_size), header_size));
  const json::object& norm = header.at("model.norm.weight").as_object();
  EXPECT_EQ(norm.at("shape"), json::array({16}));
  const auto begin = static_cast<size_t>(norm.at("data_offsets").at(0).as_int64());
  EXPECT_EQ(file.substr(sizeof(header_size) + header_size + begin, 2), "\x80\x3f");  // 1 in bf16
  EXPECT_EQ(json::parse(Read(directory + "/tokenizer.json"))
                .at_pointer("/model/vocab")
                .as_object()
                .size(),
            300U);
}

TEST(ShapesTest, EveryNameHasASize) {
  EXPECT_THAT(ShapeNames(), Contains("qwen2.5-0.5b"));
  EXPECT_FALSE(ShapeDirectory("qwen9", nullptr).ok());
}

TEST(ShapeLinearsTest, OneOfEachInputOfALayer) {
  const Result<ShapeLinears> linears = LinearsOfShape("qwen2.5-0.5b");
  ASSERT_TRUE(linears.ok()) << linears.status().message();
  ASSERT_EQ(linears->layer.size(), 4U);
  EXPECT_EQ(linears->layer[0].n, 14 * 64 + 2 * 2 * 64);
  EXPECT_EQ(linears->layer[0].k, 896);
  EXPECT_EQ(linears->layer[2].n, 2 * 4864);
  EXPECT_EQ(linears->layer[3].k, 4864);
  EXPECT_EQ(linears->head.n, 151936);
  EXPECT_EQ(LinearsOfShape("qwen3-30b-a3b-slice").status().code(), Code::kUnimplemented);
  EXPECT_EQ(LinearsOfShape("gpt-9").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace keel::apps
