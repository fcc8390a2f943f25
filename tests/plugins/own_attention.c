/* A model that runs with an attention class of its own plugin. config.json says who asks for it, the
 * declaration or (by_spec) the model's spec, and whether the class refuses. */
#include <stdlib.h>
#include <string.h>

#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"
#include "tests/plugins/descriptor.h"

#define OWN "org.keel.test.own"

KEEL_PLUGIN_NOTE(
    "id=org.keel.test.own_attention\n"
    "version=1.0\n"
    "architectures=OwnAttentionForCausalLM\n"
    "model_types=own_attention\n"
    "attention=" OWN "\n");

typedef struct plugin {
  const keel_host* host;
  const keel_config_api* config;
  const keel_spec_api* spec;
  int refuses;
} plugin;

static keel_str str(const char* text) {
  const keel_str s = {text, strlen(text)};
  return s;
}

static keel_status model_config(void* self, keel_config* config, keel_spec* spec) {
  plugin* p = self;
  p->spec->set_int(spec, "num_layers", 1);
  p->spec->set_int(spec, "hidden_size", p->config->get_int(config, "hidden_size", 1, 0));
  p->spec->set_int(spec, "vocab_size", p->config->get_int(config, "vocab_size", 1, 0));
  if (p->config->get_int(config, "by_spec", 0, 0) != 0)
    p->spec->set_string(spec, "attn_implementation", OWN);
  p->refuses = p->config->get_int(config, "refuses", 0, 0) != 0;
  return p->config->status(config);
}

typedef struct model {
  keel_object attention;
  int64_t hidden_size;
} model;

static keel_status model_create(void* self, keel_config* config, keel_build* build, void** out) {
  const plugin* p = self;
  model* m = malloc(sizeof *m);
  if (m == NULL) return 8; /* RESOURCE_EXHAUSTED */
  m->hidden_size = p->config->get_int(config, "hidden_size", 1, 0);
  keel_attention_desc desc;
  memset(&desc, 0, sizeof desc);
  desc.struct_size = sizeof desc;
  desc.heads = desc.kv_heads = 1;
  desc.qk_dim = desc.v_dim = m->hidden_size;
  if (p->config->get_int(config, "by_spec", 0, 0) == 0) desc.impl = OWN;
  m->attention = build->api->attention(build, str("model.attention"), &desc);
  *out = m;
  return build->api->status(build);
}

static keel_status model_forward(const void* self, keel_run* run, const keel_forward_inputs* in,
                                 keel_tensor* hidden) {
  const model* m = self;
  const int64_t heads[] = {0, 1, m->hidden_size}, flat[] = {0, m->hidden_size};
  const keel_tensor x = run->ops->view(run, in->embeds, 3, heads);
  const keel_tensor y = run->ops->attention(run, m->attention, x, x, x, NULL, 0);
  *hidden = run->ops->view(run, y, 2, flat);
  return run->ops->status(run);
}

static const char* const architectures[] = {"OwnAttentionForCausalLM", NULL};
static const keel_model_class own_model = {
    .struct_size = sizeof own_model,
    .name = "OwnAttentionForCausalLM",
    .model_type = "own_attention",
    .architectures = architectures,
    .config = model_config,
    .create = model_create,
    .forward = model_forward,
    .destroy = free,
};
static const void* const model_items[] = {&own_model};
static const keel_list models = {sizeof models, 1, model_items};

static keel_status prepare(void* self, const keel_attention_use* use, keel_attention_cache* cache,
                           void** instance) {
  static const char message[] = "refused, as config.json says";
  const plugin* p = self;
  (void)use;
  if (p->refuses) {
    p->host->set_error(p->host->self, 12 /* UNIMPLEMENTED */, message, sizeof message - 1);
    return 12;
  }
  cache->layout = KEEL_KV_ROWS;
  *instance = self;
  return 0;
}

static keel_status run(void* self, const keel_kernel_context* context,
                       const keel_attention_call* call) {
  (void)self, (void)context, (void)call;
  return 12;
}

static void release(void* self) { (void)self; }

static const keel_attention_class own_attention = {
    .struct_size = sizeof own_attention,
    .name = OWN,
    .prepare = prepare,
    .run = run,
    .release = release,
};
static const void* const attention_items[] = {&own_attention};
static const keel_list attentions = {sizeof attentions, 1, attention_items};

static keel_status init(const keel_host* host, void** self) {
  plugin* p = calloc(1, sizeof *p);
  if (p == NULL) return 8;
  p->host = host;
  p->config = host->get_interface(host->self, "keel.config/1");
  p->spec = host->get_interface(host->self, "keel.spec/1");
  *self = p;
  return 0;
}

static const void* get_interface(void* self, const char* id) {
  (void)self;
  if (strcmp(id, "keel.models/1") == 0) return &models;
  return strcmp(id, "keel.attention/1") == 0 ? &attentions : NULL;
}

const keel_plugin* keel_plugin_entry_v1(void) {
  static const keel_plugin descriptor = {
      TEST_PLUGIN("own_attention"),
      .flags = KEEL_PLUGIN_HAS_KERNELS,
      .init = init,
      .shutdown = free,
      .get_interface = get_interface,
  };
  return &descriptor;
}
