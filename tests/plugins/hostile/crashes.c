/* Follows a wild pointer in forward. */
static unsigned crash(unsigned x) {
  volatile unsigned* wild = (volatile unsigned*)16;
  return *wild + x;
}
#define HOSTILE_FORWARD(run, x) crash(x)
#include "tests/plugins/hostile/hostile.h"
