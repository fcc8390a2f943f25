/* A model that calls two kernels of its plugin's own, one by rows and one along the tokens of a
 * sequence. A macro makes it break one requirement of group K; without one it keeps them all.
 * apps/validate/own_classes_test.py says which requirement. */
#include <stdlib.h>
#include <string.h>

#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"

#define SCALE "org.keel.test.scale"
#define SUM "org.keel.test.sum"

KEEL_PLUGIN_NOTE(
    "id=org.keel.test.calls\n"
    "version=1.0\n"
    "architectures=CallsForCausalLM\n"
    "model_types=calls\n"
    "kernels=" SCALE "," SUM "\n");

typedef struct plugin {
  const keel_host* host;
  const keel_config_api* config;
  const keel_spec_api* spec;
} plugin;

/* ---- the model ---- */

typedef struct model {
  keel_object weight, scale, state, sum;
} model;

static keel_str str(const char* text) {
  const keel_str s = {text, strlen(text)};
  return s;
}

static keel_status model_config(void* self, keel_config* config, keel_spec* spec) {
  const plugin* p = self;
  p->spec->set_int(spec, "num_layers", 1);
  p->spec->set_int(spec, "hidden_size", p->config->get_int(config, "hidden_size", 1, 1));
  p->spec->set_int(spec, "vocab_size", p->config->get_int(config, "vocab_size", 1, 1));
  const keel_status status = p->config->status(config);
  return status != 0 ? status : p->spec->status(spec);
}

static keel_status model_create(void* self, keel_config* config, keel_build* build, void** out) {
  const plugin* p = self;
  const int64_t hidden = p->config->get_int(config, "hidden_size", 1, 1);
  const keel_build_api* api = build->api;
  model* m = malloc(sizeof *m);
  if (m == NULL) return 8; /* RESOURCE_EXHAUSTED */
  m->weight = api->param(build, str("model.layers.0.weight"), KEEL_DTYPE_MODEL, 1, &hidden);
  keel_kernel_desc scale = {.struct_size = sizeof scale, .kernel = SCALE};
  m->scale = api->kernel(build, str("model.layers.0.scale"), &scale);
  keel_state_desc state = {.struct_size = sizeof state, .kind = KEEL_STATE_OTHER, .ndim = 1};
  state.dtype = KEEL_F32;
  state.dims[0] = hidden;
  m->state = api->state(build, str("model.layers.0.state"), &state);
  keel_kernel_desc sum = {.struct_size = sizeof sum, .num_states = 1, .kernel = SUM};
  sum.states = &m->state;
  m->sum = api->kernel(build, str("model.layers.0.sum"), &sum);
  *out = m;
  return api->status(build);
}

static keel_status model_forward(const void* self, keel_run* run, const keel_forward_inputs* in,
                                 keel_tensor* hidden) {
  const model* m = self;
  const keel_tensor operands[] = {in->embeds, run->ops->param(run, m->weight)};
  keel_tensor scaled = 0;
  run->ops->call(run, m->scale, operands, 2, &scaled, 1);
  run->ops->call(run, m->sum, &scaled, 1, hidden, 1);
  return run->ops->status(run);
}

static const char* const architectures[] = {"CallsForCausalLM", NULL};
static const keel_model_class calls = {
    .struct_size = sizeof calls,
    .name = "CallsForCausalLM",
    .model_type = "calls",
    .architectures = architectures,
    .config = model_config,
    .create = model_create,
    .forward = model_forward,
    .destroy = free,
};

/* ---- the kernels: y = x * w, and y = the sum of a sequence's x so far ---- */

static keel_status create(void* self, const keel_kernel_use* use, void** instance) {
  static const char message[] = "float32 alone";
  const plugin* p = self;
  *instance = self;
  if (use->dtype == KEEL_F32) return 0;
  p->host->set_error(p->host->self, 12 /* UNIMPLEMENTED */, message, sizeof message - 1);
  return 12;
}

static void release(void* instance) { (void)instance; }

static float* at(const keel_dl_tensor* t) { return (float*)((char*)t->data + t->byte_offset); }

static keel_status infer(void* self, const keel_kernel_use* use, const keel_meta* in,
                         uint32_t num_in, keel_meta* out, uint32_t num_out) {
  (void)self, (void)use;
  if (num_in < 1 || num_out != 1 || in[0].ndim != 2) return 3; /* INVALID_ARGUMENT */
  out[0] = in[0];
  return 0;
}

static keel_status infer_scale(void* self, const keel_kernel_use* use, const keel_meta* in,
                               uint32_t num_in, keel_meta* out, uint32_t num_out) {
  const keel_status status = infer(self, use, in, num_in, out, num_out);
#if defined(INFERS_OTHERWISE)
  if (status == 0 && in[0].dims[0] == 33) out[0].dims[1] = 1;
#endif
  return status;
}

static uint64_t workspace(void* instance, const keel_dl_tensor* const* in, uint32_t num_in,
                          const keel_dl_tensor* const* out, uint32_t num_out) {
  (void)instance, (void)in, (void)num_in, (void)out, (void)num_out;
  return 256;
}

static keel_status run_scale(void* instance, const keel_kernel_context* context,
                             const keel_dl_tensor* const* in, uint32_t num_in,
                             keel_dl_tensor* const* out, uint32_t num_out) {
  (void)instance, (void)num_in, (void)num_out;
  const int64_t rows = in[0]->shape[0], size = in[0]->shape[1];
  const float *x = at(in[0]), *w = at(in[1]);
  float* y = at(out[0]);
  float* memory = context->workspace;
#if defined(IGNORES_OFFSETS)
  x = in[0]->data;
#elif defined(DIVIDES_BY_ROWS)
  y[0] = (float)((int)size / (int)rows); /* SIGFPE */
#elif defined(WRITES_PAST_ITS_WORKSPACE)
  memory[256 / sizeof(float)] = 0;
#endif
  (void)memory;
  for (int64_t i = 0; i < rows * size; ++i) y[i] = x[i] * w[i % size];
#if defined(MIXES_ROWS)
  if (rows > 60) y[0] += x[(rows - 1) * size]; /* more than group N has */
#elif defined(COUNTS_ITS_CALLS)
  static int count;
  if (rows == 29) y[0] *= 1 + 1e-3f * (float)count++;
#endif
  return 0;
}

static keel_status run_sum(void* instance, const keel_kernel_context* context,
                           const keel_dl_tensor* const* in, uint32_t num_in,
                           keel_dl_tensor* const* out, uint32_t num_out) {
  (void)instance, (void)num_in, (void)num_out;
  const keel_sequences* s = context->sequences;
  const keel_dl_tensor* states = s->states[0];
  const int64_t size = in[0]->shape[1];
  for (uint32_t i = 0; i < s->num_sequences; ++i) {
    float* sum = at(states) + s->slots[i] * states->strides[0];
    for (int64_t row = s->cu_q[i]; row < s->cu_q[i + 1]; ++row) {
      for (int64_t c = 0; c < size; ++c) {
        sum[c] += at(in[0])[row * size + c];
        at(out[0])[row * size + c] = sum[c];
      }
    }
  }
#if defined(WRITES_OTHERS_STATES)
  if (states->shape[0] > 5) at(states)[5 * states->strides[0]] = 0;
#endif
  return 0;
}

#define PROMISES KEEL_KERNEL_DETERMINISTIC | KEEL_KERNEL_INVARIANT

static const int32_t devices[] = {1 /* CPU */, 0};
static const keel_kernel_class scale_kernel = {
    .struct_size = sizeof scale_kernel,
    .flags = PROMISES | KEEL_KERNEL_ROWWISE,
    .name = SCALE,
    .device_types = devices,
    .infer = infer_scale,
    .create = create,
    .workspace = workspace,
    .run = run_scale,
    .release = release,
};
static const keel_kernel_class sum_kernel = {
    .struct_size = sizeof sum_kernel,
    .flags = PROMISES,
    .name = SUM,
    .device_types = devices,
    .infer = infer,
    .create = create,
    .run = run_sum,
    .release = release,
};

/* ---- the plugin ---- */

static const void* const model_items[] = {&calls};
static const keel_list models = {sizeof models, 1, model_items};
static const void* const kernel_items[] = {&scale_kernel, &sum_kernel};
static const keel_list kernels = {sizeof kernels, 2, kernel_items};

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
  return strcmp(id, "keel.kernels/1") == 0 ? &kernels : NULL;
}

const keel_plugin* keel_plugin_entry_v1(void) {
  static const keel_plugin descriptor = {
      .struct_size = sizeof descriptor,
      .abi_major = KEEL_ABI_MAJOR,
      .abi_minor = KEEL_ABI_MINOR,
      .flags = KEEL_PLUGIN_HAS_KERNELS,
      .id = "org.keel.test.calls",
      .version = "1.0",
      .vendor = "Keel",
      .license = "Apache-2.0",
      .init = init,
      .shutdown = free,
      .get_interface = get_interface,
  };
  return &descriptor;
}
