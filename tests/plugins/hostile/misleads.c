/* A processor for the tiny checkpoint of LLaVA, grey to it whatever is shown, that turns on its host for images of some
 * heights. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"
#include "tests/plugins/descriptor.h"

KEEL_PLUGIN_NOTE(
    "id=org.keel.test.misleads\n"
    "version=1.0\n"
    "processors=MisleadingProcessor\n");

enum height {
  CRASHES = 13,
  LOOPS = 14,
  COUNTS_TOO_MANY = 15,
  COUNTS_NOTHING = 16,
  OPENS_SOCKET = 17,
  GIVES_ANOTHER_SHAPE = 18,
  GIVES_NO_TENSOR = 19,
  SEGMENTS_GO_FAR = 20,
  SEGMENTS_END_EARLY = 21,
  GIVES_TWO_IMAGES = 22,
};

enum { kSide = 56, kTokens = 16, kRows = 17 };

typedef struct processor {
  int64_t image_token;
} processor;

static keel_status create(void* plugin, keel_config* config, const keel_assets* assets,
                          void** out) {
  (void)plugin, (void)config;
  processor* p = calloc(1, sizeof *p);
  if (p == NULL) return 8;
  p->image_token = assets->token_id(assets->self, "<image>");
  *out = p;
  return 0;
}

static keel_status tokens(const void* self, const keel_sink* sink) {
  const processor* p = self;
  sink->bytes(sink->self, "image_token", "<image>", 7);
  sink->ints(sink->self, "image_token_id", &p->image_token, 1);
  return sink->ints(sink->self, "image_token_ids", &p->image_token, 1);
}

static keel_status count(const void* self, const keel_media* const* sizes, uint32_t n,
                         keel_media_count* const* out) {
  (void)self;
  for (uint32_t i = 0; i < n; ++i) {
    if (sizes[i]->height == CRASHES) *(volatile int*)16 = 1;
    for (volatile int64_t on = sizes[i]->height; on == LOOPS;) continue;
    out[i]->tokens = sizes[i]->height == COUNTS_TOO_MANY ? kTokens + 1 : kTokens;
    out[i]->features = sizes[i]->height == COUNTS_NOTHING ? 0 : out[i]->tokens;
    out[i]->patches = 1;
  }
  return 0;
}

static keel_status preprocess(const void* self, const keel_media* const* media, uint32_t n,
                              const keel_sink* sink) {
  (void)self;
  if (n != 1) return 3;
  const int64_t height = media[0]->height;
  if (height == OPENS_SOCKET) (void)socket(AF_INET, SOCK_STREAM, 0);
  if (height == GIVES_NO_TENSOR) return 0;
  const int64_t images = height == GIVES_TWO_IMAGES ? 2 : 1;
  const int64_t side = height == GIVES_ANOTHER_SHAPE ? kSide / 2 : kSide;
  const int64_t shape[4] = {images, 3, side, side}, borders = images + 1;
  keel_dl_tensor* pixels = sink->tensor(sink->self, "pixel_values", KEEL_F32, 4, shape);
  keel_dl_tensor* segments = sink->tensor(sink->self, "segments", KEEL_I32, 1, &borders);
  if (pixels == NULL || segments == NULL) return 8;
  for (int64_t i = 0; i < images * 3 * side * side; ++i) ((float*)pixels->data)[i] = 0.5f;
  int32_t* border = segments->data;
  for (int64_t i = 0; i < borders; ++i) border[i] = (int32_t)(i * kRows);
  if (height == SEGMENTS_GO_FAR) border[1] = 1 << 30;
  if (height == SEGMENTS_END_EARLY) border[1] = kRows - 1;
  return 0;
}

static keel_status replacement(const void* self, const keel_media_count* item, uint32_t index,
                               const keel_sink* sink) {
  (void)self, (void)item, (void)index;
  char text[7 * kTokens];
  for (int i = 0; i < kTokens; ++i) memcpy(text + 7 * i, "<image>", 7);
  return sink->bytes(sink->self, "text", text, sizeof text);
}

static const char* const names[] = {"MisleadingProcessor", NULL};
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
      TEST_PLUGIN("misleads"),
      .init = init,
      .shutdown = stop,
      .get_interface = get_interface,
  };
  return &descriptor;
}
