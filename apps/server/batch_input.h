// The input of a batch, looked over before its first line is run.
#ifndef KEEL_APPS_SERVER_BATCH_INPUT_H_
#define KEEL_APPS_SERVER_BATCH_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "apps/batch/attempt_log.h"
#include "apps/server/store/batch.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// What a batch's lines are held against.
struct BatchInputRules {
  std::string endpoint;                  // that all must be for
  std::vector<std::string> model_names;  // that are served
  int64_t max_lines = 50'000;
  size_t max_line_bytes = 64 << 20;
  // Where a line is that a process dies of as it reads it; null: nobody counts.
  AttemptLog* attempts = nullptr;
  int max_crashes = 3;  // so many may, then the line has a fault
};

struct BatchInput {
  int64_t lines = 0;  // without blank ones
  std::string model;  // that all are for
  // What is wrong with them, of the first few.
  std::vector<BatchFault> faults;
};

// NOT_FOUND: the file cannot be opened. Other errors may go by themselves.
Result<BatchInput> ReadBatchInput(const std::string& path, const BatchInputRules& rules);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_BATCH_INPUT_H_
