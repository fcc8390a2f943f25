// config.json as a family reads it, and the spec that it states.
//
//   #include "sdk/keel/config.h"
//   using namespace keel;
//
//   struct MyConfig {
//     int64_t layers, hidden_size, vocab_size;
//     bool bias;
//     explicit MyConfig(const Config& c)
//         : layers(c.Int("num_hidden_layers|n_layer")),  // either key
//           hidden_size(c.Int("hidden_size")),           // required: reported by name if absent
//           vocab_size(c.Int("vocab_size", 32000)),      // the family's default
//           bias(c.Bool("attention_bias", false)) {
//       if (hidden_size % 64 != 0)
//         c.Fail("hidden_size", "is no multiple of 64, expected heads of 64");
//     }
//     Spec spec() const {
//       Spec s;
//       s.num_layers = layers;
//       s.hidden_size = hidden_size;
//       s.vocab_size = vocab_size;
//       s.tp_plan = {{"layers.*.mlp.up_proj", "colwise"}, {"layers.*.mlp.down_proj", "rowwise"}};
//       s.renames = {{.from = {R"(transformer\.(.*))"}, .to = {R"(model.\1)"}}};
//       return s;
//     }
//   };
#ifndef KEEL_SDK_KEEL_CONFIG_H_
#define KEEL_SDK_KEEL_CONFIG_H_

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/keel/host.h"

namespace keel {

// Keys are paths "a/b/3" with alternatives "new_key|old_key"; see keel_config_api. A missing or
// ill-typed value is an error that the host reports by key; the getter then returns a harmless
// value, so constructors go on.
class Config {
 public:
  explicit Config(keel_config* handle) : handle_(handle) {}

  // Required.
  int64_t Int(const char* key) const { return api().get_int(handle_, key, 1, 1); }
  double Real(const char* key) const { return api().get_real(handle_, key, 1, 1); }
  // With the family's default.
  int64_t Int(const char* key, int64_t dflt) const { return api().get_int(handle_, key, 0, dflt); }
  double Real(const char* key, double dflt) const { return api().get_real(handle_, key, 0, dflt); }
  bool Bool(const char* key, bool dflt) const { return api().get_bool(handle_, key, 0, dflt) != 0; }
  std::string String(const char* key, const char* dflt) const {
    const keel_str s = api().get_string(handle_, key, 0, dflt);
    return std::string(s.data, s.size);
  }

  // A number of layers, required or with a default. What a config makes for each of them (lists,
  // plans) must not grow with a wrong number: one that is out of bounds is an error, and taken for 1.
  int64_t NumLayers(const char* key) const { return CheckedLayers(key, Int(key)); }
  int64_t NumLayers(const char* key, int64_t dflt) const {
    return CheckedLayers(key, Int(key, dflt));
  }

  // Lists; empty when absent. No alternatives in the key.
  std::vector<int64_t> Ints(const char* key) const {
    std::vector<int64_t> out;
    for (size_t i = 0; i < Size(key); ++i) out.push_back(Int(Element(key, i).c_str()));
    return out;
  }
  std::vector<std::string> Strings(const char* key) const {
    std::vector<std::string> out;
    for (size_t i = 0; i < Size(key); ++i) out.push_back(String(Element(key, i).c_str(), ""));
    return out;
  }

  // Something other than null is there.
  bool Has(const char* key) const {
    const uint32_t kind = api().kind(handle_, key);
    return kind != KEEL_JSON_ABSENT && kind != KEEL_JSON_NULL;
  }
  // A null is there: to a few families that says something else than nothing.
  bool IsNull(const char* key) const { return api().kind(handle_, key) == KEEL_JSON_NULL; }
  bool IsString(const char* key) const { return api().kind(handle_, key) == KEEL_JSON_STRING; }
  bool IsArray(const char* key) const { return api().kind(handle_, key) == KEEL_JSON_ARRAY; }
  bool IsObject(const char* key) const { return api().kind(handle_, key) == KEEL_JSON_OBJECT; }
  size_t Size(const char* key) const { return api().size(handle_, key); }
  // The names of an object's members, in the order of the file; "" is this object.
  std::vector<std::string> Keys(const char* key) const {
    std::vector<std::string> out;
    if (!KEEL_HAS(&api(), keel_config_api, key)) {
      Fail(key, "can't be listed by this host; update keel");
      return out;
    }
    for (keel_str name = api().key(handle_, key, 0); name.size > 0;
         name = api().key(handle_, key, out.size()))
      out.emplace_back(name.data, name.size);
    return out;
  }
  std::optional<Config> Child(const char* key) const {
    keel_config* child = api().child(handle_, key);
    return child == nullptr ? std::nullopt : std::optional<Config>(Config(child));
  }

  // The object at `key`, required; in an error this one, so that constructors go on.
  Config Object(const char* key) const {
    if (const std::optional<Config> child = Child(key)) return *child;
    Fail(key, "is missing, expected an object");
    return *this;
  }

  // Refuses the config: "config.json: <key> <message>". Say what was found and what is expected.
  void Fail(const char* key, const std::string& message) const {
    api().fail(handle_, key, message.data(), message.size());
  }

  // KEEL_ACT_* of an activation's name in transformers.
  uint32_t Activation(const char* key, const char* dflt) const {
    const std::string name = String(key, dflt);
    if (name == "silu" || name == "swish") return KEEL_ACT_SILU;
    if (name == "gelu") return KEEL_ACT_GELU;
    if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast")
      return KEEL_ACT_GELU_TANH;
    if (name == "relu") return KEEL_ACT_RELU;
    if (name == "relu2") return KEEL_ACT_RELU2;
    if (name == "quick_gelu") return KEEL_ACT_QUICK_GELU;
    Fail(key, "is '" + name +
                  "', expected silu, gelu, gelu_new, gelu_pytorch_tanh, relu, relu2 or quick_gelu");
    return KEEL_ACT_SILU;
  }

 private:
  int64_t CheckedLayers(const char* key, int64_t layers) const {
    constexpr int64_t kMost = 1 << 16;
    if (layers >= 1 && layers <= kMost) return layers;
    Fail(key, "is " + std::to_string(layers) + ", expected 1 to " + std::to_string(kMost));
    return 1;
  }
  static std::string Element(const char* key, size_t index) {
    return std::string(key) + "/" + std::to_string(index);
  }
  static const keel_config_api& api() { return *g_host.config; }
  keel_config* handle_;
};

// The inputs of forward, [N, hidden_size], that have more of what Encode gives: MoreFeatures(0) is the
// second of its results (plugin.h).
inline std::string MoreFeatures(size_t index) { return "features/" + std::to_string(index + 1); }

struct TpRule {
  const char* pattern;  // relative to the base model; `*` is a layer's number
  const char* style;    // "colwise", "rowwise" ...
};

struct PpStage {
  const char* child;
  std::vector<const char*> inputs, outputs;
};

// A rule for checkpoint tensors: keel_rename with its strings. One that only renames is
// {.from = {"a"}, .to = {"b"}}; docs/plugin-authoring.md has an example of each kind.
struct Rename {
  uint32_t op = KEEL_RENAME_NAME;
  std::vector<std::string> from, to;
  int32_t dim = 0;
  std::vector<int64_t> sizes = {};  // empty, or one for each of `to`
};

// What a model is to the host: sizes, plans, renames. Defaults as in keel_spec_api.
struct Spec {
  int64_t num_layers = 0, hidden_size = 0, vocab_size = 0, max_positions = 0;
  bool tie_word_embeddings = false;
  double embed_scale = 1, logit_scale = 1, logit_softcap = 0;
  std::string embed_tokens = "model.embed_tokens", lm_head = "lm_head", base_model_prefix = "model";
  std::vector<TpRule> tp_plan, ep_plan;
  std::vector<PpStage> pp_plan;
  std::vector<Rename> renames;
  // How inputs of several items are put together for one call of Encode: KEEL_MERGE_*.
  struct Merge {
    uint32_t rule = KEEL_MERGE_NONE;
    int64_t index_symbol = 0, index_multiple = 1;  // of KEEL_MERGE_INDICES
  };
  struct Input {
    const char* graph;
    std::string name;
    uint32_t dtype;
    std::vector<int64_t> dims;            // -1, -2 ...: symbols
    std::vector<int64_t> multiples = {};  // of symbols, beside dims; empty: all 1
    Merge merge = {};
  };
  std::vector<Input> inputs;

  keel_status Write(keel_spec* out) const {
    const keel_spec_api& api = *g_host.spec;
    api.set_int(out, "num_layers", num_layers);
    api.set_int(out, "hidden_size", hidden_size);
    api.set_int(out, "vocab_size", vocab_size);
    api.set_int(out, "max_positions", max_positions);
    api.set_int(out, "tie_word_embeddings", tie_word_embeddings);
    api.set_real(out, "embed_scale", embed_scale);
    api.set_real(out, "logit_scale", logit_scale);
    api.set_real(out, "logit_softcap", logit_softcap);
    api.set_string(out, "embed_tokens", embed_tokens.c_str());
    api.set_string(out, "lm_head", lm_head.c_str());
    api.set_string(out, "base_model_prefix", base_model_prefix.c_str());
    for (const TpRule& rule : tp_plan) api.tp_plan(out, rule.pattern, rule.style);
    for (const TpRule& rule : ep_plan) api.ep_plan(out, rule.pattern, rule.style);
    for (const PpStage& s : pp_plan) {
      api.pp_plan(out, s.child, s.inputs.data(), static_cast<uint32_t>(s.inputs.size()),
                  s.outputs.data(), static_cast<uint32_t>(s.outputs.size()));
    }
    for (const Rename& rename : renames) WriteRename(rename, out);
    for (const Input& input : inputs) {
      keel_input desc{};
      desc.struct_size = sizeof(desc);
      desc.dtype = input.dtype;
      desc.name = input.name.c_str();
      if (input.dims.size() > KEEL_MAX_DIMS || input.multiples.size() > input.dims.size())
        throw Error("input '" + input.name + "' has too many dimensions or multiples");
      for (const int64_t dim : input.dims) desc.dims[desc.ndim++] = dim;
      std::copy(input.multiples.begin(), input.multiples.end(), desc.multiples);
      desc.merge = input.merge.rule;
      if (input.merge.rule == KEEL_MERGE_INDICES) {
        desc.index_symbol = input.merge.index_symbol;
        desc.index_multiple = input.merge.index_multiple;
      }
      api.input(out, input.graph, &desc);
    }
    return api.status(out);
  }

 private:
  static void WriteRename(const Rename& rename, keel_spec* out) {
    const auto pointers = [](const std::vector<std::string>& strings) {
      std::vector<const char*> result;
      for (const std::string& s : strings) result.push_back(s.c_str());
      return result;
    };
    if (!rename.sizes.empty() && rename.sizes.size() != rename.to.size())
      throw Error("a rename has " + std::to_string(rename.sizes.size()) + " sizes for " +
                  std::to_string(rename.to.size()) + " results");
    const std::vector<const char*> from = pointers(rename.from), to = pointers(rename.to);
    keel_rename desc{};
    desc.struct_size = sizeof(desc);
    desc.op = rename.op;
    desc.from = from.data();
    desc.to = to.data();
    desc.num_from = static_cast<uint32_t>(from.size());
    desc.num_to = static_cast<uint32_t>(to.size());
    desc.dim = rename.dim;
    if (!rename.sizes.empty()) desc.sizes = rename.sizes.data();
    g_host.spec->rename(out, &desc);
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_CONFIG_H_
