// sdk/abi/engine.h: outputs of many requests at once.
#include <memory>

#include "core/capi/handles.h"
#include "sdk/abi/engine.h"

using keel::Guard;

absl::StatusOr<std::shared_ptr<keel::OutputQueue>> keel_engine::Drained() {
  absl::MutexLock lock(&mutex);
  if (drained == nullptr) {
    auto made = keel::OutputQueue::WithEventFd(*engine);
    if (!made.ok()) return made.status();
    drained = *std::move(made);
  }
  return drained;
}

extern "C" {

keel_status keel_engine_event_fd(keel_engine* engine, int32_t* fd) {
  return Guard({{"engine", engine}, {"fd", fd}}, [&]() -> absl::Status {
    const auto drained = engine->Drained();
    if (!drained.ok()) return drained.status();
    *fd = (*drained)->event_fd();
    return absl::OkStatus();
  });
}

keel_status keel_engine_drain(keel_engine* engine, int64_t timeout_ms, size_t max,
                              const keel_output* const** outputs, size_t* n) {
  return Guard({{"engine", engine}, {"outputs", outputs}, {"n", n}}, [&]() -> absl::Status {
    const auto drained = engine->Drained();
    if (!drained.ok()) return drained.status();
    absl::Span<const keel_output* const> given;
    if (absl::Status status = (*drained)->Take(timeout_ms, max, &given); !status.ok())
      return status;
    *outputs = given.data();
    *n = given.size();
    return absl::OkStatus();
  });
}

}  // extern "C"
