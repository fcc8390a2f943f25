/* Does nothing more: what works in a jail. */
#include "tests/plugins/hostile/hostile.h"
