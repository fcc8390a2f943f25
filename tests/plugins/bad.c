/* A plugin that breaks one rule, chosen by a macro. Each must be refused with the reason (core/plugin/loader_test.cc). */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sdk/abi/plugin.h"

#if defined(ABI_2)
#undef KEEL_ABI_MAJOR
#define KEEL_ABI_MAJOR 2u
#elif defined(ABI_0_7)
#undef KEEL_ABI_MINOR
#define KEEL_ABI_MINOR 7u
#endif

#include "sdk/abi/plugin_note.h"

#if defined(NO_NOTE)
#elif defined(NOTE_LIES)
KEEL_PLUGIN_NOTE(
    "id=org.keel.test.bad\nversion=1.0\narchitectures=BadForCausalLM,LlamaForCausalLM\n");
#elif defined(BAD_NOTE)
KEEL_PLUGIN_NOTE("id=org.keel.test bad\nversion=1.0\n");
#elif defined(HIDDEN_KERNEL)
KEEL_PLUGIN_NOTE(
    "id=org.keel.test.bad\nversion=1.0\narchitectures=BadForCausalLM\nkernels=org.keel.test."
    "kernel\n");
#else
KEEL_PLUGIN_NOTE("id=org.keel.test.bad\nversion=1.0\narchitectures=BadForCausalLM\n");
#endif

#if defined(CONSTRUCTOR)
/* Runs when the library is loaded: discovery and authorization must not get here. */
__attribute__((constructor)) static void construct(void) {
  const char* mark = getenv("KEEL_TEST_MARK");
  if (mark != NULL) close(open(mark, O_WRONLY | O_CREAT, 0600));
}
#endif

#if defined(STATIC_TLS)
static __thread int counter __attribute__((tls_model("initial-exec")));
#endif

#if defined(EXTRA_EXPORT)
__attribute__((visibility("default"))) int helper(void);
int helper(void) { return 1; }
#endif

#if defined(UNIQUE_SYMBOL)
__asm__(
    ".globl keel_test_unique\n.type keel_test_unique, @gnu_unique_object\n.data\nkeel_test_unique: "
    ".long 1\n.text\n");
#endif

static keel_status config(void* self, keel_config* c, keel_spec* s) {
  (void)self, (void)c, (void)s;
  return 12;
}
static keel_status create(void* self, keel_config* c, keel_build* b, void** model) {
  (void)self, (void)c, (void)b, (void)model;
  return 12;
}
#if !defined(NULL_FORWARD)
static keel_status forward(const void* model, keel_run* r, const keel_forward_inputs* in,
                           keel_tensor* hidden) {
  (void)model, (void)r, (void)in, (void)hidden;
  return 12;
}
#endif

static const char* const architectures[] = {"BadForCausalLM", NULL};
static const keel_model_class model = {
#if defined(SMALL_CLASS)
    .struct_size = 24,
#else
    .struct_size = sizeof model,
#endif
#if defined(EAGER_ONLY)
    .flags = KEEL_MODEL_EAGER_ONLY,
#elif defined(UNKNOWN_FLAG)
    .flags = 1u << 30,
#endif
#if !defined(NULL_NAME)
    .name = "BadForCausalLM",
#endif
    .architectures = architectures,
    .config = config,
    .create = create,
#if !defined(NULL_FORWARD)
    .forward = forward,
#endif
    .destroy = free,
};

static keel_status infer(void* self, const keel_kernel_use* use, const keel_meta* in,
                         uint32_t num_in, keel_meta* out, uint32_t num_out) {
  (void)self, (void)use, (void)in, (void)num_in, (void)out, (void)num_out;
  return 12;
}
static keel_status create_kernel(void* self, const keel_kernel_use* use, void** instance) {
  (void)self, (void)use, (void)instance;
  return 12;
}
static keel_status run(void* self, const keel_kernel_context* c, const keel_dl_tensor* const* in,
                       uint32_t num_in, keel_dl_tensor* const* out, uint32_t num_out) {
  (void)self, (void)c, (void)in, (void)num_in, (void)out, (void)num_out;
  return 12;
}
static void release(void* self) { (void)self; }
static const int32_t device_types[] = {1, 0};
static const keel_kernel_class kernel = {
    .struct_size = sizeof kernel,
    .name = "org.keel.test.kernel",
    .device_types = device_types,
    .infer = infer,
    .create = create_kernel,
    .run = run,
    .release = release,
};

#if defined(NULL_ITEM)
static const void* const models[] = {&model, NULL};
static const keel_list model_list = {sizeof model_list, 2, models};
#else
static const void* const models[] = {&model};
static const keel_list model_list = {sizeof model_list, 1, models};
#endif
static const void* const kernels[] = {&kernel};
static const keel_list kernel_list = {sizeof kernel_list, 1, kernels};

static keel_status init(const keel_host* host, void** self) {
  *self = NULL;
#if defined(INIT_FAILS)
  static const char message[] = "the license\nserver is down";
  host->set_error(host->self, 14, message, sizeof message - 1);
  return 14;
#elif defined(INIT_FAILS_SILENTLY)
  (void)host;
  return 4711;
#else
  (void)host;
#if defined(STATIC_TLS)
  ++counter;
#endif
  return 0;
#endif
}
static void shut_down(void* self) { (void)self; }

static const void* get_interface(void* self, const char* id) {
  (void)self;
  if (strcmp(id, "keel.models/1") == 0) return &model_list;
#if defined(HIDDEN_KERNEL)
  if (strcmp(id, "keel.kernels/1") == 0) return &kernel_list;
#else
  (void)kernel_list;
#endif
  return NULL;
}

static const keel_plugin descriptor = {
#if defined(SMALL_DESCRIPTOR)
    .struct_size = 72,
#else
    .struct_size = sizeof descriptor,
#endif
    .abi_major = KEEL_ABI_MAJOR,
#if defined(DESCRIPTOR_ABI_0_7)
    .abi_minor = 7,
#else
    .abi_minor = KEEL_ABI_MINOR,
#endif
#if defined(NEWER_HOST)
    .min_host_minor = 9,
#endif
    .id = "org.keel.test.bad",
    .version = "1.0",
#if defined(NEEDS_TORCH)
    .flags = KEEL_PLUGIN_NEEDS_TORCH,
#endif
    .init = init,
#if !defined(NULL_SHUTDOWN)
    .shutdown = shut_down,
#endif
    .get_interface = get_interface,
};

#if defined(NO_ENTRY)
__attribute__((used)) static const keel_plugin* const unused = &descriptor;
#else
const keel_plugin* keel_plugin_entry_v1(void) {
#if defined(NULL_DESCRIPTOR)
  return NULL;
#else
#if defined(NULL_SHUTDOWN)
  (void)shut_down;
#endif
  return &descriptor;
#endif
}
#endif
