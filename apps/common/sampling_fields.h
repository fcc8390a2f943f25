// The fields of a body that /v1/completions and /v1/chat/completions share.
#ifndef KEEL_APPS_COMMON_SAMPLING_FIELDS_H_
#define KEEL_APPS_COMMON_SAMPLING_FIELDS_H_

#include "apps/common/answer.h"
#include "apps/common/fields.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// Reads model, n, stream and stream_options. A model that is not served is model_not_found (404).
void ReadCallFields(Fields& fields, const ServedModel& model, Call* call);
// Reads how to sample and when to stop, and sets it in `request`. Errors are left in `fields`.
void ReadSamplingFields(Fields& fields, Request& request);
// Sets a parameter; a refusal is left in `fields` under the wire format's own `field`.
void SetInt(Fields& fields, Request& request, std::string_view field, const char* name,
            int64_t value);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_SAMPLING_FIELDS_H_
