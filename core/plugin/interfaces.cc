#include "core/plugin/interfaces.h"

#include "core/config/config_view.h"
#include "core/config/spec_builder.h"
#include "core/graph/features.h"

namespace keel {

const HostInterfaces& Interfaces() {
  static const HostInterfaces* interfaces = [] {
    auto* out = new HostInterfaces;
    out->Add("keel.config/1", &ConfigApi());
    out->Add("keel.features/1", &FeaturesApi());
    out->Add("keel.spec/1", &SpecApi());
    return out;
  }();
  return *interfaces;
}

}  // namespace keel
