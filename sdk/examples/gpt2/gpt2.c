/* GPT-2 (Radford et al., 2019), as in transformers' models/gpt2, in C11: learned positions, one linear for q, k and v,
 * matrices that the checkpoint holds transposed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"

KEEL_PLUGIN_NOTE(
    "id=org.example.gpt2\n"
    "version=1.0.0\n"
    "architectures=GPT2LMHeadModel\n"
    "model_types=gpt2\n");

enum { UNIMPLEMENTED = 12, RESOURCE_EXHAUSTED = 8 };

typedef struct plugin {
  const keel_host* host;
  const keel_config_api* config;
  const keel_spec_api* spec;
} plugin;

typedef struct sizes {
  int64_t hidden, layers, heads, head_dim, inner, positions, vocab;
  double eps;
  uint32_t act;
  int tied;
} sizes;

typedef struct block {
  keel_object ln_1, c_attn, attention, attn_c_proj, ln_2, c_fc, mlp_c_proj;
} block;

typedef struct model {
  sizes c;
  keel_object wpe, ln_f;
  block h[];
} model;

static const struct {
  const char* name;
  uint32_t act;
} activations[] = {
    {"gelu_new", KEEL_ACT_GELU_TANH}, {"gelu_pytorch_tanh", KEEL_ACT_GELU_TANH},
    {"gelu", KEEL_ACT_GELU},          {"relu", KEEL_ACT_RELU},
    {"silu", KEEL_ACT_SILU},
};

static void fail(const plugin* p, keel_config* config, const char* key, const char* message) {
  p->config->fail(config, key, message, strlen(message));
}

static uint32_t read_activation(const plugin* p, keel_config* config) {
  const keel_str name = p->config->get_string(config, "activation_function", 0, "gelu_new");
  for (size_t i = 0; i < sizeof activations / sizeof activations[0]; ++i) {
    const char* known = activations[i].name;
    if (name.size == strlen(known) && memcmp(name.data, known, name.size) == 0)
      return activations[i].act;
  }
  fail(p, config, "activation_function", "is not gelu_new, gelu_pytorch_tanh, gelu, relu or silu");
  return KEEL_ACT_RELU;
}

static sizes read_sizes(const plugin* p, keel_config* config) {
  const keel_config_api* api = p->config;
  sizes c;
  memset(&c, 0, sizeof c);
  c.hidden = api->get_int(config, "n_embd", 0, 768);
  c.layers = api->get_int(config, "n_layer", 0, 12);
  c.heads = api->get_int(config, "n_head", 0, 12);
  c.inner = api->get_int(config, "n_inner", 0, 4 * c.hidden);
  c.positions = api->get_int(config, "n_positions", 0, 1024);
  c.vocab = api->get_int(config, "vocab_size", 0, 50257);
  c.eps = api->get_real(config, "layer_norm_epsilon", 0, 1e-5);
  c.act = read_activation(p, config);
  c.tied = api->get_bool(config, "tie_word_embeddings", 0, 1);
  if (c.heads < 1 || c.hidden % c.heads != 0)
    fail(p, config, "n_head", "does not divide n_embd, expected heads of equal size");
  else
    c.head_dim = c.hidden / c.heads;
  if (c.layers < 1 || c.layers > 10000) {
    fail(p, config, "n_layer", "is out of range, expected 1 to 10000");
    c.layers = 1;
  }
  static const char* const unserved[] = {"scale_attn_by_inverse_layer_idx", "add_cross_attention"};
  for (size_t i = 0; i < sizeof unserved / sizeof unserved[0]; ++i) {
    if (api->get_bool(config, unserved[i], 0, 0))
      fail(p, config, unserved[i], "is true, expected false");
  }
  if (!api->get_bool(config, "scale_attn_weights", 0, 1))
    fail(p, config, "scale_attn_weights", "is false, expected true");
  return c;
}

static void add_rename(const plugin* p, keel_spec* spec, uint32_t op, const char* from,
                       const char* to) {
  keel_rename rename;
  memset(&rename, 0, sizeof rename);
  rename.struct_size = sizeof rename;
  rename.op = op;
  rename.from = &from;
  rename.to = &to;
  rename.num_from = 1;
  rename.num_to = op == KEEL_RENAME_IGNORE ? 0 : 1;
  p->spec->rename(spec, &rename);
}

static keel_status gpt2_config(void* self, keel_config* config, keel_spec* spec) {
  const plugin* p = self;
  const sizes c = read_sizes(p, config);
  p->spec->set_int(spec, "num_layers", c.layers);
  p->spec->set_int(spec, "hidden_size", c.hidden);
  p->spec->set_int(spec, "vocab_size", c.vocab);
  p->spec->set_int(spec, "max_positions", c.positions);
  p->spec->set_int(spec, "tie_word_embeddings", c.tied);
  p->spec->set_string(spec, "base_model_prefix", "transformer");
  p->spec->set_string(spec, "embed_tokens", "transformer.wte");
  /* Files of the base model alone have no prefix; old ones hold masks. */
  add_rename(p, spec, KEEL_RENAME_IGNORE, "(transformer\\.)?h\\.\\d+\\.attn\\.(masked_)?bias",
             NULL);
  add_rename(p, spec, KEEL_RENAME_NAME, "((h\\.\\d+|wte|wpe|ln_f)\\..*)", "transformer.\\1");
  add_rename(p, spec, KEEL_RENAME_TRANSPOSE, "(.*\\.(c_attn|c_proj|c_fc)\\.weight)", "\\1");
  const keel_status status = p->config->status(config);
  return status != 0 ? status : p->spec->status(spec);
}

/* "transformer.h.<layer>.<rest>". The name is copied by the call that it is given to. */
typedef struct name {
  char text[96];
} name;

static keel_str in_block(name* n, int64_t layer, const char* rest) {
  snprintf(n->text, sizeof n->text, "transformer.h.%lld.%s", (long long)layer, rest);
  const keel_str s = {n->text, strlen(n->text)};
  return s;
}

static keel_object layer_norm(keel_build* build, keel_str where, const sizes* c) {
  keel_norm_desc desc;
  memset(&desc, 0, sizeof desc);
  desc.struct_size = sizeof desc;
  desc.kind = KEEL_NORM_LAYER;
  desc.size = c->hidden;
  desc.eps = c->eps;
  desc.flags = KEEL_NORM_BIAS | KEEL_NORM_CAST_LAST;
  return build->api->norm(build, where, &desc);
}

static block declare_block(keel_build* build, const sizes* c, int64_t layer) {
  const keel_build_api* api = build->api;
  block b;
  name n;
  b.ln_1 = layer_norm(build, in_block(&n, layer, "ln_1"), c);
  b.c_attn = api->linear(build, in_block(&n, layer, "attn.c_attn"), c->hidden, 3 * c->hidden,
                         KEEL_LINEAR_BIAS);
  keel_attention_desc attention;
  memset(&attention, 0, sizeof attention);
  attention.struct_size = sizeof attention;
  attention.layer = (int32_t)layer;
  attention.heads = attention.kv_heads = c->heads;
  attention.qk_dim = attention.v_dim = c->head_dim;
  b.attention = api->attention(build, in_block(&n, layer, "attn"), &attention);
  b.attn_c_proj = api->linear(build, in_block(&n, layer, "attn.c_proj"), c->hidden, c->hidden,
                              KEEL_LINEAR_BIAS);
  b.ln_2 = layer_norm(build, in_block(&n, layer, "ln_2"), c);
  b.c_fc =
      api->linear(build, in_block(&n, layer, "mlp.c_fc"), c->hidden, c->inner, KEEL_LINEAR_BIAS);
  b.mlp_c_proj =
      api->linear(build, in_block(&n, layer, "mlp.c_proj"), c->inner, c->hidden, KEEL_LINEAR_BIAS);
  return b;
}

static keel_status gpt2_create(void* self, keel_config* config, keel_build* build, void** out) {
  static const keel_str wpe = {"transformer.wpe", 15}, ln_f = {"transformer.ln_f", 16};
  const sizes c = read_sizes(self, config);
  model* m = malloc(sizeof *m + (size_t)c.layers * sizeof m->h[0]);
  if (m == NULL) return RESOURCE_EXHAUSTED;
  m->c = c;
  m->wpe = build->api->embedding(build, wpe, c.positions, c.hidden, KEEL_EMBEDDING_DEFAULT);
  for (int64_t i = 0; i < c.layers; ++i) m->h[i] = declare_block(build, &c, i);
  m->ln_f = layer_norm(build, ln_f, &c);
  *out = m; /* the host destroys it, whatever the status */
  return build->api->status(build);
}

/* x [N, H] -> the same. */
static keel_tensor attend(const sizes* c, const block* b, keel_run* run, keel_tensor x) {
  const keel_ops* ops = run->ops;
  const int64_t heads[] = {0, -1, c->head_dim}, flat[] = {0, -1};
  const keel_tensor qkv = ops->linear(run, b->c_attn, x);
  keel_tensor parts[3];
  for (int i = 0; i < 3; ++i)
    parts[i] = ops->view(run, ops->narrow(run, qkv, -1, i * c->hidden, c->hidden), 3, heads);
  const keel_tensor y = ops->attention(run, b->attention, parts[0], parts[1], parts[2], NULL, 0);
  return ops->linear(run, b->attn_c_proj, ops->view(run, y, 2, flat));
}

static keel_tensor feed_forward(const sizes* c, const block* b, keel_run* run, keel_tensor x) {
  const keel_ops* ops = run->ops;
  const keel_tensor inner = ops->linear(run, b->c_fc, x);
  return ops->linear(run, b->mlp_c_proj, ops->unary(run, inner, KEEL_UNARY_ACT + c->act));
}

static keel_status gpt2_forward(const void* self, keel_run* run, const keel_forward_inputs* in,
                                keel_tensor* hidden) {
  const model* m = self;
  const keel_ops* ops = run->ops;
  keel_tensor x = ops->add(run, in->embeds, ops->embed(run, m->wpe, in->positions));
  for (int32_t i = 0; i < m->c.layers; ++i) {
    const block* b = &m->h[i];
    ops->mark(run, KEEL_MARK_LAYER_BEGIN, i);
    x = ops->add(run, x, attend(&m->c, b, run, ops->norm(run, b->ln_1, x)));
    x = ops->add(run, x, feed_forward(&m->c, b, run, ops->norm(run, b->ln_2, x)));
    ops->mark(run, KEEL_MARK_LAYER_END, i);
  }
  *hidden = ops->norm(run, m->ln_f, x);
  return ops->status(run);
}

static const char* const architectures[] = {"GPT2LMHeadModel", NULL};
static const keel_model_class gpt2 = {
    .struct_size = sizeof gpt2,
    .name = "GPT2LMHeadModel",
    .model_type = "gpt2",
    .architectures = architectures,
    .config = gpt2_config,
    .create = gpt2_create,
    .forward = gpt2_forward,
    .destroy = free,
};
static const void* const items[] = {&gpt2};
static const keel_list models = {sizeof models, 1, items};

static keel_status init(const keel_host* host, void** self) {
  static const char message[] = "the host has no keel.config/1 or keel.spec/1; update keel";
  static plugin p; /* one host a process */
  p.host = host;
  p.config = host->get_interface(host->self, "keel.config/1");
  p.spec = host->get_interface(host->self, "keel.spec/1");
  *self = &p;
  if (p.config != NULL && p.spec != NULL) return 0;
  host->set_error(host->self, UNIMPLEMENTED, message, sizeof message - 1);
  return UNIMPLEMENTED;
}

static void shutdown(void* self) { (void)self; }

static const void* get_interface(void* self, const char* id) {
  (void)self;
  return strcmp(id, "keel.models/1") == 0 ? &models : NULL;
}

const keel_plugin* keel_plugin_entry_v1(void) {
  static const keel_plugin descriptor = {
      .struct_size = sizeof descriptor,
      .abi_major = KEEL_ABI_MAJOR,
      .abi_minor = KEEL_ABI_MINOR,
      .id = "org.example.gpt2",
      .version = "1.0.0",
      .vendor = "",
      .license = "",
      .init = init,
      .shutdown = shutdown,
      .get_interface = get_interface,
  };
  return &descriptor;
}
