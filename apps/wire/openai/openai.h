// OpenAI's protocol, with the fields that vLLM adds to it.
#ifndef KEEL_APPS_WIRE_OPENAI_OPENAI_H_
#define KEEL_APPS_WIRE_OPENAI_OPENAI_H_

#include "apps/wire/dialect.h"

namespace keel::apps {

// POST /v1/completions, POST /v1/chat/completions, and POST /invocations, which is either; of models that
// give vectors POST /v1/embeddings and vLLM's /pooling, /classify, /score and /rerank.
const Dialect& OpenAi();

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_OPENAI_H_
