#include "apps/bench/shapes.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "boost/json/array.hpp"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace fs = std::filesystem;
namespace json = boost::json;
namespace {

struct Shape {
  const char* name;
  const char* config;
};

constexpr Shape kShapes[] = {
    {"smollm2-135m", R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5, "rope_theta": 100000.0, "hidden_act": "silu",
        "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2})"},
    {"qwen2.5-0.5b", R"({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
        "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
        "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "hidden_act": "silu",
        "tie_word_embeddings": true, "bos_token_id": 151643, "eos_token_id": 151645})"},
    {"llama-3.2-1b", R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
        "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
        "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "high_freq_factor": 4.0,
        "low_freq_factor": 1.0, "original_max_position_embeddings": 8192}, "hidden_act": "silu",
        "tie_word_embeddings": true, "bos_token_id": 128000, "eos_token_id": 128001})"},
    {"qwen3-4b", R"({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
        "vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "max_position_embeddings": 40960, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
        "hidden_act": "silu", "tie_word_embeddings": true, "bos_token_id": 151643,
        "eos_token_id": 151645})"},
    // Two of 48 layers: 1.2 GB each, as experts are.
    {"qwen3-30b-a3b-slice", R"({"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe",
        "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 2,
        "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128,
        "num_experts_per_tok": 8, "moe_intermediate_size": 768, "norm_topk_prob": true,
        "decoder_sparse_step": 1, "mlp_only_layers": [], "max_position_embeddings": 40960,
        "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "hidden_act": "silu",
        "tie_word_embeddings": false, "bos_token_id": 151643, "eos_token_id": 151645})"},
};

std::string Utf8(uint32_t code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

// The 256 letters that byte-level BPE writes bytes with (GPT-2): printable ones stand for themselves, the others come
// after U+0100.
std::vector<std::string> ByteAlphabet() {
  std::vector<std::string> letters;
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool is_printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    letters.push_back(Utf8(is_printable ? byte : next++));
  }
  return letters;
}

// Bytes first, then words that no merge makes.
json::object MakeTokenizer(int64_t vocab_size) {
  const std::vector<std::string> alphabet = ByteAlphabet();
  json::object vocab;
  vocab.reserve(static_cast<size_t>(vocab_size));
  for (int64_t id = 0; id < vocab_size; ++id) {
    const auto i = static_cast<size_t>(id);
    vocab[i < alphabet.size() ? alphabet[i] : "\u0120w" + std::to_string(id)] = id;
  }
  const json::object bytes = {{"type", "ByteLevel"},
                              {"add_prefix_space", false},
                              {"trim_offsets", true},
                              {"use_regex", true}};
  return {{"version", "1.0"},
          {"added_tokens", json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", bytes},
          {"post_processor", nullptr},
          {"decoder", bytes},
          {"model",
           {{"type", "BPE"},
            {"vocab", std::move(vocab)},
            {"merges", json::array()},
            {"byte_fallback", false}}}};
}

Status WriteText(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  return file ? Status() : Status(Code::kInternal, path.string() + ": cannot be written");
}

uint16_t ToBF16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// SplitMix64 (Steele et al. 2014); a value is the sum of four uniform ones, nearly normal.
class RandomValues {
 public:
  uint16_t Next() {
    constexpr float kDeviation = 0.02f, kDeviationOfSum = 37837.2f;  // sqrt(4 / 12) * 2^16
    state_ += 0x9E3779B97F4A7C15;
    uint64_t z = state_;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    z ^= z >> 31;
    const auto sum =
        static_cast<int32_t>((z & 0xFFFF) + (z >> 16 & 0xFFFF) + (z >> 32 & 0xFFFF) + (z >> 48));
    return ToBF16(static_cast<float>(sum - 2 * 0xFFFF) * (kDeviation / kDeviationOfSum));
  }

 private:
  uint64_t state_ = 0;
};

Status WriteWeights(const std::vector<ShapeTensor>& tensors, const fs::path& path,
                    const OnBytes& on_bytes) {
  json::object header;
  int64_t total = 0;
  for (const ShapeTensor& tensor : tensors) {
    const int64_t end = total + 2 * tensor.numel();
    header[tensor.name] = {{"dtype", "BF16"},
                           {"shape", json::array(tensor.sizes.begin(), tensor.sizes.end())},
                           {"data_offsets", {total, end}}};
    total = end;
  }
  std::string text = json::serialize(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t header_size = text.size();

  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&header_size), sizeof(header_size));
  file << text;
  constexpr int64_t kChunk = 1 << 20;  // elements
  std::vector<uint16_t> chunk;
  RandomValues random;
  int64_t written = 0;
  for (const ShapeTensor& tensor : tensors) {
    const bool is_norm = tensor.sizes.size() == 1 && tensor.name.ends_with("norm.weight");
    for (int64_t left = tensor.numel(); left > 0; left -= static_cast<int64_t>(chunk.size())) {
      chunk.resize(static_cast<size_t>(std::min(left, kChunk)));
      for (uint16_t& value : chunk) value = is_norm ? ToBF16(1) : random.Next();
      const auto bytes = static_cast<int64_t>(2 * chunk.size());
      file.write(reinterpret_cast<const char*>(chunk.data()), bytes);
      written += bytes;
      if (on_bytes) on_bytes(written, total);
    }
  }
  file.close();
  return file ? Status()
              : Status(Code::kInternal, path.string() + ": cannot be written; is the disk full?");
}

int64_t Number(const json::object& config, std::string_view key, int64_t otherwise = 0) {
  const json::value* value = config.if_contains(key);
  return value != nullptr && value->is_int64() ? value->get_int64() : otherwise;
}

struct Sizes {
  int64_t hidden, vocab, head_dim, queries, keys, experts, mlp;
};

Sizes ReadSizes(const json::object& config) {
  const int64_t hidden = Number(config, "hidden_size"),
                heads = Number(config, "num_attention_heads"),
                head_dim = Number(config, "head_dim", hidden / std::max<int64_t>(1, heads)),
                experts = Number(config, "num_experts");
  return {.hidden = hidden,
          .vocab = Number(config, "vocab_size"),
          .head_dim = head_dim,
          .queries = heads * head_dim,
          .keys = Number(config, "num_key_value_heads", heads) * head_dim,
          .experts = experts,
          .mlp = Number(config, experts > 0 ? "moe_intermediate_size" : "intermediate_size")};
}

// Null: there is none.
const Shape* FindShape(std::string_view name) {
  const auto* shape = std::find_if(std::begin(kShapes), std::end(kShapes),
                                   [&](const Shape& s) { return s.name == name; });
  return shape == std::end(kShapes) ? nullptr : shape;
}

Status NoShape(std::string_view name) {
  return Status(Code::kNotFound, "no shape " + std::string(name));
}

fs::path CacheDirectory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return fs::path(cache) / "keel" / "shapes";
  const char* home = std::getenv("HOME");
  return fs::path(home != nullptr ? home : "/tmp") / ".cache" / "keel" / "shapes";
}

}  // namespace

int64_t ShapeTensor::numel() const {
  int64_t product = 1;
  for (const int64_t size : sizes) product *= size;
  return product;
}

std::vector<std::string> ShapeNames() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.emplace_back(shape.name);
  return names;
}

std::vector<ShapeTensor> ShapeTensors(const json::object& config) {
  const auto [hidden, vocab, head_dim, queries, keys, experts, mlp] = ReadSizes(config);
  const std::string type(config.at("model_type").as_string());
  const bool has_bias = type == "qwen2", has_head_norms = type.starts_with("qwen3");

  std::vector<ShapeTensor> tensors = {{"model.embed_tokens.weight", {vocab, hidden}}};
  const auto add_mlp = [&](const std::string& name) {
    tensors.push_back({name + "gate_proj.weight", {mlp, hidden}});
    tensors.push_back({name + "up_proj.weight", {mlp, hidden}});
    tensors.push_back({name + "down_proj.weight", {hidden, mlp}});
  };
  for (int64_t i = 0; i < Number(config, "num_hidden_layers"); ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    const std::string attention = layer + "self_attn.";
    tensors.push_back({layer + "input_layernorm.weight", {hidden}});
    for (const auto& [name, size] :
         {std::pair("q_proj", queries), {"k_proj", keys}, {"v_proj", keys}}) {
      tensors.push_back({attention + name + ".weight", {size, hidden}});
      if (has_bias) tensors.push_back({attention + name + ".bias", {size}});
    }
    if (has_head_norms) {
      tensors.push_back({attention + "q_norm.weight", {head_dim}});
      tensors.push_back({attention + "k_norm.weight", {head_dim}});
    }
    tensors.push_back({attention + "o_proj.weight", {hidden, queries}});
    tensors.push_back({layer + "post_attention_layernorm.weight", {hidden}});
    if (experts > 0) tensors.push_back({layer + "mlp.gate.weight", {experts, hidden}});
    for (int64_t e = 0; e < experts; ++e) add_mlp(layer + "mlp.experts." + std::to_string(e) + ".");
    if (experts == 0) add_mlp(layer + "mlp.");
  }
  tensors.push_back({"model.norm.weight", {hidden}});
  if (!config.at("tie_word_embeddings").as_bool())
    tensors.push_back({"lm_head.weight", {vocab, hidden}});
  return tensors;
}

Result<ShapeLinears> LinearsOfShape(std::string_view name) {
  const Shape* shape = FindShape(name);
  if (shape == nullptr) return NoShape(name);
  const Sizes sizes = ReadSizes(json::parse(shape->config).as_object());
  if (sizes.experts > 0) {
    return Status(Code::kUnimplemented,
                  std::string(name) + " is a mixture of experts; kernels measures dense shapes");
  }
  const int64_t qkv = sizes.queries + 2 * sizes.keys;
  return ShapeLinears{.layer = {{qkv, sizes.hidden},
                                {sizes.hidden, sizes.queries},
                                {2 * sizes.mlp, sizes.hidden},
                                {sizes.hidden, sizes.mlp}},
                      .head = {sizes.vocab, sizes.hidden}};
}

Status WriteShape(const json::object& config, const std::string& directory,
                  const OnBytes& on_bytes) {
  const fs::path root = directory;
  std::error_code error;
  fs::create_directories(root, error);
  if (error) return Status(Code::kInternal, directory + ": " + error.message());
  Status status = WriteText(root / "config.json", json::serialize(config));
  if (status.ok()) {
    status = WriteText(root / "tokenizer.json",
                       json::serialize(MakeTokenizer(Number(config, "vocab_size"))));
  }
  if (!status.ok()) return status;
  return WriteWeights(ShapeTensors(config), root / "model.safetensors", on_bytes);
}

Result<std::string> ShapeDirectory(std::string_view name, const OnBytes& on_bytes) {
  const Shape* shape = FindShape(name);
  if (shape == nullptr) return NoShape(name);
  const fs::path directory = CacheDirectory() / shape->name;
  std::error_code error;
  if (fs::exists(directory, error)) return directory.string();
  json::object config = json::parse(shape->config).as_object();
  config["torch_dtype"] = "bfloat16";
  // Whole or not at all, whoever else writes it.
  const fs::path unfinished = directory.string() + "." + std::to_string(::getpid());
  Status status = WriteShape(config, unfinished.string(), on_bytes);
  if (status.ok()) {
    fs::rename(unfinished, directory, error);
    if (!error || fs::exists(directory))
      status = Status();
    else
      status = Status(Code::kInternal, directory.string() + ": " + error.message());
  }
  fs::remove_all(unfinished, error);
  if (!status.ok()) return status;
  return directory.string();
}

}  // namespace keel::apps
