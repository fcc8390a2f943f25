// The native protocol of SGLang 0.5.
#ifndef KEEL_APPS_WIRE_SGLANG_SGLANG_H_
#define KEEL_APPS_WIRE_SGLANG_SGLANG_H_

#include "apps/wire/dialect.h"

namespace keel::apps {

// POST /generate.
const Dialect& Sglang();

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_SGLANG_SGLANG_H_
