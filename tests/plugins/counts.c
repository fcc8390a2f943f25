/* A plugin with a processor of its own: a token for each cell of 16x16 pixels of an image. A macro
 * makes it break one requirement of group P; without one it keeps them all.
 * apps/validate/own_classes_test.py says which requirement. */
#define _DEFAULT_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"

#define PROCESSOR "CountsProcessor"
#define CELL 16

KEEL_PLUGIN_NOTE(
    "id=org.keel.test.counts\n"
    "version=1.0\n"
    "processors=" PROCESSOR "\n");

typedef struct plugin {
  const keel_host* host;
} plugin;

typedef struct processor {
  const keel_host* host;
  int64_t image_id;
} processor;

static keel_status fail(const processor* p, const char* message) {
  p->host->set_error(p->host->self, 3 /* INVALID_ARGUMENT */, message, strlen(message));
  return 3;
}

static int64_t cells(int64_t pixels) { return (pixels + CELL - 1) / CELL; }

static keel_status create(void* self, keel_config* config, const keel_assets* assets, void** out) {
  (void)config;
  const plugin* p = self;
  processor* made = malloc(sizeof *made);
  if (made == NULL) return 8; /* RESOURCE_EXHAUSTED */
  made->host = p->host;
  made->image_id = assets->token_id(assets->self, "<image>");
  *out = made;
  return 0;
}

static keel_status tokens(const void* self, const keel_sink* sink) {
  const processor* p = self;
  const keel_status status = sink->bytes(sink->self, "image_token", "<image>", 7);
  return status != 0 ? status : sink->ints(sink->self, "image_token_id", &p->image_id, 1);
}

static keel_status count(const void* self, const keel_media* const* sizes, uint32_t n,
                         keel_media_count* const* out) {
  const processor* p = self;
  for (uint32_t i = 0; i < n; ++i) {
    const keel_media* m = sizes[i];
    if (m->modality != KEEL_MODALITY_IMAGE) return fail(p, "takes images alone");
    if (m->height < 1 || m->width < 1) return fail(p, "an image without pixels");
#if defined(CRASHES_ON_ONE_PIXEL)
    if (m->height == 1 && m->width == 1) *(volatile int*)8 = 1;
#endif
    out[i]->grid_t = 1;
    out[i]->grid_h = cells(m->height);
    out[i]->grid_w = cells(m->width);
    out[i]->patches = out[i]->grid_h * out[i]->grid_w;
    out[i]->tokens = out[i]->features = out[i]->patches;
#if defined(COUNTS_TOO_FEW)
    if (out[i]->tokens > 1) --out[i]->tokens, --out[i]->features;
#endif
  }
  return 0;
}

/* The mean of a cell's red. */
static float mean(const keel_media* m, int64_t cell) {
  const int64_t columns = cells(m->width), top = cell / columns * CELL,
                left = cell % columns * CELL;
  const uint8_t* pixels = (const uint8_t*)m->data->data + m->data->byte_offset;
  float sum = 0, n = 0;
  for (int64_t y = top; y < top + CELL && y < m->height; ++y) {
    for (int64_t x = left; x < left + CELL && x < m->width; ++x, ++n)
      sum += pixels[y * m->data->strides[0] + x * m->data->strides[1]];
  }
  return sum / n;
}

static keel_status preprocess(const void* self, const keel_media* const* items, uint32_t n,
                              const keel_sink* sink) {
  (void)self;
  int64_t dims[] = {0, 1};
  for (uint32_t i = 0; i < n; ++i) dims[0] += cells(items[i]->height) * cells(items[i]->width);
#if defined(PREPROCESSES_TOO_MANY)
  dims[0] += n;
#endif
  const keel_dl_tensor* tensor = sink->tensor(sink->self, "pixel_values", KEEL_F32, 2, dims);
  if (tensor == NULL) return 8;
  float* out = (float*)((char*)tensor->data + tensor->byte_offset);
  for (uint32_t i = 0; i < n; ++i) {
    const keel_media* item = items[i];
    const int64_t size = cells(item->height) * cells(item->width);
#if defined(FORGETS_THE_SECOND)
    if (i == 1) {
      memset(out, 0, (size_t)size * sizeof *out);
      break;
    }
#elif defined(HAS_A_SCRATCH)
    static int64_t height;
    height = item->height;
    usleep(2000);
    if (height != item->height)
      *out = -1;
    else
#endif
    *out = mean(item, 0);
    ++out;
    for (int64_t cell = 1; cell < size; ++cell) *out++ = mean(item, cell);
#if defined(PREPROCESSES_TOO_MANY)
    *out++ = 0;
#endif
  }
  return 0;
}

static keel_status replacement(const void* self, const keel_media_count* item, uint32_t index,
                               const keel_sink* sink) {
  (void)self, (void)index;
  const size_t n = (size_t)item->tokens;
  char* text = malloc(7 * n + 1);
  if (text == NULL) return 8;
  for (size_t i = 0; i < n; ++i) memcpy(text + 7 * i, "<image>", 7);
  const keel_status status = sink->bytes(sink->self, "text", text, 7 * n);
  free(text);
  return status;
}

static keel_status expand(const void* self, const int64_t* ids, size_t n,
                          const keel_media_count* const* items, uint32_t num_items,
                          const keel_sink* sink) {
  const processor* p = self;
  size_t size = n + num_items, seen = 0, at = 0;
  for (uint32_t i = 0; i < num_items; ++i) size += (size_t)(items[i]->grid_h * items[i]->grid_w);
  int64_t *out = malloc(size * sizeof *out), *types = calloc(size, sizeof *types);
  if (out == NULL || types == NULL) return free(out), free(types), 8;
  for (size_t i = 0; i < n; ++i) {
    int64_t times = 1;
    const int is_image = ids[i] == p->image_id;
    if (is_image) times = seen < num_items ? items[seen]->grid_h * items[seen]->grid_w : 0;
    seen += is_image;
#if defined(CUTS_ITS_TOKENS)
    if (times > 1) out[at] = ids[i], types[at++] = 1, out[at++] = ids[0], --times;
#endif
    for (; times > 0; --times, ++at) out[at] = ids[i], types[at] = is_image;
  }
  keel_status status = sink->ints(sink->self, "input_ids", out, at);
  if (status == 0) status = sink->ints(sink->self, "mm_token_type_ids", types, at);
  free(out);
  free(types);
#if !defined(TAKES_ANY_PLACEHOLDER)
  if (seen != num_items) return fail(p, "the prompt has not one placeholder an image");
#endif
  return status;
}

static const char* const names[] = {PROCESSOR, NULL};
static const keel_processor_class counts = {
    .struct_size = sizeof counts,
    .names = names,
    .create = create,
    .tokens = tokens,
    .count = count,
    .preprocess = preprocess,
    .replacement = replacement,
    .expand = expand,
    .destroy = free,
};
static const void* const items[] = {&counts};
static const keel_list processors = {sizeof processors, 1, items};

static keel_status init(const keel_host* host, void** self) {
  plugin* p = calloc(1, sizeof *p);
  if (p == NULL) return 8;
  p->host = host;
  *self = p;
  return 0;
}

static const void* get_interface(void* self, const char* id) {
  (void)self;
  return strcmp(id, "keel.processors/1") == 0 ? &processors : NULL;
}

const keel_plugin* keel_plugin_entry_v1(void) {
  static const keel_plugin descriptor = {
      .struct_size = sizeof descriptor,
      .abi_major = KEEL_ABI_MAJOR,
      .abi_minor = KEEL_ABI_MINOR,
      .id = "org.keel.test.counts",
      .version = "1.0",
      .vendor = "Keel",
      .license = "Apache-2.0",
      .init = init,
      .shutdown = free,
      .get_interface = get_interface,
  };
  return &descriptor;
}
