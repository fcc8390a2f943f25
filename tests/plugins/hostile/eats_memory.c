/* Takes all the memory that there is, page by page. */
#include <stdlib.h>
#include <string.h>

static char* volatile part; /* or the compiler would see that nobody reads it */

static unsigned eat(unsigned x) {
  while ((part = malloc(1 << 24)) != NULL) memset(part, 1, 1 << 24);
  abort();
  return x;
}
#define HOSTILE_FORWARD(run, x) eat(x)
#include "tests/plugins/hostile/hostile.h"
