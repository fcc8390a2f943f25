/* The headers as a C11 compiler sees them, with the warnings that a careful author turns on. */
#include "sdk/abi/engine.h"
#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"

/* KEEL_HAS reads no field that a shorter struct of an older side lacks. */
int main(void) {
  keel_plugin plugin = {.struct_size = offsetof(keel_plugin, get_interface)};
  if (KEEL_HAS(&plugin, keel_plugin, get_interface)) return 1;
  plugin.struct_size = sizeof plugin;
  if (KEEL_HAS(&plugin, keel_plugin, get_interface)) return 2;
  if (!KEEL_HAS_FIELD(&plugin, keel_plugin, flags) || plugin.flags != 0) return 3;
  plugin.struct_size = offsetof(keel_plugin, flags);
  if (KEEL_HAS_FIELD(&plugin, keel_plugin, flags)) return 4;
  return 0;
}
