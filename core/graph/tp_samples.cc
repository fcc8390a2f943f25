#include "core/graph/tp_samples.h"

#include <cstdint>
#include <utility>

#include "sdk/abi/plugin.h"

namespace keel::testing {
namespace {

using Run = keel_run;
using T = keel_tensor;
using Rules = std::vector<std::pair<const char*, const char*>>;

constexpr keel_object kExtra = kFirstExtraObject;

keel_str Text(const char* text) { return {text, __builtin_strlen(text)}; }

T View(Run* r, T x, std::initializer_list<int64_t> dims) {
  return r->ops->view(r, x, static_cast<uint32_t>(dims.size()), dims.begin());
}
T Linear(Run* r, int index, T x) {
  return r->ops->linear(r, kExtra + static_cast<keel_object>(index), x);
}
T Param(Run* r, int index) { return r->ops->param(r, kExtra + static_cast<keel_object>(index)); }
T Narrow(Run* r, T x, int dim, int64_t start, int64_t length) {
  return r->ops->narrow(r, x, dim, start, length);
}
T Silu(Run* r, T x) { return r->ops->unary(r, x, KEEL_UNARY_ACT + KEEL_ACT_SILU); }

T Numbers(Run* r, std::initializer_list<int64_t> dims, std::vector<float> values) {
  int64_t size = 1;
  for (const int64_t dim : dims) size *= dim;
  for (int64_t i = static_cast<int64_t>(values.size()); i < size; ++i)
    values.push_back(0.25f * static_cast<float>(i % 7));
  return r->ops->constant(r, KEEL_F32, static_cast<uint32_t>(dims.size()), dims.begin(),
                          values.data());
}

// Ids below 64, one a token.
T Ids(Run* r, T x) {
  T values = 0, indices = 0;
  r->ops->topk(r, x, 1, &values, &indices);
  return View(r, indices, {-1});
}

// model.in [64 -> kIn], model.out [kOut -> 64].
template <int64_t kIn, int64_t kOut>
void DeclareTwo(keel_build* b) {
  b->api->linear(b, Text("model.in"), 64, kIn, KEEL_LINEAR_BIAS);
  b->api->linear(b, Text("model.out"), kOut, 64, KEEL_LINEAR_BIAS);
}

void DeclareEmbedding(keel_build* b) { b->api->embedding(b, Text("model.table"), 64, 64, 0); }

void DeclareMoe(keel_build* b) {
  keel_moe_desc d{};
  d.struct_size = sizeof(d), d.act = KEEL_ACT_SILU;
  d.experts = 64, d.top_k = 3, d.hidden_size = 64, d.intermediate_size = 8;
  d.gate = "{e}.gate", d.up = "{e}.up", d.down = "{e}.down";
  b->api->moe(b, Text("model.experts"), &d);
}

void DeclareHeads(keel_build* b) {
  DeclareTwo<64, 64>(b);
  const int64_t heads[] = {4}, square[] = {64, 64};
  b->api->param(b, Text("model.heads"), KEEL_F32, 1, heads);
  b->api->param(b, Text("model.matrix"), KEEL_DTYPE_MODEL, 2, square);
}

// A state of `kind` for each layer, behind the two linears.
template <uint32_t kKind, int64_t... kDims>
void DeclareStates(keel_build* b) {
  DeclareHeads(b);
  keel_state_desc d{};
  d.struct_size = sizeof(d), d.kind = kKind, d.dtype = KEEL_F32, d.ndim = sizeof...(kDims);
  int i = 0;
  for (const int64_t dim : {kDims...}) d.dims[i++] = dim;
  b->api->state(b, Text("model.state.0"), &d);
  d.layer = 1;
  b->api->state(b, Text("model.state.1"), &d);
}
constexpr int kFirstState = 4;

template <int64_t kGroups>
T Ssd(Run* r, T x, int layer) {
  const T in = View(r, Linear(r, 0, x), {0, 4, 16});
  const keel_arg args[] = {
      {"dt", 0, Narrow(r, x, 1, 0, 4), 0},
      {"A", 0, r->ops->affine(r, r->ops->unary(r, Param(r, 2), KEEL_UNARY_EXP), -1, 0), 0},
      {"B", 0, View(r, Narrow(r, x, 1, 8, 8), {0, kGroups, 8 / kGroups}), 0},
      {"C", 0, View(r, Narrow(r, x, 1, 16, 8), {0, kGroups, 8 / kGroups}), 0},
      {"D", 0, Param(r, 2), 0}};
  const T y = r->ops->recur(r, kExtra + static_cast<keel_object>(kFirstState + layer),
                            KEEL_RECUR_SSD, in, args, sizeof(args) / sizeof(args[0]));
  return Linear(r, 1, View(r, y, {0, 64}));
}

TinyModel After(T (*f)(Run*, T), void (*declare)(keel_build*), Rules rules) {
  TinyModel model;
  model.after_mlp = f;
  model.declare = declare;
  model.extra_rules = std::move(rules);
  return model;
}

TinyModel AfterLayer(T (*f)(Run*, T, int), void (*declare)(keel_build*), Rules rules) {
  TinyModel model;
  model.after_layer = f;
  model.declare = declare;
  model.extra_rules = std::move(rules);
  return model;
}

TinyModel Experts(Rules tp, Rules ep) {
  TinyModel model =
      After([](Run* r, T x) { return r->ops->moe(r, kExtra, x, x); }, DeclareMoe, std::move(tp));
  model.ep_rules = std::move(ep);
  return model;
}

TinyModel Slopes() {
  TinyModel model;
  model.attention_args = [](Run* r) { return Numbers(r, {4}, {0.1f, 0.2f, 0.3f, 0.4f}); };
  return model;
}

TinyModel WithRules(Rules rules) {
  TinyModel model;
  model.extra_rules = std::move(rules);
  return model;
}

const Rules kInOut = {{"in", "colwise"}, {"out", "rowwise"}};

}  // namespace

const std::vector<TpSample>& TpSamples() {
  static const auto* samples = new std::vector<TpSample>{
      {"the model", TinyModel()},
      {"lm_head, embed_tokens",
       WithRules({{"lm_head", "colwise_gather_output"}, {"embed_tokens", "embedding_rowwise"}})},
      {"embed_tokens by columns", WithRules({{"embed_tokens", "embedding_colwise"}})},
      {"names of transformers 4",
       After([](Run* r, T x) { return Linear(r, 1, Linear(r, 0, x)); }, DeclareTwo<96, 96>,
             {{"in", "local_colwise"}, {"out", "local_rowwise"}, {"layers.*.mlp", "gather"}})},
      {"colwise_rep, rowwise_rep",
       After([](Run* r, T x) { return Linear(r, 1, Silu(r, Linear(r, 0, x))); }, DeclareTwo<96, 96>,
             {{"in", "colwise_rep"}, {"out", "rowwise_rep"}})},
      {"packed_colwise, narrow",
       After(
           [](Run* r, T x) {
             const T both = Linear(r, 0, x);
             const T gate = Narrow(r, both, 1, 0, 96), up = Narrow(r, both, 1, 96, 96);
             return Linear(r, 1, r->ops->act_mul(r, gate, up, KEEL_ACT_SILU));
           },
           DeclareTwo<192, 96>, {{"in", "packed_colwise"}, {"out", "rowwise"}})},
      {"packed_colwise, view",
       After(
           [](Run* r, T x) {
             const T both = View(r, Linear(r, 0, x), {0, 2, 96});
             return Linear(r, 1, View(r, Narrow(r, both, 1, 1, 1), {0, 96}));
           },
           DeclareTwo<192, 96>, {{"in", "packed_colwise"}, {"out", "rowwise"}})},
      {"packed_colwise, packed_rowwise",
       After(
           [](Run* r, T x) {
             const T scale = r->ops->cast(r, Numbers(r, {192}, {}), KEEL_DTYPE_MODEL);
             return Linear(r, 1, r->ops->mul(r, Silu(r, Linear(r, 0, x)), scale));
           },
           DeclareTwo<192, 192>, {{"in", "packed_colwise"}, {"out", "packed_rowwise"}})},
      {"cat with a whole value",
       After(
           [](Run* r, T x) {
             const T parts[] = {View(r, Linear(r, 0, x), {0, 4, 16}), View(r, x, {0, 4, 16})};
             return Linear(r, 1, View(r, r->ops->cat(r, parts, 2, 2), {0, 128}));
           },
           DeclareTwo<64, 128>, kInOut)},
      {"repeat", After(
                     [](Run* r, T x) {
                       const T heads = View(r, Linear(r, 0, x), {0, 4, 16});
                       return Linear(r, 1, View(r, r->ops->repeat(r, heads, 1, 2), {0, 128}));
                     },
                     DeclareTwo<64, 128>, kInOut)},
      {"where, compare",
       After(
           [](Run* r, T x) {
             const T y = Linear(r, 0, x);
             const T other = r->ops->cast(r, Numbers(r, {64}, {}), KEEL_DTYPE_MODEL);
             return Linear(
                 r, 1, r->ops->where(r, r->ops->compare(r, y, other, KEEL_COMPARE_GT), y, other));
           },
           DeclareTwo<64, 64>, kInOut)},
      {"a parameter in no rule",
       After(
           [](Run* r, T x) {
             const T heads = View(r, Linear(r, 0, x), {0, 4, 16});
             const T scale = r->ops->cast(r, View(r, Param(r, 2), {4, 1}), KEEL_DTYPE_MODEL);
             return Linear(r, 1, View(r, r->ops->mul(r, heads, scale), {0, 64}));
           },
           DeclareHeads, kInOut)},
      {"a parameter by heads",
       After(
           [](Run* r, T x) {
             const T heads = View(r, Linear(r, 0, x), {0, 4, 16});
             const T scale = r->ops->cast(r, View(r, Param(r, 2), {0, 1}), KEEL_DTYPE_MODEL);
             return Linear(r, 1, View(r, r->ops->mul(r, heads, scale), {0, 64}));
           },
           DeclareHeads, {{"in", "colwise"}, {"out", "rowwise"}, {"heads", "local_rowwise"}})},
      {"matmul that sums over ranks",
       After([](Run* r, T x) { return r->ops->matmul(r, Linear(r, 0, x), Param(r, 3)); },
             DeclareHeads, {{"in", "colwise"}, {"matrix", "colwise"}})},
      {"recur: a convolution",
       AfterLayer(
           [](Run* r, T x, int layer) {
             const keel_arg weight{"weight", 0, Numbers(r, {64, 2}, {0.5f, 1, 1, 2}), 0};
             const keel_object state = kExtra + static_cast<keel_object>(kFirstState + layer);
             return Linear(
                 r, 1,
                 r->ops->recur(r, state, KEEL_RECUR_CAUSAL_CONV1D, Linear(r, 0, x), &weight, 1));
           },
           DeclareStates<KEEL_STATE_CONV, 64, 1>, kInOut)},
      {"recur: SSD, a group for all heads",
       AfterLayer(Ssd<1>, DeclareStates<KEEL_STATE_SSM, 4, 16, 8>, kInOut)},
      {"recur: SSD, two groups",
       AfterLayer(Ssd<2>, DeclareStates<KEEL_STATE_SSM, 4, 16, 4>, kInOut)},
      {"attention with slopes", Slopes()},
      {"embed by rows", After([](Run* r, T x) { return r->ops->embed(r, kExtra, Ids(r, x)); },
                              DeclareEmbedding, {{"table", "embedding_rowwise"}})},
      {"embed by columns", After([](Run* r, T x) { return r->ops->embed(r, kExtra, Ids(r, x)); },
                                 DeclareEmbedding, {{"table", "embedding_colwise"}})},
      {"experts", Experts({{"experts", "moe_tp_experts"}}, {})},
      {"experts, transposed",
       Experts({{"experts.gate_up_proj", "packed_rowwise"}, {"experts.down_proj", "colwise"}}, {})},
      {"experts apart", Experts({{"experts.gate_up_proj", "packed_colwise"},
                                 {"experts.down_proj", "rowwise"},
                                 {"experts", "moe_tp_experts"}},
                                {{"experts.gate_up_proj", "grouped_gemm"},
                                 {"experts.down_proj", "grouped_gemm"},
                                 {"experts", "ep_dispatch_experts"}})},
  };
  return *samples;
}

}  // namespace keel::testing
