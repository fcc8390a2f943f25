/* Reads a file when it is loaded, and fails in init with what came of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char said[200];

__attribute__((constructor)) static void read_file(void) {
  const int fd = open("/etc/passwd", O_RDONLY);
  if (fd < 0) {
    snprintf(said, sizeof said, "/etc/passwd: %s", strerror(errno));
  } else if (read(fd, said, sizeof said - 1) <= 0) {
    strcpy(said, "nothing in it");
  }
}

#define HOSTILE_INIT(host) (host->set_error(host->self, 9, said, strlen(said)), 9)
#include "tests/plugins/hostile/hostile.h"
