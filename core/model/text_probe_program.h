// Where the program keel-text-probe is.
#ifndef KEEL_CORE_MODEL_TEXT_PROBE_PROGRAM_H_
#define KEEL_CORE_MODEL_TEXT_PROBE_PROGRAM_H_

#include <string>

#include "absl/status/statusor.h"

namespace keel {

// `program` if it is not empty; else the first that exists of the places that ProbeOptions::program
// names. kNotFound lists what was looked at.
absl::StatusOr<std::string> FindProbeProgram(const std::string& program);

}  // namespace keel

#endif  // KEEL_CORE_MODEL_TEXT_PROBE_PROGRAM_H_
