// The fields of a body that /v1/completions and /v1/chat/completions share.
#ifndef KEEL_APPS_WIRE_OPENAI_SAMPLING_FIELDS_H_
#define KEEL_APPS_WIRE_OPENAI_SAMPLING_FIELDS_H_

#include "apps/wire/call.h"
#include "apps/wire/fields.h"
#include "apps/wire/openai/answer.h"
#include "apps/wire/request_fields.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// Reads n, stream and stream_options; the id of the answer is left to the caller.
OpenAiAnswerOptions ReadCallFields(Fields& fields, const CallContext& context, Call* call);
// Reads how to sample and when to stop, and sets it in `request`. Errors are left in `fields`.
void ReadSamplingFields(Fields& fields, const CallLimits& limits, Request& request);
// More sequences than the engine ever takes at once are refused, before one is submitted.
void CheckSequences(Fields& fields, size_t prompts, const CallLimits& limits);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_SAMPLING_FIELDS_H_
