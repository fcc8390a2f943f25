// What a model is built from. A constructor declares (names and global shapes; no tensor exists),
// operator() says what is computed. Members are named as the checkpoint names them: s / "q_proj" is
// "<scope>.q_proj".
//
//   #include "sdk/keel/layers.h"
//   using namespace keel;
//
//   struct MyLayer {
//     RmsNorm norm;
//     Linear proj;
//     MyLayer(const Scope& s, int64_t size, int /*layer*/)
//         : norm(s / "norm", size, 1e-6), proj(s / "proj", size, size) {}
//     Tensor operator()(Tensor x) const { return x + proj(norm(x)); }
//   };
//
//   struct MyStack {  // layers.0.norm.weight, layers.0.proj.weight, layers.1.norm.weight ...
//     LayerList<MyLayer> layers;
//     explicit MyStack(const Scope& root) : layers(root / "layers", 2, 64) {}
//     Tensor Forward(const Inputs& in) const { return layers(in.embeds); }
//   };
#ifndef KEEL_SDK_KEEL_LAYERS_H_
#define KEEL_SDK_KEEL_LAYERS_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/keel/tensor.h"

// {.size = n} leaves the rest 0, which is how the ABI's structs are meant to be filled, in this
// header and in a plugin's own sources.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace keel {

// What Forward gets.
struct Inputs {
  keel_run* run;
  Tensor embeds;               // [N, H]
  Tensor positions;            // [N], or as the spec's input "positions" says
  std::vector<Tensor> extras;  // the spec's other inputs of "forward", in order
};

// A place in the model's tree of names: root / "model" / "layers" / 3 is "model.layers.3".
class Scope {
 public:
  explicit Scope(keel_build* build, std::string name = "")
      : build_(build), name_(std::move(name)) {}

  Scope operator/(std::string_view child) const {
    return Scope(build_, name_.empty() ? std::string(child) : name_ + "." + std::string(child));
  }
  Scope operator/(int64_t index) const { return *this / std::to_string(index); }

  keel_build* build() const { return build_; }
  const keel_build_api& api() const { return *build_->api; }
  keel_str name() const { return {name_.data(), name_.size()}; }

 private:
  keel_build* build_;
  std::string name_;
};

// y = x W^T (+ b), [.., in] -> [.., out]; "<scope>.weight" is [out, in].
struct Linear {
  keel_object object;
  Linear(const Scope& s, int64_t in, int64_t out, bool bias = false)
      : object(s.api().linear(s.build(), s.name(), in, out, bias ? KEEL_LINEAR_BIAS : 0)) {}
  Tensor operator()(Tensor x) const { return x.With(x.ops().linear(x.run, object, x.id)); }
};

// Rows of a table, [N] -> [N, size]. The token embedding is the host's: see Spec::embed_tokens.
struct Embedding {
  keel_object object;
  Embedding(const Scope& s, int64_t rows, int64_t size)
      : object(s.api().embedding(s.build(), s.name(), rows, size, KEEL_EMBEDDING_DEFAULT)) {}
  Tensor operator()(Tensor ids) const { return ids.With(ids.ops().embed(ids.run, object, ids.id)); }
};

// Over the last `size` elements, same shape; see keel_norm_desc.
struct Norm {
  keel_object object;
  Norm(const Scope& s, keel_norm_desc desc) {
    desc.struct_size = sizeof(desc);
    object = s.api().norm(s.build(), s.name(), &desc);
  }
  Tensor operator()(Tensor x) const { return x.With(x.ops().norm(x.run, object, x.id)); }
};

// `flags`: KEEL_NORM_*. Gemma's is RmsNorm(s, size, eps, 1, KEEL_NORM_CAST_LAST).
struct RmsNorm : Norm {
  RmsNorm(const Scope& s, int64_t size, double eps, double weight_offset = 0, uint32_t flags = 0)
      : Norm(s, Desc(size, eps, weight_offset, flags)) {}
  // For blocks that take a norm as an option.
  static keel_norm_desc Desc(int64_t size, double eps, double weight_offset = 0,
                             uint32_t flags = 0) {
    return {.kind = KEEL_NORM_RMS,
            .size = size,
            .eps = eps,
            .weight_offset = weight_offset,
            .flags = flags};
  }
};

// torch.nn.LayerNorm, which rounds once, behind the weight and the bias.
struct LayerNorm : Norm {
  LayerNorm(const Scope& s, int64_t size, double eps, bool bias = true)
      : Norm(s, Desc(size, eps, bias)) {}
  static keel_norm_desc Desc(int64_t size, double eps, bool bias = true) {
    return {.kind = KEEL_NORM_LAYER,
            .size = size,
            .eps = eps,
            .flags = KEEL_NORM_CAST_LAST | (bias ? KEEL_NORM_BIAS : 0)};
  }
};

// Rotary embedding of each head, [N, heads, D] -> the same. What is said here is the family's
// default, the config's rope_parameters decide: {.head_dim = 64, .partial_rotary_factor = 0.25}
// rotates a quarter of each head unless the config says otherwise.
struct Rope {
  keel_object object;
  Rope(const Scope& s, keel_rope_desc desc) {
    desc.struct_size = sizeof(desc);
    object = s.api().rope(s.build(), &desc);
  }
  // `params`: where the config has them, if not in rope_parameters:
  // "rope_parameters/full_attention".
  Rope(const Scope& s, int64_t head_dim, double theta = 10000, const char* params = nullptr)
      : Rope(s, {.head_dim = head_dim, .theta = theta, .params = params}) {}
  // With frequencies of the model's own, one for each pair of the rotary_size.
  Rope(const Scope& s, keel_rope_desc desc, const std::vector<double>& inv_freq)
      : Rope(s, WithFrequencies(desc, inv_freq)) {}
  Tensor operator()(Tensor x, Tensor positions) const {
    return x.With(x.ops().rope(x.run, object, x.id, positions.id));
  }

 private:
  static keel_rope_desc WithFrequencies(keel_rope_desc desc, const std::vector<double>& inv_freq) {
    desc.inv_freq = inv_freq.data();
    desc.num_inv_freq = static_cast<uint32_t>(inv_freq.size());
    if (desc.rotary_size == 0) desc.rotary_size = 2 * static_cast<int64_t>(inv_freq.size());
    return desc;
  }
};

// softmax(q k^T) v over the sequence's cached keys: q [N, heads, qk_dim], k [N, kv_heads, qk_dim],
// v [N, kv_heads, v_dim] -> [N, heads, v_dim]. The implementation is the host's choice, or the
// config's.
struct Attention {
  keel_object object;
  Attention(const Scope& s, keel_attention_desc desc) {
    desc.struct_size = sizeof(desc);
    object = s.api().attention(s.build(), s.name(), &desc);
  }
  Tensor operator()(Tensor q, Tensor k, Tensor v, std::initializer_list<Arg> args = {}) const {
    const std::vector<keel_arg> abi = ToAbi(args);
    return q.With(q.ops().attention(q.run, object, q.id, k.id, v.id, abi.data(),
                                    static_cast<uint32_t>(abi.size())));
  }
};

// Experts with a router of the model's own: x [N, H], router_logits [N, experts] -> [N, H]. See
// keel_moe_desc, and blocks/moe.h for the usual router.
struct Moe {
  keel_object object;
  Moe(const Scope& s, keel_moe_desc desc) {
    desc.struct_size = sizeof(desc);
    object = s.api().moe(s.build(), s.name(), &desc);
  }
  Tensor operator()(Tensor x, Tensor router_logits) const {
    return x.With(x.ops().moe(x.run, object, x.id, router_logits.id));
  }
  // The model has chosen: expert_ids, weights [N, top_k].
  Tensor Routed(Tensor x, Tensor expert_ids, Tensor weights) const {
    return x.With(x.ops().moe_routed(x.run, object, x.id, expert_ids.id, weights.id));
  }
};

// See keel_conv_desc. For one that looks back over tokens: blocks/causal_conv1d.h.
struct Conv {
  keel_object object;
  Conv(const Scope& s, keel_conv_desc desc) {
    desc.struct_size = sizeof(desc);
    object = s.api().conv(s.build(), s.name(), &desc);
  }
  Tensor operator()(Tensor x) const { return x.With(x.ops().conv(x.run, object, x.id)); }
};

// What a sequence carries from token to token, and the recurrence over it: kinds, shapes and
// arguments are at KEEL_RECUR_*.
struct State {
  keel_object object;
  State(const Scope& s, keel_state_desc desc) {
    desc.struct_size = sizeof(desc);
    object = s.api().state(s.build(), s.name(), &desc);
  }
  Tensor operator()(uint32_t kind, Tensor x, std::initializer_list<Arg> args) const {
    const std::vector<keel_arg> abi = ToAbi(args);
    return x.With(
        x.ops().recur(x.run, object, kind, x.id, abi.data(), static_cast<uint32_t>(abi.size())));
  }
};

// A kernel of the plugin's own (kernel_class.h), which KEEL_PLUGIN lists too. `attrs` is a JSON
// object; `states` are those that it reads and writes: objects of State.
struct Kernel {
  keel_object object;
  Kernel(const Scope& s, const char* kernel, std::string_view attrs = {},
         std::initializer_list<keel_object> states = {}) {
    const keel_kernel_desc desc = {sizeof(desc),
                                   static_cast<uint32_t>(states.size()),
                                   kernel,
                                   {attrs.data(), attrs.size()},
                                   states.begin()};
    object = s.api().kernel(s.build(), s.name(), &desc);
  }
  // One result, of one operand or more.
  Tensor operator()(const std::vector<Tensor>& in) const { return Call(in, 1)[0]; }
  std::vector<Tensor> Call(const std::vector<Tensor>& in, uint32_t num_results) const {
    std::vector<keel_tensor> ids, results(num_results);
    for (const Tensor& x : in) ids.push_back(x.id);
    in.front().ops().call(in.front().run, object, ids.data(), static_cast<uint32_t>(ids.size()),
                          results.data(), num_results);
    std::vector<Tensor> out;
    for (const keel_tensor id : results) out.push_back(in.front().With(id));
    return out;
  }
};

// A raw tensor; its name is used as it is.
struct Param {
  keel_object object;
  Param(const Scope& s, std::initializer_list<int64_t> dims, uint32_t dtype = KEEL_DTYPE_MODEL)
      : object(s.api().param(s.build(), s.name(), dtype, static_cast<uint32_t>(dims.size()),
                             dims.begin())) {}
  Tensor operator()(keel_run* run) const { return {run, run->ops->param(run, object)}; }
};

// Marks the layer that the ops in its lifetime belong to: pipeline cuts, taps and profiles.
// LayerList does this; for a model that writes its loop out.
class LayerMark {
 public:
  LayerMark(keel_run* run, int index) : run_(run), index_(index) {
    run->ops->mark(run, KEEL_MARK_LAYER_BEGIN, index);
  }
  ~LayerMark() { run_->ops->mark(run_, KEEL_MARK_LAYER_END, index_); }
  LayerMark(const LayerMark&) = delete;
  LayerMark& operator=(const LayerMark&) = delete;

 private:
  keel_run* run_;
  int index_;
};

// The layers of a decoder, one after the other: `count` of them, declared as <scope>.0, <scope>.1
// ... and run in order, each within its mark. Layer(scope, args..., index) declares one,
// layer(x, args...) -> x runs it.
template <typename Layer>
class LayerList {
 public:
  template <typename... Args>
  LayerList(const Scope& s, int64_t count, const Args&... args) {
    for (int64_t i = 0; i < count; ++i) layers_.emplace_back(s / i, args..., static_cast<int>(i));
  }

  template <typename... Args>
  Tensor operator()(Tensor x, const Args&... args) const {
    for (size_t i = 0; i < layers_.size(); ++i) {
      const LayerMark mark(x.run, static_cast<int>(i));
      x = layers_[i](x, args...);
    }
    return x;
  }

 private:
  std::vector<Layer> layers_;
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_LAYERS_H_
