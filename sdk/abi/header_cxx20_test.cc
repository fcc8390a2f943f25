// The headers as a C++20 compiler sees them.
#include <type_traits>

#include "sdk/abi/engine.h"
#include "sdk/abi/plugin.h"
#include "sdk/abi/plugin_note.h"

static_assert(std::is_trivially_copyable_v<keel_model_class> &&
              std::is_standard_layout_v<keel_model_class>);
static_assert(std::is_same_v<decltype(&keel_plugin_entry_v1), const keel_plugin* (*)()>);

int main() { return 0; }
