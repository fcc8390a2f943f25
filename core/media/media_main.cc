// keel-media MEMORY_BYTES CPU_SECONDS, with a channel to the host as descriptor 3. Started by
// keel::MediaPool.
#include <unistd.h>

#include <cstdio>

#include "absl/strings/numbers.h"
#include "core/media/media_service.h"

int main(int argc, char** argv) {
  keel::JailLimits limits;
  if (argc != 3 || !absl::SimpleAtoi(argv[1], &limits.memory_bytes) ||
      !absl::SimpleAtoi(argv[2], &limits.cpu_seconds)) {
    std::fputs("keel-media is started by Keel, to decode images, videos and sounds\n", stderr);
    return 2;
  }
  _exit(keel::RunMediaService(/*channel=*/3, limits));
}
