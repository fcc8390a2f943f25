/* A small model that works: one layer's worth of nothing but a norm. Each file beside this one is a
 * plugin that does one thing more, or other, by defining a macro before it includes this:
 *   HOSTILE_INIT(host)           what init returns
 *   HOSTILE_EPS, HOSTILE_SIZE    of the norm
 *   HOSTILE_FORWARD(run, x)      of what forward returns
 */
#ifndef KEEL_TESTS_PLUGINS_HOSTILE_HOSTILE_H_
#define KEEL_TESTS_PLUGINS_HOSTILE_HOSTILE_H_

#include <stdlib.h>
#include <string.h>

#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"
#include "tests/plugins/descriptor.h"

KEEL_PLUGIN_NOTE(
    "id=org.keel.test.hostile\n"
    "version=1.0\n"
    "architectures=HostileForCausalLM\n"
    "model_types=hostile\n");

#ifndef HOSTILE_INIT
#define HOSTILE_INIT(host) 0
#endif
#ifndef HOSTILE_EPS
#define HOSTILE_EPS 1e-6
#endif
#ifndef HOSTILE_SIZE
#define HOSTILE_SIZE 8
#endif
#ifndef HOSTILE_FORWARD
#define HOSTILE_FORWARD(run, x) (x)
#endif

static const keel_host* host;
static const keel_spec_api* specs;

static keel_status model_config(void* self, keel_config* config, keel_spec* spec) {
  (void)self, (void)config;
  specs->set_int(spec, "num_layers", 1);
  specs->set_int(spec, "hidden_size", 8);
  specs->set_int(spec, "vocab_size", 16);
  return specs->status(spec);
}

static keel_status model_create(void* self, keel_config* config, keel_build* build, void** out) {
  (void)self, (void)config;
  static const char name[] = "model.norm";
  const keel_str text = {name, sizeof name - 1};
  keel_norm_desc norm = {sizeof norm, KEEL_NORM_RMS, HOSTILE_SIZE, HOSTILE_EPS, 0, 0, 0};
  keel_object* made = malloc(sizeof *made);
  *made = build->api->norm(build, text, &norm);
  *out = made;
  return build->api->status(build);
}

static keel_status model_forward(const void* self, keel_run* run, const keel_forward_inputs* in,
                                 keel_tensor* hidden) {
  const keel_object* norm = self;
  *hidden = run->ops->norm(run, *norm, HOSTILE_FORWARD(run, in->embeds));
  return run->ops->status(run);
}

static const char* const architectures[] = {"HostileForCausalLM", NULL};
static const keel_model_class model_class = {
    .struct_size = sizeof model_class,
    .name = "HostileForCausalLM",
    .model_type = "hostile",
    .architectures = architectures,
    .config = model_config,
    .create = model_create,
    .forward = model_forward,
    .destroy = free,
};
static const void* const model_items[] = {&model_class};
static const keel_list models = {sizeof models, 1, model_items};

static keel_status init(const keel_host* from, void** self) {
  host = from;
  specs = host->get_interface(host->self, "keel.spec/1");
  *self = NULL;
  return HOSTILE_INIT(host);
}

static void stop(void* self) { (void)self; }

static const void* get_interface(void* self, const char* id) {
  (void)self;
  return strcmp(id, "keel.models/1") == 0 ? &models : NULL;
}

const keel_plugin* keel_plugin_entry_v1(void) {
  static const keel_plugin descriptor = {
      TEST_PLUGIN("hostile"),
      .init = init,
      .shutdown = stop,
      .get_interface = get_interface,
  };
  return &descriptor;
}

#endif /* KEEL_TESTS_PLUGINS_HOSTILE_HOSTILE_H_ */
