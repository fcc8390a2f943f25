// The test of what absent keys of config.json mean; see config_defaults.cc.
#ifndef KEEL_TESTS_PARITY_CONFIG_DEFAULTS_H_
#define KEEL_TESTS_PARITY_CONFIG_DEFAULTS_H_

#include <string>

namespace keel {

// `testdata` holds default/config.json and config_defaults.json (tests/goldens/README.md).
void RegisterConfigDefaultsTest(const std::string& plugin, const std::string& testdata);

}  // namespace keel
#endif  // KEEL_TESTS_PARITY_CONFIG_DEFAULTS_H_
