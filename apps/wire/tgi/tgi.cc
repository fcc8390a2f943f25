#include "apps/wire/tgi/tgi.h"

#include "apps/wire/tgi/error.h"
#include "apps/wire/tgi/generate.h"

namespace keel::apps {

const Dialect& Tgi() {
  static const Dialect dialect = {.name = "tgi",
                                  .endpoints = {{"/generate", ParseTgiGenerate, IsTgiGenerate},
                                                {"/generate_stream", ParseTgiGenerateStream},
                                                {"/", ParseTgiRoot}},
                                  .error_form = TgiErrorBody};
  return dialect;
}

}  // namespace keel::apps
