#include "core/graph/testing.h"

#include <deque>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/config/spec_builder.h"

namespace keel::testing {
namespace {

constexpr int64_t kHidden = 64, kHeads = 4, kKvHeads = 2, kHeadDim = 16, kIntermediate = 96;

struct Layer {
  keel_object input_norm, q, k, v, o, attention, post_norm, gate, up, down;
};

struct Model {
  TinyModel options;
  keel_object rope, norm;
  Layer layers[2];
};

keel_status Config(void* plugin, keel_config*, keel_spec* spec) {
  const auto& options = *static_cast<const TinyModel*>(plugin);
  const keel_spec_api& api = SpecApi();
  api.set_int(spec, "num_layers", 2);
  api.set_int(spec, "hidden_size", kHidden);
  api.set_int(spec, "vocab_size", 128);
  for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                           "mlp.gate_proj", "mlp.up_proj"}) {
    api.tp_plan(spec, absl::StrCat("layers.*.", name).c_str(), "colwise");
  }
  api.tp_plan(spec, "layers.*.self_attn.o_proj", options.o_proj_style);
  api.tp_plan(spec, "layers.*.mlp.down_proj", "rowwise");
  for (const auto& [pattern, style] : options.extra_rules) api.tp_plan(spec, pattern, style);
  for (const auto& [pattern, style] : options.ep_rules) api.ep_plan(spec, pattern, style);
  for (const TinyModel::PpChild& c : options.pp_plan) {
    api.pp_plan(spec, c.child, c.inputs.data(), static_cast<uint32_t>(c.inputs.size()),
                c.outputs.data(), static_cast<uint32_t>(c.outputs.size()));
  }
  if (options.groups != nullptr) {
    keel_input input{};
    input.struct_size = sizeof(input), input.name = "groups", input.dtype = KEEL_I32;
    input.ndim = 1, input.dims[0] = -1;
    api.input(spec, "forward", &input);
  }
  if (options.extra_pattern != nullptr) api.tp_plan(spec, options.extra_pattern, "colwise");
  return api.status(spec);
}

keel_status Create(void* plugin, keel_config*, keel_build* build, void** out) {
  auto* model = new Model{*static_cast<const TinyModel*>(plugin), 0, 0, {}};
  *out = model;
  const keel_build_api& api = *build->api;
  const auto text = [](const std::string& s) { return keel_str{s.data(), s.size()}; };
  const auto linear = [&](const std::string& name, int64_t in, int64_t size) {
    return api.linear(build, text(name), in, size, 0);
  };
  const auto norm = [&](const std::string& name) {
    keel_norm_desc desc{};
    desc.struct_size = sizeof(desc), desc.size = kHidden, desc.eps = 1e-6;
    return api.norm(build, text(name), &desc);
  };
  keel_rope_desc rope{};
  rope.struct_size = sizeof(rope), rope.head_dim = kHeadDim, rope.theta = 10000;
  model->rope = api.rope(build, &rope);
  for (int i = 0; i < 2; ++i) {
    const std::string s = absl::StrCat("model.layers.", i, ".");
    Layer& l = model->layers[i];
    l.input_norm = norm(s + "input_layernorm");
    l.q = linear(s + "self_attn.q_proj", kHidden, kHeads * kHeadDim);
    l.k = linear(s + "self_attn.k_proj", kHidden, kKvHeads * kHeadDim);
    l.v = linear(s + "self_attn.v_proj", kHidden, kKvHeads * kHeadDim);
    l.o = linear(s + "self_attn.o_proj", kHeads * kHeadDim, kHidden);
    keel_attention_desc attention{};
    attention.struct_size = sizeof(attention), attention.layer = i;
    attention.heads = kHeads, attention.kv_heads = kKvHeads,
    attention.qk_dim = attention.v_dim = kHeadDim;
    if (i == 1 && model->options.share_kv)
      attention.flags = KEEL_ATTENTION_SHARE_KV, attention.kv_share_layer = 0;
    l.attention = api.attention(build, text(s + "self_attn"), &attention);
    l.post_norm = norm(s + "post_attention_layernorm");
    l.gate = linear(s + "mlp.gate_proj", kHidden, kIntermediate);
    l.up = linear(s + "mlp.up_proj", kHidden, kIntermediate);
    l.down = linear(s + "mlp.down_proj", kIntermediate, kHidden);
  }
  model->norm = norm("model.norm");
  if (model->options.declare != nullptr) model->options.declare(build);
  return api.status(build);
}

keel_status Forward(const void* self, keel_run* r, const keel_forward_inputs* in,
                    keel_tensor* hidden) {
  const Model& model = *static_cast<const Model*>(self);
  const keel_ops& op = *r->ops;
  const int64_t heads[] = {0, -1, kHeadDim}, flat[] = {0, -1};
  keel_tensor x = in->embeds;
  for (int i = 0; i < 2; ++i) {
    const Layer& l = model.layers[i];
    op.mark(r, KEEL_MARK_LAYER_BEGIN, i);
    keel_tensor h = op.norm(r, l.input_norm, x);
    const keel_tensor q =
        op.rope(r, model.rope, op.view(r, op.linear(r, l.q, h), 3, heads), in->positions);
    keel_tensor k = 0, v = 0;
    if (i == 0 || !model.options.share_kv) {
      k = op.rope(r, model.rope, op.view(r, op.linear(r, l.k, h), 3, heads), in->positions);
      v = op.view(r, op.linear(r, l.v, h), 3, heads);
    }
    std::vector<keel_arg> args;
    if (const auto slopes = model.options.attention_args)
      args.push_back({"alibi_slopes", 0, slopes(r), 0});
    if (const auto bias = model.options.query_bias)
      args.push_back({"query_distance_bias", 0, bias(r, q), 0});
    if (const auto groups = model.options.groups)
      args.push_back({"groups", 0, groups(r, in->extras[0]), 0});
    const keel_tensor a = op.view(
        r, op.attention(r, l.attention, q, k, v, args.data(), static_cast<uint32_t>(args.size())),
        2, flat);
    x = op.add(r, x, op.linear(r, l.o, a));
    h = op.norm(r, l.post_norm, x);
    const keel_tensor gate = op.linear(r, l.gate, h), up = op.linear(r, l.up, h);
    h = op.act_mul(r, gate, up, KEEL_ACT_SILU);
    h = op.linear(r, l.down, h);
    if (model.options.after_mlp != nullptr) h = model.options.after_mlp(r, h);
    if (model.options.after_layer != nullptr) h = model.options.after_layer(r, h, i);
    x = op.add(r, x, h);
    op.mark(r, KEEL_MARK_LAYER_END, i);
  }
  *hidden = op.norm(r, model.norm, x);
  return op.status(r);
}

void Destroy(void* model) { delete static_cast<Model*>(model); }

}  // namespace

std::vector<TinyModel::PpChild> LlamasPpPlan() {
  return {{"embed_tokens", {"input_ids"}, {"inputs_embeds"}},
          {"layers", {"hidden_states", "attention_mask"}, {"hidden_states"}},
          {"norm", {"hidden_states"}, {"hidden_states"}}};
}

absl::StatusOr<RecordedModel> RecordTinyModel(const TinyModel& options) {
  static const char* const architectures[] = {"TinyForCausalLM", nullptr};
  // Recorded models keep pointers to theirs.
  static auto* classes = new std::deque<keel_model_class>;
  keel_model_class& model_class = classes->emplace_back();
  model_class.struct_size = sizeof(model_class);
  model_class.name = "TinyForCausalLM";
  model_class.model_type = options.model_type;
  model_class.architectures = architectures;
  model_class.config = Config;
  model_class.create = Create;
  model_class.forward = Forward;
  model_class.logits = options.logits;
  model_class.destroy = Destroy;
  static const auto* config = new boost::json::value(boost::json::object{{"rope_theta", 10000.0}});
  TinyModel copy = options;
  ModelSource source;
  source.model_class = &model_class;
  source.plugin = &copy;
  source.plugin_name = "tiny 1";
  source.kernels.classes = options.kernels;
  return RecordModel(source, *config, "config.json");
}

}  // namespace keel::testing
