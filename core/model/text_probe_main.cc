// keel-text-probe MEMORY_BYTES CPU_SECONDS, with the files to try as descriptor 3. Started by
// keel::ProbeText.

#include <cstdint>
#include <cstdio>

#include "absl/strings/numbers.h"
#include "core/model/text_probe_steps.h"

int main(int argc, char** argv) {
  int64_t memory_bytes = 0;
  int64_t cpu_seconds = 0;
  if (argc != 3 || !absl::SimpleAtoi(argv[1], &memory_bytes) ||
      !absl::SimpleAtoi(argv[2], &cpu_seconds)) {
    std::fputs("keel-text-probe is started by Keel, to try files of a model\n", stderr);
    return 2;
  }
  return keel::RunTextProbe(/*fd=*/3, memory_bytes, cpu_seconds);
}
