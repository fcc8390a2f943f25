/* A processor that works, and whose media can make it crash or loop: an image of height 13 or 14. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"
#include "tests/plugins/descriptor.h"

KEEL_PLUGIN_NOTE(
    "id=org.keel.test.processes\n"
    "version=1.0\n"
    "processors=HostileProcessor\n");

typedef struct processor {
  const keel_assets* assets;
  int64_t image_token;
} processor;

static keel_status create(void* plugin, keel_config* config, const keel_assets* assets,
                          void** out) {
  (void)plugin, (void)config;
  const void* text = NULL;
  size_t n = 0;
  const keel_status found = assets->read(assets->self, "preprocessor_config.json", &text, &n);
  if (found != 0) return found;
  processor* p = calloc(1, sizeof *p);
  if (p == NULL) return 8;
  p->assets = assets;
  p->image_token = assets->token_id(assets->self, "<image>");
  *out = p;
  return 0;
}

static keel_status tokens(const void* self, const keel_sink* sink) {
  const processor* p = self;
  sink->bytes(sink->self, "image_token", "<image>", 7);
  return sink->ints(sink->self, "image_token_id", &p->image_token, 1);
}

static keel_status count(const void* self, const keel_media* const* sizes, uint32_t n,
                         keel_media_count* const* out) {
  (void)self;
  for (uint32_t i = 0; i < n; ++i) {
    if (sizes[i]->height == 13) *(volatile int*)16 = 1;
    for (volatile int64_t on = sizes[i]->height; on == 14;) continue;
    out[i]->tokens = sizes[i]->height * sizes[i]->width;
    out[i]->features = out[i]->tokens;
    out[i]->patches = sizes[i]->height == 15 ? -1 : out[i]->tokens;
    out[i]->runs = sizes[i]->height == 21 ? out[i]->tokens + 1 : sizes[i]->length;
  }
  return 0;
}

/* The spectrum of a sound, a frame every `height` samples of 16. */
static keel_status hear(const processor* p, const keel_media* media, const keel_sink* sink) {
  const float window[16] = {1};
  const int64_t hop = media->height;
  int64_t shape[2] = {hop > 0 ? 1 + media->length / hop : 1, 9};
  keel_dl_tensor* out = sink->tensor(sink->self, "input_features", KEEL_F32, 2, shape);
  if (out == NULL) return 8;
  return p->assets->power_spectrum(p->assets->self, media->data->data, media->length, window, 16,
                                   hop, out);
}

/* The image at half its size, as numbers from 0 to 1. */
static keel_status preprocess(const void* self, const keel_media* const* items_in, uint32_t n,
                              const keel_sink* sink) {
  const processor* p = self;
  if (n != 1) return 3;
  const keel_media* media = items_in[0];
  if (media->modality == KEEL_MODALITY_AUDIO) return hear(p, media, sink);
  int64_t shape[3] = {media->height / 2, media->width / 2, 3};
  int64_t strides[3] = {shape[1] * 3, 3, 1};
  unsigned char* pixels = malloc((size_t)(shape[0] * strides[0]));
  keel_dl_tensor half = {pixels, {1, 0}, 3, {1, 8, 1}, shape, strides, 0};
  const keel_status resized =
      p->assets->resize(p->assets->self, media->data, KEEL_RESAMPLE_BILINEAR, &half);
  keel_dl_tensor* out =
      resized == 0 ? sink->tensor(sink->self, "pixel_values", KEEL_F32, 3, shape) : NULL;
  for (int64_t i = 0; out != NULL && i < shape[0] * strides[0]; ++i)
    ((float*)out->data)[i] = pixels[i] / 255.0f;
  free(pixels);
  return resized != 0 ? resized : out == NULL ? 8 : 0;
}

static keel_status replacement(const void* self, const keel_media_count* item, uint32_t index,
                               const keel_sink* sink) {
  (void)self, (void)index;
  const keel_media* media = item->media;
  if (item->runs < 2 || media == NULL || media->frame_times == NULL)
    return sink->bytes(sink->self, "text", "<image><image>", 14);
  char text[64];
  const int size =
      snprintf(text, sizeof text, "<image>%.1f<image>", media->frame_times[media->length - 1]);
  return sink->bytes(sink->self, "text", text, (size_t)size);
}

static const char* const names[] = {"HostileProcessor", NULL};
static const keel_processor_class processor_class = {
    .struct_size = sizeof processor_class,
    .names = names,
    .create = create,
    .tokens = tokens,
    .count = count,
    .preprocess = preprocess,
    .replacement = replacement,
    .destroy = free,
};
static const void* const items[] = {&processor_class};
static const keel_list processors = {sizeof processors, 1, items};

static keel_status init(const keel_host* host, void** self) {
  (void)host;
  *self = NULL;
  return 0;
}
static void stop(void* self) { (void)self; }
static const void* get_interface(void* self, const char* id) {
  (void)self;
  return strcmp(id, "keel.processors/1") == 0 ? &processors : NULL;
}

const keel_plugin* keel_plugin_entry_v1(void) {
  static const keel_plugin descriptor = {
      TEST_PLUGIN("processes"),
      .init = init,
      .shutdown = stop,
      .get_interface = get_interface,
  };
  return &descriptor;
}
