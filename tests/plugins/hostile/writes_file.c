/* Writes a file when it is loaded. */
#include <fcntl.h>

#include "tests/plugins/hostile/hostile.h"

__attribute__((constructor)) static void write_file(void) {
  (void)open("/tmp/keel-hostile", O_WRONLY | O_CREAT, 0600);
}
