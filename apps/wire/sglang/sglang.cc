#include "apps/wire/sglang/sglang.h"

#include "apps/wire/sglang/error.h"
#include "apps/wire/sglang/generate.h"

namespace keel::apps {

const Dialect& Sglang() {
  static const Dialect dialect = {
      .name = "sglang",
      .endpoints = {{"/generate", ParseSglangGenerate, IsSglangGenerate}},
      .error_form = SglangErrorBody};
  return dialect;
}

}  // namespace keel::apps
