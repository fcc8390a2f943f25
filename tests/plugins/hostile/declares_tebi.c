/* Declares 2^40 weights. */
#define HOSTILE_SIZE ((int64_t)1 << 40)
#include "tests/plugins/hostile/hostile.h"
