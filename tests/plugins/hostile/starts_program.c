/* Starts a shell when it is loaded. */
#include <unistd.h>

#include "tests/plugins/hostile/hostile.h"

__attribute__((constructor)) static void start(void) {
  execl("/bin/sh", "sh", "-c", "touch /tmp/keel-hostile", (char*)NULL);
}
