/* Asks for 2^40 bytes, and uses them without a look at what it got. */
#include <stdint.h>
#include <stdlib.h>

static unsigned allocate(unsigned x) {
  volatile char* room = malloc((size_t)1 << 40);
  room[0] = 1;
  free((void*)room);
  return x;
}
#define HOSTILE_FORWARD(run, x) allocate(x)
#include "tests/plugins/hostile/hostile.h"
