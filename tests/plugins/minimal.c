/* The smallest complete plugin: one model class that declares an embedding and a head. Plain C, no SDK. */
#include <stdlib.h>
#include <string.h>

#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"

KEEL_PLUGIN_NOTE(
    "id=org.keel.test.minimal\n"
    "version=1.0\n"
    "architectures=MinimalForCausalLM\n"
    "model_types=minimal\n");

typedef struct plugin {
  const keel_host* host;
  const keel_config_api* config;
  const keel_spec_api* spec;
} plugin;

static keel_str str(const char* text) {
  const keel_str s = {text, strlen(text)};
  return s;
}

static keel_status model_config(void* self, keel_config* config, keel_spec* spec) {
  const plugin* p = self;
  p->spec->set_int(spec, "num_layers", 0);
  p->spec->set_int(spec, "hidden_size", p->config->get_int(config, "hidden_size", 1, 0));
  p->spec->set_int(spec, "vocab_size", p->config->get_int(config, "vocab_size", 1, 0));
  return p->config->status(config);
}

typedef struct model {
  keel_object norm;
} model;

static keel_status model_create(void* self, keel_config* config, keel_build* build, void** out) {
  const plugin* p = self;
  keel_norm_desc norm = {sizeof norm, KEEL_NORM_RMS, 0, 1e-6, 0, 0, 0};
  norm.size = p->config->get_int(config, "hidden_size", 1, 0);
  model* m = malloc(sizeof *m);
  if (m == NULL) return 8; /* RESOURCE_EXHAUSTED */
  m->norm = build->api->norm(build, str("model.norm"), &norm);
  *out = m;
  return build->api->status(build);
}

static keel_status model_forward(const void* self, keel_run* run, const keel_forward_inputs* in,
                                 keel_tensor* hidden) {
  const model* m = self;
  *hidden = run->ops->norm(run, m->norm, in->embeds);
  return run->ops->status(run);
}

static const char* const architectures[] = {"MinimalForCausalLM", NULL};
static const keel_model_class minimal = {
    .struct_size = sizeof minimal,
    .name = "MinimalForCausalLM",
    .model_type = "minimal",
    .architectures = architectures,
    .config = model_config,
    .create = model_create,
    .forward = model_forward,
    .destroy = free,
};
static const void* const model_items[] = {&minimal};
static const keel_list models = {sizeof models, 1, model_items};

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
  return strcmp(id, "keel.models/1") == 0 ? &models : NULL;
}

const keel_plugin* keel_plugin_entry_v1(void) {
  static const keel_plugin descriptor = {
      .struct_size = sizeof descriptor,
      .abi_major = KEEL_ABI_MAJOR,
      .abi_minor = KEEL_ABI_MINOR,
      .id = "org.keel.test.minimal",
      .version = "1.0",
      .vendor = "Keel",
      .license = "Apache-2.0",
      .init = init,
      .shutdown = free,
      .get_interface = get_interface,
  };
  return &descriptor;
}
