// A plugin whose init lets a C++ exception out.
#include <stdexcept>

#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"

KEEL_PLUGIN_NOTE("id=org.keel.test.throws\nversion=1.0\n");

const keel_plugin* keel_plugin_entry_v1(void) {
  static const keel_plugin descriptor = {
      sizeof(keel_plugin),
      KEEL_ABI_MAJOR,
      KEEL_ABI_MINOR,
      0,
      "org.keel.test.throws",
      "1.0",
      "",
      "",
      0,
      [](const keel_host*, void**) -> keel_status { throw std::runtime_error("out of cheese"); },
      [](void*) {},
      [](void*, const char*) -> const void* { return nullptr; }};
  return &descriptor;
}
