/* A plugin with an attention class of its own over the host's rows, float32, causal with or without a
 * window. A macro makes it break one requirement of group A; without one it keeps them all.
 * apps/validate/own_classes_test.py says which requirement. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"

#define ATTENTION "org.keel.test.attends"

KEEL_PLUGIN_NOTE(
    "id=org.keel.test.attends\n"
    "version=1.0\n"
    "attention=" ATTENTION "\n");

typedef struct plugin {
  const keel_host* host;
} plugin;

typedef struct instance {
  keel_attention_desc desc;
  int64_t block_size;
} instance;

static keel_status prepare(void* self, const keel_attention_use* use, keel_attention_cache* cache,
                           void** out) {
  const plugin* p = self;
  if (use->dtype != KEEL_F32 || use->desc->kind != KEEL_ATTENTION_CAUSAL || use->desc->chunk != 0 ||
      use->desc->softcap != 0) {
#if defined(REFUSES_WITHOUT_A_REASON)
    (void)p;
#else
    static const char message[] = "float32, causal, without chunks and softcap alone";
    p->host->set_error(p->host->self, 12 /* UNIMPLEMENTED */, message, sizeof message - 1);
#endif
    return 12;
  }
  instance* i = malloc(sizeof *i);
  if (i == NULL) return 8; /* RESOURCE_EXHAUSTED */
  i->desc = *use->desc;
  i->block_size = use->block_size;
  cache->layout = KEEL_KV_ROWS;
  *out = i;
  return 0;
}

static const char* at(const keel_dl_tensor* t) { return (const char*)t->data + t->byte_offset; }

static uint64_t workspace(void* self, const keel_attention_call* call) {
  (void)self;
  return (uint64_t)call->max_kv * sizeof(float); /* the weights of one query */
}

/* Row of a key or value of sequence s in a cache of the host's. */
static const float* row_of(const instance* me, const keel_attention_call* call,
                           const keel_dl_tensor* cache, int64_t s, int64_t key, int64_t kv_head) {
  const int32_t* table = (const int32_t*)at(call->block_table) + s * call->block_table->strides[0];
  const int64_t block = table[key / me->block_size];
  return (const float*)at(cache) + block * cache->strides[0] + kv_head * cache->strides[1] +
         key % me->block_size * cache->strides[2];
}

static void run_head(const instance* me, const keel_attention_call* call, int64_t s, int64_t query,
                     int64_t position, int64_t head, float* weights) {
  const keel_attention_desc* d = &me->desc;
  const int64_t kv_head = head * d->kv_heads / d->heads;
  const float* q =
      (const float*)at(call->q) + query * call->q->strides[0] + head * call->q->strides[1];
#if defined(ASSUMES_CONTIGUOUS)
  q = (const float*)at(call->q) + (query * d->heads + head) * d->qk_dim;
#endif
  float* out = (float*)at(call->out) + (query * d->heads + head) * d->v_dim;
  const int64_t first = d->window > 0 && position >= d->window ? position - d->window + 1 : 0;
#if defined(FORGETS_THE_SCALE)
  const float scale = 1;
#else
  const float scale = (float)d->scale;
#endif
  float largest = -INFINITY, sum = 0;
  for (int64_t key = first; key <= position; ++key) {
    const float* k = row_of(me, call, call->k_cache, s, key, kv_head);
    float score = 0;
    for (int64_t i = 0; i < d->qk_dim; ++i) score += q[i] * k[i];
    weights[key] = score * scale;
    if (weights[key] > largest) largest = weights[key];
  }
  for (int64_t i = 0; i < d->v_dim; ++i) out[i] = 0;
  for (int64_t key = first; key <= position; ++key) {
    const float* v = row_of(me, call, call->v_cache, s, key, kv_head);
    const float weight = expf(weights[key] - largest);
    sum += weight;
    for (int64_t i = 0; i < d->v_dim; ++i) out[i] += weight * v[i];
  }
#if defined(READS_WHOLE_BLOCKS)
  for (int64_t key = position + 1; key % me->block_size != 0; ++key) {
    const float* v = row_of(me, call, call->v_cache, s, key, kv_head);
    for (int64_t i = 0; i < d->v_dim; ++i) out[i] += 0 * v[i]; /* which is NaN where v is */
  }
#endif
  for (int64_t i = 0; i < d->v_dim; ++i) out[i] /= sum;
#if defined(ROUNDS_BY_THE_STEP)
  for (int64_t i = 0; i < d->v_dim; ++i) out[i] *= 1 + 1e-6f * (float)call->num_sequences;
#endif
}

static keel_status run(void* self, const keel_kernel_context* context,
                       const keel_attention_call* call) {
  const instance* me = self;
#if defined(WRITES_PAST_ITS_WORKSPACE)
  ((float*)context->workspace)[call->max_kv + 16] = 0; /* past what rounds it up to 64 bytes */
#endif
  for (int64_t s = 0; s < call->num_sequences; ++s) {
    const int64_t begin = call->host_cu_q[s], end = call->host_cu_q[s + 1];
    for (int64_t query = begin; query < end; ++query) {
      const int64_t position = call->host_seq_lens[s] - end + query;
      for (int64_t head = 0; head < me->desc.heads; ++head)
        run_head(me, call, s, query, position, head, context->workspace);
    }
  }
  return 0;
}

static const keel_attention_class attends = {
    .struct_size = sizeof attends,
    .flags = KEEL_KERNEL_DETERMINISTIC | KEEL_KERNEL_INVARIANT,
    .name = ATTENTION,
    .prepare = prepare,
    .workspace = workspace,
    .run = run,
    .release = free,
};
static const void* const items[] = {&attends};
static const keel_list attentions = {sizeof attentions, 1, items};

static keel_status init(const keel_host* host, void** self) {
  plugin* p = calloc(1, sizeof *p);
  if (p == NULL) return 8;
  p->host = host;
  *self = p;
  return 0;
}

static const void* get_interface(void* self, const char* id) {
  (void)self;
  return strcmp(id, "keel.attention/1") == 0 ? &attentions : NULL;
}

const keel_plugin* keel_plugin_entry_v1(void) {
  static const keel_plugin descriptor = {
      .struct_size = sizeof descriptor,
      .abi_major = KEEL_ABI_MAJOR,
      .abi_minor = KEEL_ABI_MINOR,
      .flags = KEEL_PLUGIN_HAS_KERNELS,
      .id = "org.keel.test.attends",
      .version = "1.0",
      .vendor = "Keel",
      .license = "Apache-2.0",
      .init = init,
      .shutdown = free,
      .get_interface = get_interface,
  };
  return &descriptor;
}
