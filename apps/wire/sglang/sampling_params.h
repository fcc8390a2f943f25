// "sampling_params" of a body: how to sample and when to stop, in SGLang's names.
#ifndef KEEL_APPS_WIRE_SGLANG_SAMPLING_PARAMS_H_
#define KEEL_APPS_WIRE_SGLANG_SAMPLING_PARAMS_H_

#include <cstdint>

#include "apps/wire/call.h"
#include "apps/wire/fields.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// Sets them in `request`; what is left out has SGLang's own value, whatever generation_config.json says.
// Returns n, the answers of each prompt.
int64_t ReadSglangSamplingParams(Fields& params, Request& request);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_SGLANG_SAMPLING_PARAMS_H_
