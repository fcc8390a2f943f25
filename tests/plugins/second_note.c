/* A second note in one plugin. */
#include "sdk/abi/plugin_note.h"

KEEL_PLUGIN_NOTE("id=org.keel.test.second\nversion=1.0\n");
