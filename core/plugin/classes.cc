#include "core/plugin/classes.h"

#include <cstring>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/plugin/requirements.h"

namespace keel {
namespace {

constexpr uint32_t kMaxClasses = 1024;
constexpr int kMaxNames = 256;
constexpr size_t kDescriptorBytes = 80;
static_assert(sizeof(keel_plugin) == kDescriptorBytes && sizeof(keel_host) == 40,
              "the bootstrap is frozen");

absl::Status Wrong(absl::string_view what) { return absl::FailedPreconditionError(what); }

// A field that must be set: its name and whether it is.
using Field = std::pair<const char*, bool>;

absl::Status CheckFields(absl::string_view where, std::initializer_list<Field> fields) {
  for (const auto& [name, is_set] : fields) {
    if (!is_set) return Wrong(absl::StrCat(where, ": ", name, " is NULL, and it is not optional"));
  }
  return absl::OkStatus();
}

// Text of the plugin's: a name or an error. Reads no further than a name may be long.
absl::Status CheckName(absl::string_view where, absl::string_view field, const char* name) {
  constexpr size_t kLonger = 201;
  if (name != nullptr && IsPluginName(absl::string_view(name, strnlen(name, kLonger)))) {
    return absl::OkStatus();
  }
  return Wrong(absl::StrCat(where, ": ", field, name == nullptr ? " is NULL" : " is no name",
                            ", expected 1 to 200 printable characters"));
}

absl::Status CheckNames(absl::string_view where, absl::string_view field,
                        const char* const* names) {
  if (names == nullptr || names[0] == nullptr) {
    return Wrong(absl::StrCat(where, ": ", field, " has no names"));
  }
  for (int i = 0; names[i] != nullptr; ++i) {
    if (i == kMaxNames) return Wrong(absl::StrCat(where, ": ", field, " does not end in NULL"));
    KEEL_RETURN_IF_ERROR(CheckName(where, absl::StrCat(field, "[", i, "]"), names[i]));
  }
  return absl::OkStatus();
}

absl::Status CheckFlags(absl::string_view where, uint64_t flags, uint64_t known) {
  if ((flags & ~known) == 0) return absl::OkStatus();
  return Breaks(34, absl::UnimplementedError(absl::StrFormat(
                        "%s: flags are %#x, of which this host knows %#x", where, flags, known)));
}

absl::Status CheckSize(absl::string_view where, uint32_t size, size_t least) {
  if (size >= least) return absl::OkStatus();
  return Wrong(absl::StrCat(where, ": struct_size is ", size, ", expected at least ", least,
                            " bytes, which it has had since its interface was first released"));
}

absl::Status CheckClass(const keel_model_class& c, absl::string_view item) {
  KEEL_RETURN_IF_ERROR(CheckName(item, "name", c.name));
  const std::string where = absl::StrCat("model ", c.name);
  if (c.flags & KEEL_MODEL_EAGER_ONLY) {
    return Breaks(34, absl::UnimplementedError(absl::StrCat(
                          where,
                          ": KEEL_MODEL_EAGER_ONLY is not served; write a forward that can be "
                          "recorded")));
  }
  KEEL_RETURN_IF_ERROR(CheckFlags(where, c.flags, KEEL_MODEL_POOLING));
  if (c.model_type != nullptr) KEEL_RETURN_IF_ERROR(CheckName(where, "model_type", c.model_type));
  KEEL_RETURN_IF_ERROR(CheckNames(where, "architectures", c.architectures));
  return CheckFields(where, {{"config", c.config != nullptr},
                             {"create", c.create != nullptr},
                             {"forward", c.forward != nullptr},
                             {"destroy", c.destroy != nullptr}});
}

absl::Status CheckClass(const keel_attention_class& c, absl::string_view item) {
  KEEL_RETURN_IF_ERROR(CheckName(item, "name", c.name));
  const std::string where = absl::StrCat("attention ", c.name);
  KEEL_RETURN_IF_ERROR(CheckFlags(
      where, c.flags, KEEL_KERNEL_GRAPH_SAFE | KEEL_KERNEL_DETERMINISTIC | KEEL_KERNEL_INVARIANT));
  if (c.args != nullptr && c.args[0] != nullptr)
    KEEL_RETURN_IF_ERROR(CheckNames(where, "args", c.args));
  if ((c.plan == nullptr) != (c.plan_bytes == nullptr))
    return Wrong(absl::StrCat(where, ": has one of plan and plan_bytes, expected both or none"));
  return CheckFields(where, {{"prepare", c.prepare != nullptr},
                             {"run", c.run != nullptr},
                             {"release", c.release != nullptr}});
}

absl::Status CheckClass(const keel_kernel_class& c, absl::string_view item) {
  KEEL_RETURN_IF_ERROR(CheckName(item, "name", c.name));
  const std::string where = absl::StrCat("kernel ", c.name);
  KEEL_RETURN_IF_ERROR(CheckFlags(where, c.flags,
                                  KEEL_KERNEL_GRAPH_SAFE | KEEL_KERNEL_ROWWISE |
                                      KEEL_KERNEL_DETERMINISTIC | KEEL_KERNEL_INVARIANT));
  return CheckFields(where, {{"device_types", c.device_types != nullptr},
                             {"infer", c.infer != nullptr},
                             {"create", c.create != nullptr},
                             {"run", c.run != nullptr},
                             {"release", c.release != nullptr}});
}

absl::Status CheckClass(const keel_processor_class& c, absl::string_view item) {
  KEEL_RETURN_IF_ERROR(CheckNames(item, "names", c.names));
  const std::string where = absl::StrCat("processor ", c.names[0]);
  KEEL_RETURN_IF_ERROR(CheckFlags(where, c.flags, 0));
  return CheckFields(where, {{"create", c.create != nullptr},
                             {"tokens", c.tokens != nullptr},
                             {"count", c.count != nullptr},
                             {"preprocess", c.preprocess != nullptr},
                             {"replacement", c.replacement != nullptr},
                             {"destroy", c.destroy != nullptr}});
}

// What a class of the first release of its interface has. Members after it are optional for ever:
// they are read with KEEL_HAS.
template <typename T>
constexpr size_t kMinSize = 0;
template <>
constexpr size_t kMinSize<keel_model_class> = KEEL_MODEL_CLASS_MIN_SIZE;
template <>
constexpr size_t kMinSize<keel_attention_class> = KEEL_ATTENTION_CLASS_MIN_SIZE;
template <>
constexpr size_t kMinSize<keel_kernel_class> = KEEL_KERNEL_CLASS_MIN_SIZE;
template <>
constexpr size_t kMinSize<keel_processor_class> = KEEL_PROCESSOR_CLASS_MIN_SIZE;

template <typename T>
absl::Status ReadList(const keel_plugin& plugin, void* self, const char* id,
                      std::vector<const T*>& classes) {
  const auto* list = static_cast<const keel_list*>(plugin.get_interface(self, id));
  if (list == nullptr) return absl::OkStatus();
  KEEL_RETURN_IF_ERROR(CheckSize(id, list->struct_size, sizeof(keel_list)));
  if (list->count > kMaxClasses) return Wrong(absl::StrCat(id, ": count is ", list->count));
  if (list->count > 0 && list->items == nullptr) return Wrong(absl::StrCat(id, ": items is NULL"));
  for (uint32_t i = 0; i < list->count; ++i) {
    const std::string item = absl::StrCat(id, "[", i, "]");
    const auto* c = static_cast<const T*>(list->items[i]);
    if (c == nullptr) return Wrong(absl::StrCat(item, " is NULL"));
    KEEL_RETURN_IF_ERROR(CheckSize(item, c->struct_size, kMinSize<T>));
    KEEL_RETURN_IF_ERROR(CheckClass(*c, item));
    classes.push_back(c);
  }
  return absl::OkStatus();
}

void AddNames(const char* const* names, std::vector<std::string>& to) {
  for (; *names != nullptr; ++names) to.push_back(*names);
}

}  // namespace

absl::Status CheckDescriptor(const keel_plugin* plugin) {
  if (plugin == nullptr) return Breaks(32, Wrong(KEEL_PLUGIN_ENTRY " returned NULL"));
  if (plugin->struct_size < kDescriptorBytes) {
    return Breaks(32, Wrong(absl::StrCat("its descriptor's struct_size is ", plugin->struct_size,
                                         ", the bootstrap has ", kDescriptorBytes, " bytes")));
  }
  KEEL_RETURN_IF_ERROR(Breaks(33, CheckPluginAbi({plugin->abi_major, plugin->abi_minor})));
  if (plugin->min_host_minor > KEEL_ABI_MINOR) {
    return Breaks(33, Wrong(absl::StrCat("needs a host of ABI ", KEEL_ABI_MAJOR, ".",
                                         plugin->min_host_minor, ", this host speaks ",
                                         KEEL_ABI_MAJOR, ".", KEEL_ABI_MINOR, "; update keel")));
  }
  constexpr absl::string_view kWhere = "its descriptor";
  KEEL_RETURN_IF_ERROR(Breaks(32, CheckName(kWhere, "id", plugin->id)));
  KEEL_RETURN_IF_ERROR(Breaks(32, CheckName(kWhere, "version", plugin->version)));
  KEEL_RETURN_IF_ERROR(
      Breaks(32, CheckFields(kWhere, {{"init", plugin->init != nullptr},
                                      {"shutdown", plugin->shutdown != nullptr},
                                      {"get_interface", plugin->get_interface != nullptr}})));
  if (plugin->flags & KEEL_PLUGIN_NEEDS_TORCH) {
    return Breaks(34, absl::UnimplementedError(
                          "KEEL_PLUGIN_NEEDS_TORCH: plugins that link libtorch are not served; use "
                          "the ops of sdk/abi/plugin.h, or DLPack views in a kernel of your own"));
  }
  return CheckFlags(kWhere, plugin->flags, KEEL_PLUGIN_HAS_KERNELS | KEEL_PLUGIN_OWN_THREADS);
}

absl::StatusOr<PluginClasses> ReadPluginClasses(const keel_plugin& plugin, void* self) {
  PluginClasses classes;
  const auto read = [&](const char* id, auto& list) {
    return Breaks(37, ReadList(plugin, self, id, list));
  };
  KEEL_RETURN_IF_ERROR(read("keel.models/1", classes.models));
  KEEL_RETURN_IF_ERROR(read("keel.attention/1", classes.attention));
  KEEL_RETURN_IF_ERROR(read("keel.kernels/1", classes.kernels));
  KEEL_RETURN_IF_ERROR(read("keel.processors/1", classes.processors));
  const bool has_kernels = !classes.kernels.empty() || !classes.attention.empty();
  if (has_kernels && !(plugin.flags & KEEL_PLUGIN_HAS_KERNELS)) {
    return Breaks(38,
                  Wrong("brings kernels or attention without the flag KEEL_PLUGIN_HAS_KERNELS"));
  }
  return classes;
}

PluginNote NoteOf(const keel_plugin& plugin, const PluginClasses& classes) {
  PluginNote note;
  note.abi_major = plugin.abi_major;
  note.abi_minor = plugin.abi_minor;
  note.id = plugin.id;
  note.version = plugin.version;
  for (const keel_model_class* c : classes.models) {
    note.architectures.push_back(c->name);
    AddNames(c->architectures, note.architectures);
    if (c->model_type != nullptr) note.model_types.push_back(c->model_type);
  }
  for (const keel_attention_class* c : classes.attention) note.attention.push_back(c->name);
  for (const keel_kernel_class* c : classes.kernels) note.kernels.push_back(c->name);
  for (const keel_processor_class* c : classes.processors) AddNames(c->names, note.processors);
  for (auto* names :
       {&note.architectures, &note.model_types, &note.attention, &note.kernels, &note.processors}) {
    SortNames(*names);
  }
  return note;
}

}  // namespace keel
