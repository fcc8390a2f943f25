#include "core/graph/op_samples.h"

#include <cstdint>

#include "sdk/abi/plugin.h"

namespace keel::testing {
namespace {

using Run = keel_run;
using T = keel_tensor;

keel_str Text(const char* text) { return {text, __builtin_strlen(text)}; }

T View(Run* r, T x, std::initializer_list<int64_t> dims) {
  return r->ops->view(r, x, static_cast<uint32_t>(dims.size()), dims.begin());
}
T Heads(Run* r, T x) { return View(r, x, {0, 4, 16}); }
T Flat(Run* r, T x) { return View(r, x, {0, 64}); }

// [N, k] whole numbers below 64.
T Indices(Run* r, T x, int64_t k) {
  T values = 0, indices = 0;
  r->ops->topk(r, x, k, &values, &indices);
  return indices;
}

T Numbers(Run* r, std::initializer_list<int64_t> dims, std::initializer_list<float> values) {
  const T f32 = r->ops->constant(r, KEEL_F32, static_cast<uint32_t>(dims.size()), dims.begin(),
                                 values.begin());
  return r->ops->cast(r, f32, KEEL_DTYPE_MODEL);
}

void DeclareEmbedding(keel_build* b) { b->api->embedding(b, Text("table"), 64, 64, 0); }

void DeclareParam(keel_build* b) {
  const int64_t dims[] = {64, 64};
  b->api->param(b, Text("matrix"), KEEL_DTYPE_MODEL, 2, dims);
}

void DeclareMoe(keel_build* b) {
  keel_moe_desc d{};
  d.struct_size = sizeof(d), d.act = KEEL_ACT_SILU;
  d.experts = 64, d.top_k = 2, d.hidden_size = 64, d.intermediate_size = 8;
  d.gate = "experts.{e}.gate", d.up = "experts.{e}.up", d.down = "experts.{e}.down";
  b->api->moe(b, Text("moe"), &d);
}

void DeclareConv(keel_build* b) {
  keel_conv_desc d{};
  d.struct_size = sizeof(d), d.ndim = 1, d.in = 64, d.out = 64, d.kernel[0] = d.stride[0] = 1;
  b->api->conv(b, Text("conv"), &d);
}

// Two, as each layer carries its own.
void DeclareStates(keel_build* b) {
  keel_state_desc d{};
  d.struct_size = sizeof(d), d.kind = KEEL_STATE_CONV, d.ndim = 2;
  d.dims[0] = 64, d.dims[1] = 1;
  b->api->state(b, Text("state.0"), &d);
  d.layer = 1;
  b->api->state(b, Text("state.1"), &d);
}

T RecurOfLayer(Run* r, T x, int layer) {
  const int64_t dims[] = {64, 2};
  static const float weight[128] = {0.5f, 1, 1, 2};
  const keel_arg arg{"weight", 0, r->ops->constant(r, KEEL_F32, 2, dims, weight), 0};
  return r->ops->recur(r, kFirstExtraObject + static_cast<keel_object>(layer),
                       KEEL_RECUR_CAUSAL_CONV1D, x, &arg, 1);
}

constexpr keel_object kExtra = kFirstExtraObject;

TinyModel After(T (*f)(Run*, T), void (*declare)(keel_build*) = nullptr) {
  TinyModel model;
  model.after_mlp = f;
  model.declare = declare;
  return model;
}

TinyModel AfterLayer(T (*f)(Run*, T, int), void (*declare)(keel_build*)) {
  TinyModel model;
  model.after_layer = f;
  model.declare = declare;
  return model;
}

}  // namespace

TinyModel ScaledHeads(const char* style) {
  TinyModel model;
  model.declare = [](keel_build* b) {
    const int64_t dims[] = {4, 16};
    b->api->linear(b, Text("model.to_heads"), 64, 64, 0);
    b->api->param(b, Text("model.scale"), KEEL_DTYPE_MODEL, 2, dims);
    b->api->linear(b, Text("model.from_heads"), 64, 64, 0);
  };
  model.after_mlp = [](Run* r, T x) {
    const T heads = Heads(r, r->ops->linear(r, kExtra, x));
    const T scaled = r->ops->mul(r, heads, r->ops->param(r, kExtra + 1));
    return r->ops->linear(r, kExtra + 2, Flat(r, scaled));
  };
  model.extra_rules = {{"to_heads", "colwise"}, {"scale", style}, {"from_heads", "rowwise"}};
  return model;
}

const std::vector<OpSample>& OpSamples() {
  static const auto* samples = new std::vector<OpSample>{
      {"the model", TinyModel()},
      {"embed",
       After([](Run* r, T x) { return r->ops->embed(r, kExtra, View(r, Indices(r, x, 1), {-1})); },
             DeclareEmbedding)},
      {"moe", After([](Run* r, T x) { return r->ops->moe(r, kExtra, x, x); }, DeclareMoe)},
      {"moe_routed", After(
                         [](Run* r, T x) {
                           const T weights = r->ops->narrow(r, x, 1, 0, 2);
                           return r->ops->moe_routed(r, kExtra, x, Indices(r, x, 2), weights);
                         },
                         DeclareMoe)},
      {"conv", After([](Run* r, T x) { return r->ops->conv(r, kExtra, x); }, DeclareConv)},
      {"recur", AfterLayer(RecurOfLayer, DeclareStates)},
      {"param, matmul",
       After([](Run* r, T x) { return r->ops->matmul(r, x, r->ops->param(r, kExtra)); },
             DeclareParam)},
      {"add, sub, mul, div", After([](Run* r, T x) {
         const T scale = Numbers(r, {1, 4, 1}, {1, 2, 3, 4});
         T y = r->ops->div(r, r->ops->mul(r, Heads(r, x), scale), scale);
         y = r->ops->sub(r, y, r->ops->add(r, y, y));
         return Flat(r, y);
       })},
      {"affine", After([](Run* r, T x) { return r->ops->affine(r, x, 0.5, 0.25); })},
      {"clamp", After([](Run* r, T x) { return r->ops->clamp(r, x, -1, 0.5); })},
      {"unary", After([](Run* r, T x) { return r->ops->unary(r, x, KEEL_UNARY_TANH); })},
      {"act_mul", After([](Run* r, T x) { return r->ops->act_mul(r, x, x, KEEL_ACT_GELU); })},
      {"softmax", After([](Run* r, T x) { return r->ops->softmax(r, x, -1); })},
      {"reduce", After([](Run* r, T x) {
         return r->ops->sub(r, x, r->ops->reduce(r, x, -1, KEEL_REDUCE_MEAN, 1));
       })},
      {"cumsum", After([](Run* r, T x) { return r->ops->cumsum(r, x, 1); })},
      {"topk, cast",
       After([](Run* r, T x) { return r->ops->cast(r, Indices(r, x, 64), KEEL_DTYPE_MODEL); })},
      {"permute", After([](Run* r, T x) {
         const int32_t order[] = {0, 2, 1};
         return Flat(r, r->ops->permute(r, Heads(r, x), 3, order));
       })},
      {"narrow, cat", After([](Run* r, T x) {
         const T halves[] = {r->ops->narrow(r, x, 1, 32, 32), r->ops->narrow(r, x, -1, 0, 32)};
         return r->ops->cat(r, halves, 2, 1);
       })},
      {"repeat",
       After([](Run* r, T x) { return r->ops->repeat(r, r->ops->narrow(r, x, 1, 0, 16), 1, 4); })},
      {"where", After([](Run* r, T x) {
         const T positive = r->ops->cast(r, r->ops->clamp(r, x, 0, 1), KEEL_BOOL);
         return r->ops->where(r, positive, x, r->ops->affine(r, x, 0, 1));
       })},
      {"gather_rows", After([](Run* r, T x) {
         const T table = Numbers(r, {2, 2}, {1, 2, 3, 4});
         const T bits = r->ops->cast(
             r, r->ops->cast(r, r->ops->clamp(r, r->ops->narrow(r, x, 1, 0, 32), 0, 1), KEEL_BOOL),
             KEEL_I64);
         return View(r, r->ops->gather_rows(r, table, bits), {0, -1});
       })},
      {"put_rows", After([](Run* r, T x) {
         const int32_t heads_first[] = {1, 0, 2}, tokens_first[] = {1, 0, 2};
         const int64_t one[] = {1}, index[] = {2};
         const T heads = r->ops->permute(r, Heads(r, x), 3, heads_first);
         const T third = r->ops->constant(r, KEEL_I64, 1, one, index);
         const T put = r->ops->put_rows(r, heads, third, r->ops->narrow(r, heads, 0, 0, 1));
         return Flat(r, r->ops->permute(r, put, 3, tokens_first));
       })},
      {"compare, logical", After([](Run* r, T x) {
         const T half = r->ops->affine(r, x, 0, 0.5);
         const T large = r->ops->compare(r, x, half, KEEL_COMPARE_GT);
         const T even =
             r->ops->logical(r, large, r->ops->compare(r, x, x, KEEL_COMPARE_NE), KEEL_LOGICAL_OR);
         return r->ops->where(r, r->ops->unary(r, even, KEEL_UNARY_NOT), x, half);
       })},
      {"binary", After([](Run* r, T x) {
         return r->ops->binary(r, x, r->ops->affine(r, x, -1, 0), KEEL_BINARY_MAX);
       })},
      {"take", After([](Run* r, T x) { return r->ops->take(r, x, -1, Indices(r, x, 64)); })},
      {"scatter", After([](Run* r, T x) {
         const T best = Indices(r, x, 2);
         return r->ops->scatter(r, x, 1, best, r->ops->narrow(r, x, 1, 0, 2));
       })},
      {"expand",
       After([](Run* r, T x) { return r->ops->expand(r, r->ops->narrow(r, x, 1, 0, 1), x); })},
      {"unary: floor, expm1, erf", After([](Run* r, T x) {
         x = r->ops->unary(r, r->ops->unary(r, x, KEEL_UNARY_ERF), KEEL_UNARY_EXPM1);
         return r->ops->sub(r, x, r->ops->unary(r, x, KEEL_UNARY_FLOOR));
       })},
      {"affine, clamp: whole numbers", After([](Run* r, T x) {
         const T whole = r->ops->clamp(r, r->ops->affine(r, Indices(r, x, 64), 3, -1), 0, 100);
         return r->ops->affine(r, r->ops->cast(r, whole, KEEL_DTYPE_MODEL), 0.01, 0);
       })},
  };
  return *samples;
}

}  // namespace keel::testing
