/* A size that a NaN makes. */
#include <math.h>
#define HOSTILE_SIZE (int64_t)((volatile double){NAN})
#include "tests/plugins/hostile/hostile.h"
