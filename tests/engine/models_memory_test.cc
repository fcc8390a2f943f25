// A model that is unloaded gives its memory back: what lay in the mapped file and what was copied.
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "sdk/keel/models.h"

namespace keel {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr char kTiny[] = "plugins/llama/testdata/default";
constexpr int64_t kHidden = 512, kIntermediate = 4096, kLayers = 4, kKv = 256, kVocab = 128;
constexpr int64_t kMiB = 1 << 20;

// Bytes of the process that are in memory.
int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
};

std::vector<Tensor> Tensors() {
  std::vector<Tensor> out = {{"lm_head.weight", {kVocab, kHidden}},
                             {"model.embed_tokens.weight", {kVocab, kHidden}},
                             {"model.norm.weight", {kHidden}}};
  for (int64_t i = 0; i < kLayers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
      out.push_back({layer + norm + ".weight", {kHidden}});
    for (const char* part : {"q", "o"})
      out.push_back({layer + "self_attn." + part + "_proj.weight", {kHidden, kHidden}});
    for (const char* part : {"k", "v"})
      out.push_back({layer + "self_attn." + part + "_proj.weight", {kKv, kHidden}});
    for (const char* part : {"gate", "up"})
      out.push_back({layer + "mlp." + part + "_proj.weight", {kIntermediate, kHidden}});
    out.push_back({layer + "mlp.down_proj.weight", {kHidden, kIntermediate}});
  }
  return out;
}

// A Llama of some 110 MB in float32, with the tiny one's tokenizer. Returns its bytes.
int64_t WriteModel(const fs::path& dir) {
  fs::create_directories(dir);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"})
    fs::copy_file(fs::canonical(fs::path(kTiny) / name), dir / name,
                  fs::copy_options::overwrite_existing);
  std::ifstream tiny(fs::path(kTiny) / "config.json");
  json::object config = json::parse(tiny).as_object();
  config["hidden_size"] = kHidden;
  config["intermediate_size"] = kIntermediate;
  config["num_hidden_layers"] = kLayers;
  config["num_attention_heads"] = 8;
  config["num_key_value_heads"] = 4;
  config["head_dim"] = 64;
  std::ofstream(dir / "config.json") << json::serialize(config);

  json::object header;
  int64_t bytes = 0;
  for (const Tensor& tensor : Tensors()) {
    int64_t size = sizeof(float);
    for (const int64_t dim : tensor.shape) size *= dim;
    header[tensor.name] =
        json::object{{"dtype", "F32"},
                     {"shape", json::array(tensor.shape.begin(), tensor.shape.end())},
                     {"data_offsets", json::array{bytes, bytes + size}}};
    bytes += size;
  }
  std::string text = json::serialize(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  std::ofstream file(dir / "model.safetensors", std::ios::binary);
  file.write(reinterpret_cast<const char*>(&length), sizeof(length)) << text;
  std::vector<float> values(kMiB / sizeof(float));
  uint32_t state = 1;
  for (int64_t done = 0; done < bytes; done += kMiB) {
    for (float& value : values) {
      state = state * 1664525 + 1013904223;
      value = (static_cast<float>(state >> 8) / (1 << 24) - 0.5f) * 0.1f;
    }
    file.write(reinterpret_cast<const char*>(values.data()), std::min(kMiB, bytes - done));
  }
  return bytes;
}

size_t Answer(Models& models) {
  Result<Lease> lease = models.Acquire("big");
  EXPECT_TRUE(lease.ok()) << lease.status().message();
  if (!lease.ok()) return 0;
  Request request;
  EXPECT_TRUE(request.SetPromptTokens(std::vector<int32_t>(100, 7)).ok());
  EXPECT_TRUE(request.SetInt("max_tokens", 8).ok());
  EXPECT_TRUE(request.SetInt("ignore_eos", 1).ok());
  std::promise<void> done;
  size_t tokens = 0;
  const Result<uint64_t> id = lease->engine().Submit(request, [&](const Output& output) {
    tokens += output.tokens().size();
    if (output.is_last()) done.set_value();
  });
  EXPECT_TRUE(id.ok()) << id.status().message();
  if (id.ok()) done.get_future().wait();
  return tokens;
}

TEST(ModelsMemoryTest, AnUnloadedModelGivesItsMemoryBack) {
  const fs::path dir = fs::path(::testing::TempDir()) / "big";
  const int64_t bytes = WriteModel(dir);
  ASSERT_GT(bytes, 100 * kMiB);
  // In float32 the weights stay in the file's mapping; in bfloat16 they are copies, in the heap.
  for (const std::string dtype : {"float32", "bfloat16"}) {
    Result<Models> models = Models::Create(0);
    ASSERT_TRUE(models.ok());
    Options options;
    ASSERT_TRUE(options.Set("model", dir.string()).ok());
    ASSERT_TRUE(options.Set("dtype", dtype).ok());
    ASSERT_TRUE(options.Set("kv-cache-memory-bytes", "32MiB").ok());
    ASSERT_TRUE(models->Add("big", options).ok());
    // The first time libraries allocate what they keep.
    EXPECT_EQ(Answer(*models), 8u);
    ASSERT_TRUE(models->Unload("big").ok());

    const int64_t before = ResidentBytes();
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(Answer(*models), 8u);
      const int64_t loaded = ResidentBytes();
      ASSERT_TRUE(models->Unload("big").ok());
      const int64_t after = ResidentBytes();
      std::cout << dtype << ": " << before / kMiB << " MiB before, " << loaded / kMiB
                << " MiB loaded, " << after / kMiB << " MiB after\n";
      EXPECT_GT(loaded - before, (dtype == "float32" ? bytes : bytes / 2) * 9 / 10);
      EXPECT_LT(after - before, bytes / 4);  // the heap keeps some for its next user
    }
  }
}

}  // namespace
}  // namespace keel
