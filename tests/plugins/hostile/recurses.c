/* Overflows its stack in forward. */
static unsigned deeper(unsigned x) {
  volatile char room[4096];
  room[x % sizeof room] = 1;
  return x == 0 ? 0 : deeper(x + 1) + (unsigned)room[0];
}
#define HOSTILE_FORWARD(run, x) deeper(x)
#include "tests/plugins/hostile/hostile.h"
