/* Shapes and numbers that are none. */
#include <math.h>
#define HOSTILE_EPS NAN
#include "tests/plugins/hostile/hostile.h"
