/* Promises a frame of 4 GiB and sends what it can. */
#include <unistd.h>

static unsigned flood(unsigned x) {
  static char bytes[1 << 16];
  (void)!write(3, "\xff\xff\xff\xff", 4);
  while (write(3, bytes, sizeof bytes) > 0) continue;
  return x;
}
#define HOSTILE_FORWARD(run, x) flood(x)
#include "tests/plugins/hostile/hostile.h"
