/* Calls home when it is loaded. */
#include <sys/socket.h>

#include "tests/plugins/hostile/hostile.h"

__attribute__((constructor)) static void call_home(void) { (void)socket(AF_INET, SOCK_STREAM, 0); }
