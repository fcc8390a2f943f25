// What the fake models need of the fake engine beside the ABI.
#ifndef KEEL_APPS_TESTING_FAKE_ENGINE_H_
#define KEEL_APPS_TESTING_FAKE_ENGINE_H_

#include <cstddef>
#include <functional>
#include <memory>

#include "sdk/abi/engine.h"

// A copy that lives on its own.
std::shared_ptr<const keel_options> CopyOptions(const keel_options* options);
// keel_engine_free calls `release` instead of freeing; null: frees again.
void SetRelease(keel_engine* engine, std::function<void()> release);
// That have not ended.
size_t NumRequests(keel_engine* engine);
// Message of keel_error_message; returns `code`.
keel_status FailWith(int code, const char* message);

#endif  // KEEL_APPS_TESTING_FAKE_ENGINE_H_
