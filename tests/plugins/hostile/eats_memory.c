/* Takes all the memory that there is, page by page. */
#include <stdlib.h>
#include <string.h>

static unsigned eat(unsigned x) {
  for (char* part; (part = malloc(1 << 24)) != NULL;) memset(part, 1, 1 << 24);
  abort();
  return x;
}
#define HOSTILE_FORWARD(run, x) eat(x)
#include "tests/plugins/hostile/hostile.h"
