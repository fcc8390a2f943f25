/* Writes an answer of its own on the channel to the host. */
#include <unistd.h>

static unsigned forge(unsigned x) {
  /* A frame of 8 bytes: field 4, a graph, that is none. */
  (void)!write(3, "\x08\0\0\0\x22\x06nograph", 12);
  _exit(0);
  return x;
}
#define HOSTILE_FORWARD(run, x) forge(x)
#include "tests/plugins/hostile/hostile.h"
