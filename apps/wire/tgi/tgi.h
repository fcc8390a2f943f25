// The native protocol of text-generation-inference 3.3, for clients of a server that is frozen.
#ifndef KEEL_APPS_WIRE_TGI_TGI_H_
#define KEEL_APPS_WIRE_TGI_TGI_H_

#include "apps/wire/dialect.h"

namespace keel::apps {

// POST /generate, POST /generate_stream and POST /, which is either by its field "stream".
const Dialect& Tgi();

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_TGI_TGI_H_
