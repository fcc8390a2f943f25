// The body of keel-text-probe.
#ifndef KEEL_CORE_MODEL_TEXT_PROBE_STEPS_H_
#define KEEL_CORE_MODEL_TEXT_PROBE_STEPS_H_

#include <cstdint>

namespace keel {

// Limits this process, reads the files (SerializeTextFiles) from descriptor `fd` and tries them.
// Writes on stdout "step <what>" before each step and at the end "done" or "error <message>".
// Returns the exit status.
int RunTextProbe(int fd, int64_t memory_bytes, int64_t cpu_seconds);

}  // namespace keel

#endif  // KEEL_CORE_MODEL_TEXT_PROBE_STEPS_H_
