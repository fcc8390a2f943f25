/* A model that is built from the header as it is, from a shorter one of an older release and from a longer one of a later
 * release (reshape_header.py): a host must take all three for the same. Of what is optional it has nothing, or with FULL
 * everything. */
#include <stdlib.h>
#include <string.h>

#if defined(SHORTER)
#include "tests/plugins/plugin_shorter.h"
#elif defined(LONGER)
#include "tests/plugins/plugin_longer.h"
#else
#include "sdk/abi/plugin.h"
#endif

#include "sdk/abi/plugin_note.h"

#if defined(FULL)
#define MODEL_TYPES "model_types=growth\n"
#else
#define MODEL_TYPES ""
#endif
KEEL_PLUGIN_NOTE(
    "id=org.keel.test.growth\n"
    "version=1.0\n"
    "architectures=GrowthForCausalLM\n" MODEL_TYPES);

enum { HIDDEN = 32, VOCAB = 64, HEADS = 2, HEAD_DIM = 16 };

static struct {
  const keel_config_api* config;
  const keel_spec_api* spec;
#if !defined(SHORTER)
  const keel_features_api* features;
#endif
} host;

static keel_str str(const char* text) {
  const keel_str s = {text, strlen(text)};
  return s;
}

static int64_t get_int(keel_config* c, const char* key) {
  return host.config->get_int(c, key, 0, 0);
}

/* A description of the size that this header gives it, zeros but for the size. What a later release may have at the end is
 * set if config.json says so. */
#if defined(LONGER)
#define LATER(desc, c) ((desc).of_a_later_release = (uint64_t)get_int(c, "of_a_later_release"))
#else
#define LATER(desc, c) ((void)get_int(c, "of_a_later_release"))
#endif

static keel_status config(void* self, keel_config* c, keel_spec* spec) {
  (void)self;
#if !defined(SHORTER)
  if (host.features == NULL || !host.features->has("op.compare")) return 13;
  if (host.features->has("op.of_a_later_release")) return 13;
#endif
  host.spec->set_int(spec, "num_layers", 1);
  host.spec->set_int(spec, "hidden_size", HIDDEN);
  host.spec->set_int(spec, "vocab_size", VOCAB);
  const char* const from[] = {"old\\.(.*)"};
  const char* const to[] = {"model.\\1"};
  keel_rename rename = {.struct_size = sizeof rename, .from = from, .to = to};
  rename.num_from = rename.num_to = 1;
#if defined(FULL)
  const int64_t sizes[] = {HIDDEN};
  rename.op = KEEL_RENAME_SPLIT;
  rename.sizes = sizes;
#endif
  host.spec->rename(spec, &rename);
  keel_input ids = {.struct_size = sizeof ids, .dtype = KEEL_I64, .name = "input_ids", .ndim = 1};
  ids.dims[0] = -1;
  LATER(ids, c);
  host.spec->input(spec, "forward", &ids);
  return host.spec->status(spec);
}

typedef struct model {
  keel_object norm, rope, q, k, v, attention, router, moe;
} model;

static keel_status create(void* self, keel_config* c, keel_build* build, void** out) {
  (void)self;
  const keel_build_api* api = build->api;
  model* m = calloc(1, sizeof *m);
  if (m == NULL) return 8;
  *out = m;

  keel_norm_desc norm = {.struct_size = sizeof norm, .size = HIDDEN, .eps = 1e-6};
  LATER(norm, c);
  m->norm = api->norm(build, str("model.norm"), &norm);

  keel_rope_desc rope = {.struct_size = sizeof rope, .head_dim = HEAD_DIM, .theta = 10000};
#if defined(FULL)
  rope.params = "rope_parameters";
#endif
  m->rope = api->rope(build, &rope);

  m->q = api->linear(build, str("model.q"), HIDDEN, HIDDEN, 0);
  m->k = api->linear(build, str("model.k"), HIDDEN, HIDDEN, 0);
  m->v = api->linear(build, str("model.v"), HIDDEN, HIDDEN, 0);
  keel_attention_desc attention = {.struct_size = sizeof attention, .heads = HEADS};
  attention.kv_heads = HEADS;
  attention.qk_dim = attention.v_dim = HEAD_DIM;
#if defined(FULL)
  attention.impl = "paged";
#endif
  m->attention = api->attention(build, str("model.attention"), &attention);

  m->router = api->linear(build, str("model.router"), HIDDEN, 4, 0);
  keel_moe_desc moe = {.struct_size = sizeof moe, .act = KEEL_ACT_SILU, .experts = 4, .top_k = 2};
  moe.hidden_size = HIDDEN;
  moe.intermediate_size = 8;
  moe.up = "{e}.up";
  moe.down = "{e}.down";
#if defined(FULL)
  moe.gate = "{e}.gate";
  moe.score_bias = "bias";
  moe.scoring = KEEL_MOE_SIGMOID;
#endif
  m->moe = api->moe(build, str("model.experts"), &moe);
  return api->status(build);
}

static keel_tensor heads(keel_run* run, keel_tensor x) {
  const int64_t dims[] = {0, HEADS, HEAD_DIM};
  return run->ops->view(run, x, 3, dims);
}

static keel_status forward(const void* self, keel_run* run, const keel_forward_inputs* in,
                           keel_tensor* hidden) {
  const model* m = self;
  const keel_ops* ops = run->ops;
#if defined(LONGER)
  /* A later release's members are not there, and a plugin can tell. */
  if (KEEL_HAS_FIELD(in, keel_forward_inputs, of_a_later_release)) return 13;
  if (KEEL_HAS_FIELD(ops, keel_ops, of_a_later_release)) return 13;
  if (KEEL_HAS_FIELD(host.config, keel_config_api, of_a_later_release)) return 13;
#endif
  keel_tensor x = ops->norm(run, m->norm, in->embeds);
  const keel_tensor q = ops->rope(run, m->rope, heads(run, ops->linear(run, m->q, x)),
                                  in->positions),
                    k = ops->rope(run, m->rope, heads(run, ops->linear(run, m->k, x)),
                                  in->positions),
                    v = heads(run, ops->linear(run, m->v, x));
  const int64_t flat[] = {0, -1};
  x = ops->view(run, ops->attention(run, m->attention, q, k, v, NULL, 0), 2, flat);
  *hidden = ops->moe(run, m->moe, x, ops->linear(run, m->router, x));
  return ops->status(run);
}

#if defined(FULL)
static keel_status logits(const void* self, keel_run* run, keel_tensor hidden, keel_tensor* out) {
  const model* m = self;
  const keel_tensor once[] = {run->ops->linear(run, m->q, hidden),
                              run->ops->linear(run, m->k, hidden)};
  *out = run->ops->cat(run, once, 2, -1);
  return run->ops->status(run);
}
#endif

static const char* const architectures[] = {"GrowthForCausalLM", NULL};
static const keel_model_class growth = {
    .struct_size = sizeof growth,
    .name = "GrowthForCausalLM",
#if defined(FULL)
    .model_type = "growth",
    .logits = logits,
#endif
    .architectures = architectures,
    .config = config,
    .create = create,
    .forward = forward,
    .destroy = free,
};
static const void* const items[] = {&growth};
static const keel_list models = {sizeof models, 1, items};

static keel_status init(const keel_host* h, void** self) {
  *self = NULL;
  host.config = h->get_interface(h->self, "keel.config/1");
  host.spec = h->get_interface(h->self, "keel.spec/1");
  if (h->get_interface(h->self, "keel.of_a_later_release/1") != NULL) return 13;
#if !defined(SHORTER)
  host.features = h->get_interface(h->self, "keel.features/1");
#endif
  if (host.config != NULL && host.spec != NULL) return 0;
  static const char message[] = "needs keel.config/1 and keel.spec/1";
  h->set_error(h->self, 12, message, sizeof message - 1);
  return 12;
}
static void shut_down(void* self) { (void)self; }
static const void* get_interface(void* self, const char* id) {
  (void)self;
  return strcmp(id, "keel.models/1") == 0 ? &models : NULL;
}

const keel_plugin* keel_plugin_entry_v1(void) {
  static const keel_plugin descriptor = {
    .struct_size = sizeof descriptor,
    .abi_major = KEEL_ABI_MAJOR,
    .abi_minor = KEEL_ABI_MINOR,
    .id = "org.keel.test.growth",
    .version = "1.0",
#if defined(FULL)
    .vendor = "Keel",
    .license = "Apache-2.0",
#endif
    .init = init,
    .shutdown = shut_down,
    .get_interface = get_interface,
  };
  return &descriptor;
}
