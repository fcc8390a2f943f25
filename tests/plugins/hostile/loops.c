/* Never comes back from forward. */
static unsigned forever(unsigned x) {
  for (volatile int on = 1; on;) continue;
  return x;
}
#define HOSTILE_FORWARD(run, x) forever(x)
#include "tests/plugins/hostile/hostile.h"
