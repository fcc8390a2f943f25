// Where the programs are that Keel's library starts: installed beside it.
#ifndef KEEL_CORE_BASE_COMPANION_PROGRAM_H_
#define KEEL_CORE_BASE_COMPANION_PROGRAM_H_

#include <string>

#include "absl/status/statusor.h"

namespace keel {

struct CompanionProgram {
  const char* name;         // "keel-text-probe"
  const char* does;         // for messages: "tries tokenizer and chat template files"
  const char* environment;  // the variable that may name it
  const char* folder;       // where Bazel builds it: "core/model"
};

// `path` if it is not empty; else what the environment variable says (not in a process that runs
// with more rights than its user); else the first that exists: beside the shared library or program
// that holds this code, beside the main program, in Bazel's runfiles of either. kNotFound lists the
// places.
absl::StatusOr<std::string> FindCompanion(const CompanionProgram& program, const std::string& path);

}  // namespace keel

#endif  // KEEL_CORE_BASE_COMPANION_PROGRAM_H_
