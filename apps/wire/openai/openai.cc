#include "apps/wire/openai/openai.h"

#include "apps/wire/openai/chat.h"
#include "apps/wire/openai/classify.h"
#include "apps/wire/openai/completions.h"
#include "apps/wire/openai/embeddings.h"
#include "apps/wire/openai/error.h"
#include "apps/wire/openai/responses.h"
#include "apps/wire/openai/scores.h"

namespace keel::apps {
namespace {

// SageMaker's one endpoint: the body says which of the two it is for.
MaybeError ParseInvocation(const boost::json::object& body, const CallContext& context,
                           Call* call) {
  return body.contains("messages") ? ParseChat(body, context, call)
                                   : ParseCompletions(body, context, call);
}

}  // namespace

const Dialect& OpenAi() {
  static const Dialect dialect = {.name = "openai",
                                  .endpoints = {{"/v1/completions", ParseCompletions},
                                                {"/v1/chat/completions", ParseChat},
                                                {"/v1/responses", ParseResponses},
                                                {"/invocations", ParseInvocation},
                                                {"/v1/embeddings", ParseEmbeddings},
                                                {"/pooling", ParsePooling},
                                                {"/classify", ParseClassify},
                                                {"/score", ParseScore},
                                                {"/v1/score", ParseScore},
                                                {"/rerank", ParseRerank},
                                                {"/v1/rerank", ParseRerank},
                                                {"/v2/rerank", ParseRerank}},
                                  .error_form = OpenAiErrorBody};
  return dialect;
}

}  // namespace keel::apps
