/* Leaves a process behind when it is loaded. */
#include <unistd.h>

#include "tests/plugins/hostile/hostile.h"

__attribute__((constructor)) static void leave(void) { (void)!fork(); }
