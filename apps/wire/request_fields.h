// Fields that become parameters of the engine's request, alike in several dialects.
#ifndef KEEL_APPS_WIRE_REQUEST_FIELDS_H_
#define KEEL_APPS_WIRE_REQUEST_FIELDS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "apps/wire/call.h"
#include "apps/wire/fields.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// What setting a parameter from `field` came to.
void CheckSet(Fields& fields, std::string_view field, const Status& status);
void SetInt(Fields& fields, Request& request, std::string_view field, const char* name,
            int64_t value);
// {"42": -100}: token ids to what is added to their logits.
void ReadLogitBias(Fields& fields, std::string_view field, Request& request);
// Refuses more prompts times `n` than the engine takes at once; `field` is at fault.
void CheckSequences(Fields& fields, std::string_view field, size_t prompts, int64_t n,
                    const CallLimits& limits);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_REQUEST_FIELDS_H_
