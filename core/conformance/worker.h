// A process of its own for each check: whatever a plugin does there, the kit goes on.
#ifndef KEEL_CORE_CONFORMANCE_WORKER_H_
#define KEEL_CORE_CONFORMANCE_WORKER_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/conformance/check.h"

namespace keel::conformance {

// Runs the check of requirement `number` in a process of `program`, which must hold it and call
// RunAsWorker. A crash, an exit, and no end within `limit` (kCrash) say what was being tried.
Finding RunInWorker(const std::string& program, const Subject& subject, int number,
                    absl::Duration limit);

// What `main` of such a program does first: if the arguments say that it is a worker, or is to
// print a graph's digest, runs `checks`' one and gives the exit code.
std::optional<int> RunAsWorker(absl::Span<const Check> checks, int argc, const char* const* argv);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_WORKER_H_
