/* Ends the process that it is in. */
#include <stdlib.h>

static unsigned leave(unsigned x) {
  exit(x == 0);
  return x;
}
#define HOSTILE_FORWARD(run, x) leave(x)
#include "tests/plugins/hostile/hostile.h"
