// Llama with a kernel of its own: gate, up, activation and down of a layer in one call. The weights
// are those of Llama's checkpoints; only the architecture's name differs.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "sdk/keel/blocks/decoder.h"
#include "sdk/keel/plugin.h"

namespace {

using namespace keel;  // a source file of a plugin's own; headers never do this

struct Bf16 {
  uint16_t bits;
  operator float() const {
    const uint32_t wide = static_cast<uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof(value));
    return value;
  }
  static Bf16 From(float value) {
    uint32_t wide;
    std::memcpy(&wide, &value, sizeof(wide));
    return {static_cast<uint16_t>((wide + 0x7fff + (wide >> 16 & 1)) >> 16)};
  }
};
inline void Store(float value, float* to) { *to = value; }
inline void Store(float value, Bf16* to) { *to = Bf16::From(value); }

// A fixed order of sums, whatever else is in the step: KEEL_KERNEL_INVARIANT. Several of them at
// once, which the compiler makes vector instructions of.
template <typename A, typename B>
float Dot(const A* a, const B* b, int64_t n) {
  constexpr int kSums = 16;
  float sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int j = 0; j < kSums; ++j)
      sums[j] += static_cast<float>(a[i + j]) * static_cast<float>(b[i + j]);
  }
  float sum = 0;
  for (; i < n; ++i) sum += static_cast<float>(a[i]) * static_cast<float>(b[i]);
  for (const float part : sums) sum += part;
  return sum;
}

// x [N, H], gate and up [I, H], down [H, I] -> down(silu(gate x) * (up x)), [N, H].
class FusedMlpKernel {
 public:
  static constexpr const char* kKernel = "org.example.fused_mlp";
  static constexpr uint32_t kFlags =
      KEEL_KERNEL_ROWWISE | KEEL_KERNEL_DETERMINISTIC | KEEL_KERNEL_INVARIANT;

  static std::vector<Meta> Infer(const KernelUse& use, std::span<const Meta> in) {
    if (in.size() != 4) throw Error("takes x, gate, up and down");
    if (use.attrs.String("act", "silu") != "silu") use.attrs.Fail("act", "expected silu");
    const Meta &x = in[0], &gate = in[1], &up = in[2], &down = in[3];
    const bool fits = x.ndim == 2 && gate.ndim == 2 && up.ndim == 2 && down.ndim == 2 &&
                      gate.dims[1] == x.dims[1] && up.dims[1] == x.dims[1] &&
                      up.dims[0] == gate.dims[0] && down.dims[0] == x.dims[1] &&
                      down.dims[1] == gate.dims[0];
    if (!fits) throw Error("expected x [N, H], gate and up [I, H], down [H, I]");
    return {x};
  }

  explicit FusedMlpKernel(const KernelUse& use) : is_bf16_(use.dtype == KEEL_BF16) {
    if (use.dtype != KEEL_F32 && use.dtype != KEEL_BF16)
      throw Unsupported("float32 and bfloat16 alone; choose with --dtype");
  }

  size_t Workspace(Operands in, Results) const {
    return sizeof(float) * in[0].Size(0) * in[1].Size(0);
  }

  void Run(const KernelContext& context, Operands in, Results out) const {
    is_bf16_ ? RunAs<Bf16>(context, in, out) : RunAs<float>(context, in, out);
  }

 private:
  template <typename T>
  static void RunAs(const KernelContext& context, Operands in, Results out) {
    const int64_t rows = in[0].Size(0), hidden = in[0].Size(1), inner = in[1].Size(0);
    const T *x = in[0].Data<T>(), *gate = in[1].Data<T>(), *up = in[2].Data<T>();
    const T* down = in[3].Data<T>();
    float* between = context.Workspace<float>();
    context.ParallelFor(rows * inner, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* row = x + i / inner * hidden;
        const float g = Dot(row, gate + i % inner * hidden, hidden);
        between[i] = g / (1 + std::exp(-g)) * Dot(row, up + i % inner * hidden, hidden);
      }
    });
    context.ParallelFor(rows * hidden, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        Store(Dot(between + i / hidden * inner, down + i % hidden * inner, inner),
              out[0].Data<T>() + i);
      }
    });
  }

  const bool is_bf16_;
};

struct FusedMlp {
  Param gate_proj, up_proj, down_proj;
  Kernel kernel;
  FusedMlp(const Scope& s, int64_t hidden, int64_t inner)
      : gate_proj(s / "gate_proj" / "weight", {inner, hidden}),
        up_proj(s / "up_proj" / "weight", {inner, hidden}),
        down_proj(s / "down_proj" / "weight", {hidden, inner}),
        kernel(s, FusedMlpKernel::kKernel, R"({"act": "silu"})") {}
  Tensor operator()(Tensor x) const {
    return kernel({x, gate_proj(x.run), up_proj(x.run), down_proj(x.run)});
  }
};

struct FusedLlamaConfig : DenseConfig {
  explicit FusedLlamaConfig(const Config& c) : DenseConfig(c) {}
  Spec spec() const {
    Spec s = DenseConfig::spec();
    std::erase_if(s.tp_plan, [](const auto& rule) {  // a kernel takes whole weights
      return std::string(rule.pattern).find(".mlp.") != std::string::npos;
    });
    return s;
  }
};

struct FusedLlamaForCausalLM {
  static constexpr const char* kModelType = "fused_llama";
  static constexpr const char* kArchitectures[] = {"FusedLlamaForCausalLM"};
  using ConfigType = FusedLlamaConfig;

  struct Layer {
    RopeAttention self_attn;
    FusedMlp mlp;
    RmsNorm input_layernorm, post_attention_layernorm;
    Layer(const Scope& s, const FusedLlamaConfig& c, int index)
        : self_attn(s / "self_attn", c, index, {}),
          mlp(s / "mlp", c.hidden_size, c.intermediate_size),
          input_layernorm(s / "input_layernorm", c.hidden_size, c.rms_norm_eps),
          post_attention_layernorm(s / "post_attention_layernorm", c.hidden_size, c.rms_norm_eps) {}
    Tensor operator()(Tensor x, const Rope& rope, Tensor positions) const {
      x = x + self_attn(input_layernorm(x), rope, positions);
      return x + mlp(post_attention_layernorm(x));
    }
  };

  Rope rotary_emb;
  RmsNorm norm;
  LayerList<Layer> layers;
  FusedLlamaForCausalLM(const Scope& root, const FusedLlamaConfig& c)
      : rotary_emb(root, c.rope()),
        norm(root / "model" / "norm", c.hidden_size, c.rms_norm_eps),
        layers(root / "model" / "layers", c.num_hidden_layers, c) {}
  Tensor Forward(const Inputs& in) const {
    return norm(layers(in.embeds, rotary_emb, in.positions));
  }
};

}  // namespace

KEEL_PLUGIN("org.example.fused_mlp", "1.0.0", FusedLlamaForCausalLM, FusedMlpKernel);
