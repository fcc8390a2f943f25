/* Lets a token of one request reach those of others. */
#define HOSTILE_FORWARD(run, x) (run)->ops->cumsum(run, x, 0)
#include "tests/plugins/hostile/hostile.h"
