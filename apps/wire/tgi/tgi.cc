#include "apps/wire/tgi/tgi.h"

#include "apps/wire/openai/chat.h"
#include "apps/wire/tgi/error.h"
#include "apps/wire/tgi/generate.h"

namespace keel::apps {
namespace {

// A chat is OpenAI's but for its chunks and errors, so nothing of a body tells the two apart but the
// name that clients of this protocol write for the one model of such a server.
bool IsTgiChat(const boost::json::object& body) {
  const boost::json::value* model = body.if_contains("model");
  return model != nullptr && model->is_string() && model->get_string() == "tgi";
}

}  // namespace

const Dialect& Tgi() {
  static const Dialect dialect = {
      .name = "tgi",
      .endpoints = {{"/generate", ParseTgiGenerate, IsTgiGenerate},
                    {"/generate_stream", ParseTgiGenerateStream},
                    {"/", ParseTgiRoot},
                    {"/v1/chat/completions", ParseFullChunksChat, IsTgiChat}},
      .error_form = TgiErrorBody};
  return dialect;
}

}  // namespace keel::apps
