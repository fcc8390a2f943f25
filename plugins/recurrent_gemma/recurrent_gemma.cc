// RecurrentGemma (Griffin, arXiv:2402.19427), as in transformers' models/recurrent_gemma: most layers carry a gated
// linear recurrence, some attend to a window.
#include <bit>
#include <cmath>
#include <optional>

#include "sdk/keel/blocks/attention.h"
#include "sdk/keel/blocks/causal_conv1d.h"
#include "sdk/keel/blocks/mlp.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct RecurrentGemmaConfig : AttentionSizes {
  int64_t intermediate_size, num_hidden_layers, vocab_size, lru_width, attention_window_size,
      conv1d_width;
  double rms_norm_eps, logits_soft_cap;
  uint32_t hidden_act;
  bool attention_bias, tie_word_embeddings;
  std::vector<std::string> block_types;  // repeated over the layers
  explicit RecurrentGemmaConfig(const Config& c)
      : AttentionSizes{.hidden_size = c.Int("hidden_size", 2560),
                       .num_attention_heads = c.Int("num_attention_heads", 10)},
        intermediate_size(c.Int("intermediate_size", 7680)),
        num_hidden_layers(c.Int("num_hidden_layers", 26)),
        vocab_size(c.Int("vocab_size", 256000)),
        lru_width(c.Int("lru_width", hidden_size)),
        attention_window_size(c.Int("attention_window_size|sliding_window", 2048)),
        conv1d_width(c.Int("conv1d_width", 4)),
        rms_norm_eps(c.Real("rms_norm_eps", 1e-6)),
        logits_soft_cap(c.Real("logits_soft_cap", 30)),
        hidden_act(c.Activation("hidden_activation", "gelu_pytorch_tanh")),
        attention_bias(c.Bool("attention_bias", false)),
        tie_word_embeddings(c.Bool("tie_word_embeddings", true)),
        block_types(c.Strings("block_types")) {
    num_key_value_heads = c.Int("num_key_value_heads", num_attention_heads);
    if (block_types.empty()) block_types = {"recurrent", "recurrent", "attention"};
    for (const auto& [key, size] :
         {std::pair("hidden_size", hidden_size), std::pair("lru_width", lru_width)}) {
      if (num_attention_heads < 1 || size % num_attention_heads != 0)
        c.Fail(key, "is " + std::to_string(size) + ", expected a multiple of num_attention_heads");
    }
    head_dim = hidden_size / std::max<int64_t>(num_attention_heads, 1);
  }
  bool attends(int layer) const {
    return block_types[static_cast<size_t>(layer) % block_types.size()] == "attention";
  }
  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.tie_word_embeddings = tie_word_embeddings;
    // The reference keeps the scale in bf16, whatever the model runs in.
    const auto bits = std::bit_cast<uint32_t>(std::sqrt(static_cast<float>(hidden_size)));
    s.embed_scale = std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
    s.logit_softcap = logits_soft_cap;
    s.pp_plan = {{"embed_tokens", {"input_ids"}, {"inputs_embeds"}},
                 {"layers", {"hidden_states", "attention_mask"}, {"hidden_states"}},
                 {"final_norm", {"hidden_states"}, {"hidden_states"}}};
    return s;
  }
};

struct RecurrentGemmaRMSNorm : RmsNorm {
  RecurrentGemmaRMSNorm(const Scope& s, const RecurrentGemmaConfig& c)
      : RmsNorm(s, c.hidden_size, c.rms_norm_eps, 1, KEEL_NORM_CAST_LAST) {}
};

// The Real-Gated Linear Recurrent Unit. x [N, lru_width] -> the same.
struct RecurrentGemmaRglru {
  int64_t block_width;
  Param recurrent_param, input_gate_weight, input_gate_bias, recurrent_gate_weight,
      recurrent_gate_bias;
  State recurrent_states;
  RecurrentGemmaRglru(const Scope& s, const RecurrentGemmaConfig& c, int layer)
      : block_width(c.lru_width / std::max<int64_t>(c.num_attention_heads, 1)),
        recurrent_param(s / "recurrent_param", {c.lru_width}),
        input_gate_weight(s / "input_gate_weight",
                          {c.num_attention_heads, block_width, block_width}),
        input_gate_bias(s / "input_gate_bias", {c.num_attention_heads, block_width}),
        recurrent_gate_weight(s / "recurrent_gate_weight",
                              {c.num_attention_heads, block_width, block_width}),
        recurrent_gate_bias(s / "recurrent_gate_bias", {c.num_attention_heads, block_width}),
        recurrent_states(s / "recurrent_states", {.kind = KEEL_STATE_OTHER,
                                                  .layer = layer,
                                                  .ndim = 1,
                                                  .dtype = KEEL_F32,
                                                  .dims = {c.lru_width}}) {}
  // A linear of each head by itself, then a sigmoid.
  Tensor Gate(Tensor x, const Param& weight, const Param& bias) const {
    const Tensor by_head = MatMul(x.Heads(block_width).Permute({1, 0, 2}), weight(x.run));
    return (by_head + bias(x.run).View({0, 1, -1})).Permute({1, 0, 2}).Flat().Sigmoid();
  }
  Tensor operator()(Tensor x, Tensor positions) const {
    const Tensor input_gate = Gate(x, input_gate_weight, input_gate_bias);
    const Tensor recurrent_gate = Gate(x, recurrent_gate_weight, recurrent_gate_bias);
    const Tensor log_a = recurrent_gate * -8.0 * recurrent_param(x.run).Unary(KEEL_UNARY_SOFTPLUS);
    const Tensor multiplier = 1 - (log_a * 2.0).Unary(KEEL_UNARY_EXP);
    // The first token goes in as it is.
    const int64_t first = 0;
    const Tensor zero = x.With(x.ops().constant(x.run, KEEL_I64, 0, nullptr, &first));
    const Tensor is_first = positions.View({0, 1}).Compare(zero, KEEL_COMPARE_EQ);
    const Tensor one = Constant(x.run, {1}, {1}).Cast(KEEL_DTYPE_MODEL);
    const Tensor scaled = x * input_gate * Where(is_first, one, multiplier.Unary(KEEL_UNARY_SQRT));
    return recurrent_states(KEEL_RECUR_SCAN, scaled, {{"a", log_a.Unary(KEEL_UNARY_EXP)}});
  }
};

struct RecurrentGemmaRecurrentBlock {
  uint32_t act;
  Linear linear_x, linear_y, linear_out;
  CausalConv1d conv_1d;
  RecurrentGemmaRglru rg_lru;
  RecurrentGemmaRecurrentBlock(const Scope& s, const RecurrentGemmaConfig& c, int layer)
      : act(c.hidden_act),
        linear_x(s / "linear_x", c.hidden_size, c.lru_width, true),
        linear_y(s / "linear_y", c.hidden_size, c.lru_width, true),
        linear_out(s / "linear_out", c.lru_width, c.hidden_size, true),
        conv_1d(s / "conv_1d", c.lru_width, c.conv1d_width, layer, true),
        rg_lru(s / "rg_lru", c, layer) {}
  Tensor operator()(Tensor x, Tensor positions) const {
    return linear_out(ActMul(linear_y(x), rg_lru(conv_1d(linear_x(x)), positions), act));
  }
};

struct RecurrentGemmaDecoderLayer {
  std::optional<RecurrentGemmaRecurrentBlock> recurrent;  // one of the two
  std::optional<RopeAttention> attention;
  RecurrentGemmaRMSNorm temporal_pre_norm, channel_pre_norm;
  GatedMlp mlp_block;
  RecurrentGemmaDecoderLayer(const Scope& s, const RecurrentGemmaConfig& c, int layer)
      : temporal_pre_norm(s / "temporal_pre_norm", c),
        channel_pre_norm(s / "channel_pre_norm", c),
        mlp_block(s / "mlp_block", c.hidden_size, c.intermediate_size / 2, c.hidden_act, true) {
    if (c.attends(layer)) {
      attention.emplace(s / "temporal_block", c, layer,
                        RopeAttention::Options{.qkv_bias = c.attention_bias,
                                               .output_bias = true,
                                               .window = c.attention_window_size});
    } else {
      recurrent.emplace(s / "temporal_block", c, layer);
    }
  }
  Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
    const Tensor normed = temporal_pre_norm(x);
    x = x + (recurrent ? (*recurrent)(normed, positions) : (*attention)(normed, rope, positions));
    return x + mlp_block(channel_pre_norm(x));
  }
};

struct RecurrentGemmaForCausalLM {
  static constexpr const char* kModelType = "recurrent_gemma";
  static constexpr const char* kArchitectures[] = {"RecurrentGemmaForCausalLM"};
  using ConfigType = RecurrentGemmaConfig;

  Rope rotary_emb;
  RecurrentGemmaRMSNorm final_norm;
  LayerList<RecurrentGemmaDecoderLayer> layers;
  RecurrentGemmaForCausalLM(const Scope& root, const RecurrentGemmaConfig& c)
      : rotary_emb(root, {.head_dim = c.head_dim, .theta = 10000, .partial_rotary_factor = 0.5}),
        final_norm(root / "model" / "final_norm", c),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return final_norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.recurrent_gemma", "0.1.0", keel::RecurrentGemmaForCausalLM);
