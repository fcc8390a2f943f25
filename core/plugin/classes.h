// The classes that a loaded plugin provides, each checked before anybody calls into it.
#ifndef KEEL_CORE_PLUGIN_CLASSES_H_
#define KEEL_CORE_PLUGIN_CLASSES_H_

#include <vector>

#include "absl/status/statusor.h"
#include "core/plugin/note.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Pointers into the plugin, valid while it is loaded.
struct PluginClasses {
  std::vector<const keel_model_class*> models;
  std::vector<const keel_attention_class*> attention;
  std::vector<const keel_kernel_class*> kernels;
  std::vector<const keel_processor_class*> processors;
};

// Asks an initialized plugin (`self` from its init) for its lists. Every struct is long enough,
// every name is one, every function that is not optional is there; else an error that names the
// class and the field.
absl::StatusOr<PluginClasses> ReadPluginClasses(const keel_plugin& plugin, void* self);

// What the note of a plugin with this descriptor and these classes must say.
PluginNote NoteOf(const keel_plugin& plugin, const PluginClasses& classes);

// Checks a descriptor before init: length, versions, names, functions, flags.
absl::Status CheckDescriptor(const keel_plugin* plugin);

}  // namespace keel

#endif  // KEEL_CORE_PLUGIN_CLASSES_H_
