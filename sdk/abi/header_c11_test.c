/* The headers as a C11 compiler sees them, with the warnings that a careful author turns on. */
#include "sdk/abi/engine.h"
#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"

_Static_assert(sizeof(void*) != 8 || sizeof(keel_host) == 40, "the bootstrap is frozen");
_Static_assert(sizeof(void*) != 8 || sizeof(keel_plugin) == 80, "the bootstrap is frozen");
_Static_assert(offsetof(keel_plugin, init) == 56, "the bootstrap is frozen");

/* KEEL_HAS reads no field that a shorter struct of an older side lacks. */
int main(void) {
  keel_plugin plugin = {.struct_size = offsetof(keel_plugin, get_interface)};
  if (KEEL_HAS(&plugin, keel_plugin, get_interface)) return 1;
  plugin.struct_size = sizeof plugin;
  if (KEEL_HAS(&plugin, keel_plugin, get_interface)) return 2;
  return 0;
}
