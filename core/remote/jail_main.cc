// keel-jail MEMORY_BYTES CPU_SECONDS PLUGIN_NAME, with a channel to the host as descriptor 3 and the
// plugin's sealed bytes as 4. Started by keel::JailedPlugin.
#include <unistd.h>

#include <cstdio>

#include "absl/strings/numbers.h"
#include "core/remote/jail_service.h"

int main(int argc, char** argv) {
  keel::JailLimits limits;
  if (argc != 4 || !absl::SimpleAtoi(argv[1], &limits.memory_bytes) ||
      !absl::SimpleAtoi(argv[2], &limits.cpu_seconds)) {
    std::fputs("keel-jail is started by Keel, to run a plugin that it does not trust\n", stderr);
    return 2;
  }
  // Not exit: destructors of the plugin's may be registered.
  _exit(keel::RunJail(/*channel=*/3, keel::FileDescriptor(4), argv[3], limits));
}
