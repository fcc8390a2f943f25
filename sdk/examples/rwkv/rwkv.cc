// RWKV-4 (arXiv:2305.13048; models/rwkv in transformers): no attention, and a recurrence that the
// header has no op for. Two kernels of the plugin's own are all that is missing: the row before, and
// the weighted sum over the past. What they carry from token to token are states, which the host
// makes, forks and frees.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sdk/keel/plugin.h"

namespace {

using namespace keel;  // a source file of a plugin's own; headers never do this

constexpr uint32_t kPromises = KEEL_KERNEL_DETERMINISTIC | KEEL_KERNEL_INVARIANT;

// Runs f(sequence, channel) for every sequence of the step and every channel.
template <typename F>
void ForEachChannel(const KernelContext& context, int64_t channels, const F& f) {
  context.ParallelFor(context.NumSequences() * channels, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(static_cast<uint32_t>(i / channels), i % channels);
  });
}

// x [N, C] -> each token's row before, zeros for the first; state [C].
class TimeShiftKernel {
 public:
  static constexpr const char* kKernel = "org.example.rwkv.time_shift";
  static constexpr uint32_t kFlags = kPromises;
  static std::vector<Meta> Infer(const KernelUse&, std::span<const Meta> in) {
    if (in.size() != 1 || in[0].ndim != 2 || in[0].dtype != KEEL_F32)
      throw Error("expected x [N, C], fp32");
    return {in[0]};
  }
  explicit TimeShiftKernel(const KernelUse&) {}

  void Run(const KernelContext& context, Operands in, Results out) const {
    const int64_t channels = in[0].Size(1);
    const float* x = in[0].Data<float>();
    float* y = out[0].Data<float>();
    ForEachChannel(context, channels, [&](uint32_t sequence, int64_t c) {
      float& before = context.State<float>(0, sequence)[c];
      for (int64_t n = context.FirstRow(sequence); n < context.EndRow(sequence); ++n) {
        y[n * channels + c] = before;
        before = x[n * channels + c];
      }
    });
  }
};

// key, value [N, C], time_decay, time_first [C] -> [N, C]; state [3, C]: numerator, denominator and
// the exponent that both are scaled by. A denominator of 0 says that nothing has been seen.
class WkvKernel {
 public:
  static constexpr const char* kKernel = "org.example.rwkv.wkv";
  static constexpr uint32_t kFlags = kPromises;
  static std::vector<Meta> Infer(const KernelUse&, std::span<const Meta> in) {
    const bool fits = in.size() == 4 && std::all_of(in.begin(), in.end(), [&](const Meta& meta) {
                        return meta.dtype == KEEL_F32 && meta.ndim >= 1 &&
                               meta.dims[meta.ndim - 1] == in[0].dims[1];
                      });
    if (!fits) throw Error("expected key, value [N, C], time_decay, time_first [C], fp32");
    return {in[0]};
  }
  explicit WkvKernel(const KernelUse&) {}

  void Run(const KernelContext& context, Operands in, Results out) const {
    const int64_t channels = in[0].Size(1);
    const float *key = in[0].Data<float>(), *value = in[1].Data<float>();
    float* y = out[0].Data<float>();
    ForEachChannel(context, channels, [&](uint32_t sequence, int64_t c) {
      float* state = context.State<float>(0, sequence);
      float &num = state[c], &den = state[channels + c], &exponent = state[2 * channels + c];
      const float decay = -std::exp(in[2].Data<float>()[c]), first = in[3].Data<float>()[c];
      for (int64_t n = context.FirstRow(sequence); n < context.EndRow(sequence); ++n) {
        const float k = key[n * channels + c], v = value[n * channels + c];
        const float past = den > 0 ? exponent : k + first;
        const float largest = std::max(past, k + first);
        const float old = std::exp(past - largest), now = std::exp(k + first - largest);
        y[n * channels + c] = (old * num + now * v) / (old * den + now);
        const float kept = den > 0 ? std::max(exponent + decay, k) : k;
        const float before = den > 0 ? std::exp(exponent + decay - kept) : 0;
        const float weight = std::exp(k - kept);
        num = before * num + weight * v;
        den = before * den + weight;
        exponent = kept;
      }
    });
  }
};

struct RwkvConfig {
  int64_t hidden_size, attention_hidden_size, intermediate_size, num_hidden_layers, vocab_size;
  int64_t context_length;
  double layer_norm_epsilon;
  bool tie_word_embeddings;
  explicit RwkvConfig(const Config& c)
      : hidden_size(c.Int("hidden_size")),
        attention_hidden_size(c.Int("attention_hidden_size", hidden_size)),
        intermediate_size(c.Int("intermediate_size", 4 * hidden_size)),
        num_hidden_layers(c.Int("num_hidden_layers")),
        vocab_size(c.Int("vocab_size")),
        context_length(c.Int("context_length", 1024)),
        layer_norm_epsilon(c.Real("layer_norm_epsilon", 1e-5)),
        tie_word_embeddings(c.Bool("tie_word_embeddings", false)) {}
  Spec spec() const {
    Spec s;
    s.num_layers = num_hidden_layers;
    s.hidden_size = hidden_size;
    s.vocab_size = vocab_size;
    s.max_positions = context_length;
    s.tie_word_embeddings = tie_word_embeddings;
    s.base_model_prefix = "rwkv";
    s.embed_tokens = "rwkv.embeddings";
    s.lm_head = "head";
    return s;
  }
};

// A state of fp32, and the kernel that has it alone.
struct Carried {
  State state;
  Kernel kernel;
  Carried(const Scope& s, const char* name, int layer, std::initializer_list<int64_t> dims)
      : state(s / "state", Desc(layer, dims)), kernel(s, name, "", {state.object}) {}
  static keel_state_desc Desc(int layer, std::initializer_list<int64_t> dims) {
    keel_state_desc desc = {.kind = KEEL_STATE_OTHER,
                            .layer = layer,
                            .ndim = static_cast<uint32_t>(dims.size()),
                            .dtype = KEEL_F32};
    std::copy(dims.begin(), dims.end(), desc.dims);
    return desc;
  }
  Tensor operator()(const std::vector<Tensor>& in) const { return kernel(in); }
};

// x and the row before, mixed channel by channel.
struct TimeMix {
  Param mix;
  TimeMix(const Scope& s, int64_t size) : mix(s, {1, 1, size}) {}
  Tensor operator()(Tensor x, Tensor before) const {
    const Tensor now = mix(x.run).View({-1});
    return x * now + before * (now * -1.0 + 1.0);
  }
};

struct RwkvSelfAttention {
  Param time_decay, time_first;
  TimeMix time_mix_key, time_mix_value, time_mix_receptance;
  Linear key, value, receptance, output;
  Carried shift, wkv;
  RwkvSelfAttention(const Scope& s, const RwkvConfig& c, int layer)
      : time_decay(s / "time_decay", {c.attention_hidden_size}, KEEL_F32),
        time_first(s / "time_first", {c.attention_hidden_size}, KEEL_F32),
        time_mix_key(s / "time_mix_key", c.hidden_size),
        time_mix_value(s / "time_mix_value", c.hidden_size),
        time_mix_receptance(s / "time_mix_receptance", c.hidden_size),
        key(s / "key", c.hidden_size, c.attention_hidden_size),
        value(s / "value", c.hidden_size, c.attention_hidden_size),
        receptance(s / "receptance", c.hidden_size, c.attention_hidden_size),
        output(s / "output", c.attention_hidden_size, c.hidden_size),
        shift(s / "shift", TimeShiftKernel::kKernel, layer, {c.hidden_size}),
        wkv(s / "wkv", WkvKernel::kKernel, layer, {3, c.attention_hidden_size}) {}
  Tensor operator()(Tensor x) const {
    const Tensor before = shift({x.Cast(KEEL_F32)}).Cast(KEEL_DTYPE_MODEL);
    const Tensor k = key(time_mix_key(x, before)), v = value(time_mix_value(x, before));
    const Tensor r = receptance(time_mix_receptance(x, before)).Sigmoid();
    const Tensor sum =
        wkv({k.Cast(KEEL_F32), v.Cast(KEEL_F32), time_decay(x.run), time_first(x.run)});
    return output(r * sum.Cast(KEEL_DTYPE_MODEL));
  }
};

struct RwkvFeedForward {
  TimeMix time_mix_key, time_mix_receptance;
  Linear key, receptance, value;
  Carried shift;
  RwkvFeedForward(const Scope& s, const RwkvConfig& c, int layer)
      : time_mix_key(s / "time_mix_key", c.hidden_size),
        time_mix_receptance(s / "time_mix_receptance", c.hidden_size),
        key(s / "key", c.hidden_size, c.intermediate_size),
        receptance(s / "receptance", c.hidden_size, c.hidden_size),
        value(s / "value", c.intermediate_size, c.hidden_size),
        shift(s / "shift", TimeShiftKernel::kKernel, layer, {c.hidden_size}) {}
  Tensor operator()(Tensor x) const {
    const Tensor before = shift({x.Cast(KEEL_F32)}).Cast(KEEL_DTYPE_MODEL);
    const Tensor k = key(time_mix_key(x, before)).Act(KEEL_ACT_RELU2);
    return receptance(time_mix_receptance(x, before)).Sigmoid() * value(k);
  }
};

struct RwkvBlock {
  LayerNorm ln1, ln2;
  RwkvSelfAttention attention;
  RwkvFeedForward feed_forward;
  RwkvBlock(const Scope& s, const RwkvConfig& c, int layer)
      : ln1(s / "ln1", c.hidden_size, c.layer_norm_epsilon),
        ln2(s / "ln2", c.hidden_size, c.layer_norm_epsilon),
        attention(s / "attention", c, layer),
        feed_forward(s / "feed_forward", c, layer) {}
  Tensor operator()(Tensor x) const {
    x = x + attention(ln1(x));
    return x + feed_forward(ln2(x));
  }
};

struct RwkvForCausalLM {
  static constexpr const char* kModelType = "rwkv";
  static constexpr const char* kArchitectures[] = {"RwkvForCausalLM"};
  using ConfigType = RwkvConfig;

  LayerNorm pre_ln;  // the first block's
  LayerList<RwkvBlock> blocks;
  LayerNorm ln_out;
  RwkvForCausalLM(const Scope& root, const RwkvConfig& c)
      : pre_ln(root / "rwkv" / "blocks" / 0 / "pre_ln", c.hidden_size, c.layer_norm_epsilon),
        blocks(root / "rwkv" / "blocks", c.num_hidden_layers, c),
        ln_out(root / "rwkv" / "ln_out", c.hidden_size, c.layer_norm_epsilon) {}
  Tensor Forward(const Inputs& in) const { return ln_out(blocks(pre_ln(in.embeds))); }
};

}  // namespace

KEEL_PLUGIN("org.example.rwkv", "1.0.0", RwkvForCausalLM, TimeShiftKernel, WkvKernel);
