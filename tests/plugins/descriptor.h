/* What the descriptors of the tests' plugins have in common; minimal.c is whole on purpose. */
#ifndef KEEL_TESTS_PLUGINS_DESCRIPTOR_H_
#define KEEL_TESTS_PLUGINS_DESCRIPTOR_H_

#include "sdk/abi/plugin.h"

/* Beside these: flags, init, shutdown, get_interface. */
#define TEST_PLUGIN(name)                                                                       \
  .struct_size = sizeof(keel_plugin), .abi_major = KEEL_ABI_MAJOR, .abi_minor = KEEL_ABI_MINOR, \
  .id = "org.keel.test." name, .version = "1.0", .vendor = "Keel", .license = "Apache-2.0"

#endif /* KEEL_TESTS_PLUGINS_DESCRIPTOR_H_ */
