/* A model plugin that loads, and breaks one requirement that only the conformance kit looks at, chosen
 * by a macro; without one it keeps them all. apps/validate/validate_test.py says which requirement. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(TAKES_A_NAME)
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#endif

#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"
#include "tests/plugins/descriptor.h"

KEEL_PLUGIN_NOTE(
    "id=org.keel.test.misbehaves\n"
    "version=1.0\n"
    "architectures=MisbehavesForCausalLM\n"
    "model_types=misbehaves\n");

typedef struct plugin {
  const keel_host* host;
  const keel_config_api* config;
  const keel_spec_api* spec;
} plugin;

#define HEADS 2

typedef struct model {
  keel_object norm, q, k, v, attention, o, up, down;
} model;

static keel_str str(const char* text) {
  const keel_str s = {text, strlen(text)};
  return s;
}

#if defined(CREATE_CHANGES) || defined(SPEC_CHANGES) || defined(FORWARD_CHANGES) || \
    defined(EAGER_DIFFERS)
static int calls;
#endif

#if defined(CRASHES_WITHOUT_A_KEY) || defined(CRASHES_ON_A_LONG_TEXT) ||        \
    defined(CRASHES_ON_TWO_CHANGES) || defined(CRASHES_WITHOUT_AN_INTERFACE) || \
    defined(CRASHES_AFTER_A_FAILED_OP)
static void crash(void) { *(volatile int*)8 = 1; }
#endif

static int is_int(const plugin* p, keel_config* config, const char* key) {
  return p->config->kind(config, key) == KEEL_JSON_INT;
}

#if defined(CRASHES_ON_A_LONG_TEXT)
/* But for the model type. */
static int is_own_config(const plugin* p, keel_config* config) {
  const keel_config_api* c = p->config;
  return c->get_int(config, "hidden_size", 1, 0) == 16 &&
         c->get_int(config, "intermediate_size", 1, 0) == 32 &&
         c->get_int(config, "num_hidden_layers", 1, 0) == 1 &&
         c->get_int(config, "vocab_size", 1, 0) == 32 && c->size(config, "architectures") == 1 &&
         c->get_string(config, "architectures/0", 1, NULL).size == strlen("MisbehavesForCausalLM");
}
#endif

static keel_status model_config(void* self, keel_config* config, keel_spec* spec) {
  const plugin* p = self;
  const int sizes_are_whole = is_int(p, config, "hidden_size") && is_int(p, config, "vocab_size") &&
                              is_int(p, config, "num_hidden_layers");
  (void)sizes_are_whole;
#if defined(CRASHES_WITHOUT_A_KEY)
  if (p->config->kind(config, "intermediate_size") == KEEL_JSON_ABSENT) crash();
#elif defined(CRASHES_ON_A_LONG_TEXT)
  if (is_own_config(p, config) && p->config->get_string(config, "model_type", 1, NULL).size > 1000)
    crash();
#elif defined(CRASHES_ON_TWO_CHANGES)
  if (!is_int(p, config, "hidden_size") && !is_int(p, config, "vocab_size")) crash();
#elif defined(REFUSES_ITS_CONFIG)
  p->config->fail(config, "hidden_size", "is not liked", 12);
#elif defined(REFUSES_WITHOUT_A_WORD)
  if (!sizes_are_whole) return 3;
#endif
  p->spec->set_int(spec, "num_layers", p->config->get_int(config, "num_hidden_layers", 1, 1));
  p->spec->set_int(spec, "hidden_size", p->config->get_int(config, "hidden_size", 1, 1));
  p->spec->set_int(spec, "vocab_size", p->config->get_int(config, "vocab_size", 1, 1));
#if defined(SPEC_CHANGES)
  p->spec->set_int(spec, "max_positions", 1000 + calls++);
#endif
  p->spec->tp_plan(spec, "layers.*.q_proj", "colwise");
  p->spec->tp_plan(spec, "layers.*.k_proj", "colwise");
  p->spec->tp_plan(spec, "layers.*.v_proj", "colwise");
  p->spec->tp_plan(spec, "layers.*.o_proj", "rowwise");
  p->spec->tp_plan(spec, "layers.*.up_proj", "colwise");
#if defined(WRONG_PLAN)
  p->spec->tp_plan(spec, "layers.*.down_proj", "colwise");
  p->spec->tp_plan(spec, "layers.*.side_proj", "rowwise");
#else
  p->spec->tp_plan(spec, "layers.*.down_proj", "rowwise");
#endif
#if defined(WRONG_PIPELINE)
  const char* const ids[] = {"input_ids"};
  const char* const hidden[] = {"hidden_states"};
  p->spec->pp_plan(spec, "blocks", ids, 1, hidden, 1); /* they are called layers */
#endif
  const keel_status status = p->config->status(config);
  return status != 0 ? status : p->spec->status(spec);
}

static keel_status model_create(void* self, keel_config* config, keel_build* build, void** out) {
  const plugin* p = self;
  const int64_t hidden = p->config->get_int(config, "hidden_size", 1, 1);
  const int64_t middle = p->config->get_int(config, "intermediate_size", 1, 1);
  keel_norm_desc norm = {0};
  norm.struct_size = sizeof norm;
  norm.kind = KEEL_NORM_RMS;
  norm.size = hidden;
  norm.eps = 1e-6;
#if defined(CREATE_CHANGES)
  norm.eps *= ++calls;
#endif
#if defined(LEAKS_MODELS)
  model* m = calloc(64, sizeof *m);
  if (m != NULL) memset(m, 1, 64 * sizeof *m);
#else
  model* m = malloc(sizeof *m);
#endif
  if (m == NULL) return 8; /* RESOURCE_EXHAUSTED */
  m->norm = build->api->norm(build, str("model.layers.0.norm"), &norm);
  keel_attention_desc attention = {0};
  attention.struct_size = sizeof attention;
  attention.kind = KEEL_ATTENTION_CAUSAL;
  attention.heads = attention.kv_heads = HEADS;
  attention.qk_dim = attention.v_dim = hidden / HEADS;
  m->q = build->api->linear(build, str("model.layers.0.q_proj"), hidden, hidden, 0);
  m->k = build->api->linear(build, str("model.layers.0.k_proj"), hidden, hidden, 0);
  m->v = build->api->linear(build, str("model.layers.0.v_proj"), hidden, hidden, 0);
  m->attention = build->api->attention(build, str("model.layers.0.attn"), &attention);
  m->o = build->api->linear(build, str("model.layers.0.o_proj"), hidden, hidden, 0);
  m->up = build->api->linear(build, str("model.layers.0.up_proj"), hidden, middle, 0);
  m->down = build->api->linear(build, str("model.layers.0.down_proj"), middle, hidden, 0);
#if defined(DECLARES_TWICE)
  build->api->linear(build, str("model.layers.0.up_proj"), hidden, middle, 0);
#endif
  *out = m;
  return build->api->status(build);
}

#if defined(FORWARD_CHANGES) || defined(DEPENDS_ON_THE_PROCESS) || defined(EAGER_DIFFERS)
/* A number that is 1 where nothing is wrong. */
static double factor(void) {
#if defined(FORWARD_CHANGES)
  return ++calls;
#elif defined(DEPENDS_ON_THE_PROCESS)
  return getpid();
#else /* op by op, which a recording in the same process has come before */
  char program[4096] = "";
  const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
  const int computes = n > 0 && strstr(program, "numbers") != NULL;
  return computes && calls++ > 0 ? 2 : 1;
#endif
}
#endif

static keel_tensor attend(const model* m, keel_run* run, keel_tensor x) {
  const int64_t heads[] = {0, HEADS, -1}, flat[] = {0, -1};
  const keel_ops* ops = run->ops;
  const keel_tensor q = ops->view(run, ops->linear(run, m->q, x), 3, heads);
  const keel_tensor k = ops->view(run, ops->linear(run, m->k, x), 3, heads);
  const keel_tensor v = ops->view(run, ops->linear(run, m->v, x), 3, heads);
  const keel_tensor y = ops->attention(run, m->attention, q, k, v, NULL, 0);
  return ops->linear(run, m->o, ops->view(run, y, 2, flat));
}

static keel_status model_forward(const void* self, keel_run* run, const keel_forward_inputs* in,
                                 keel_tensor* hidden) {
  const model* m = self;
  const keel_ops* ops = run->ops;
  ops->mark(run, KEEL_MARK_LAYER_BEGIN, 0);
  keel_tensor x = ops->norm(run, m->norm, in->embeds);
#if defined(CRASHES_AFTER_A_FAILED_OP)
  if (x == 0) crash();
#elif defined(FORWARD_FAILS)
  x = ops->linear(run, m->down, x);
#elif defined(ASKS_FOR_TOKENS)
  x = ops->affine(run, x, (double)ops->dim(run, x, 0), 0);
#elif defined(DROPS_A_VALUE)
  ops->unary(run, x, KEEL_UNARY_EXP);
#elif defined(MIXES_ROWS)
  x = ops->cumsum(run, x, 0);
#elif defined(CALLS_PAST_A_TABLE)
  if (ops->binary != NULL) x = ops->binary(run, x, x, KEEL_BINARY_MAX); /* whatever the size is */
#elif defined(CALLS_A_NULL_ENTRY)
  if (KEEL_HAS_FIELD(ops, keel_ops, binary)) x = ops->binary(run, x, x, KEEL_BINARY_MAX);
#elif defined(FORWARD_CHANGES) || defined(DEPENDS_ON_THE_PROCESS) || defined(EAGER_DIFFERS)
  x = ops->affine(run, x, factor(), 0);
#endif
  x = attend(m, run, x);
  x = ops->unary(run, ops->linear(run, m->up, x), KEEL_UNARY_TANH);
  x = ops->add(run, in->embeds, ops->linear(run, m->down, x));
  ops->mark(run, KEEL_MARK_LAYER_END, 0);
  *hidden = x;
  return ops->status(run);
}

static void model_destroy(void* self) {
#if defined(LEAKS_MODELS)
  (void)self;
#else
  free(self);
#endif
}

static const char* const architectures[] = {"MisbehavesForCausalLM", NULL};
static const keel_model_class misbehaves = {
    .struct_size = sizeof misbehaves,
    .name = "MisbehavesForCausalLM",
    .model_type = "misbehaves",
    .architectures = architectures,
    .config = model_config,
    .create = model_create,
    .forward = model_forward,
    .destroy = model_destroy,
};
static const void* const model_items[] = {&misbehaves};
static const keel_list models = {sizeof models, 1, model_items};

#if defined(LEAKS_PLUGINS)
static void* volatile leaked;
#endif

#if defined(TAKES_A_NAME)
static int taken = -1;

/* A name of which the process has one. */
static int take_name(const keel_host* host) {
  static const char message[] = "the name is taken";
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "keel-misbehaves-%d", (int)getpid());
  taken = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (taken >= 0 && bind(taken, (const struct sockaddr*)&name, sizeof name) == 0) return 1;
  if (taken >= 0) close(taken);
  taken = -1;
  host->set_error(host->self, 6 /* ALREADY_EXISTS */, message, sizeof message - 1);
  return 0;
}
#endif

static void shut_down(void* self) {
#if defined(TAKES_A_NAME)
  close(taken);
#endif
  free(self);
}

static keel_status init(const keel_host* host, void** self) {
#if defined(TAKES_A_NAME)
  if (!take_name(host)) return 6;
#endif
  plugin* p = calloc(1, sizeof *p);
  if (p == NULL) return 8;
  p->host = host;
  p->config = host->get_interface(host->self, "keel.config/1");
  p->spec = host->get_interface(host->self, "keel.spec/1");
#if defined(CRASHES_WITHOUT_AN_INTERFACE)
  if (p->spec == NULL) crash();
#elif defined(WANTS_EXACT_TABLES)
  if (p->config != NULL && p->config->struct_size != sizeof *p->config) return 9;
#elif defined(HANDLES_SIGNALS)
  signal(SIGUSR1, SIG_IGN);
#elif defined(LEAVES_FILES_OPEN)
  if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) return 13;
#elif defined(LEAKS_PLUGINS)
  leaked = malloc(400000);
  if (leaked != NULL) memset(leaked, 1, 400000);
#endif
  *self = p;
  return 0;
}

static const void* get_interface(void* self, const char* id) {
  (void)self;
#if defined(KNOWS_EVERY_ID)
  return strncmp(id, "keel.models/", 12) == 0 ? &models : NULL;
#else
  return strcmp(id, "keel.models/1") == 0 ? &models : NULL;
#endif
}

const keel_plugin* keel_plugin_entry_v1(void) {
  static const keel_plugin descriptor = {
      TEST_PLUGIN("misbehaves"),
      .init = init,
      .shutdown = shut_down,
      .get_interface = get_interface,
  };
#if defined(TWO_DESCRIPTORS)
  static int calls_of_entry;
  static keel_plugin others[2];
  others[0] = others[1] = descriptor;
  return &others[calls_of_entry++ % 2];
#else
  return &descriptor;
#endif
}
