// POST /tokenize and POST /detokenize, in vLLM's form.
#include <string>
#include <utility>
#include <vector>

#include "apps/server/serving.h"
#include "apps/wire/fields.h"
#include "apps/wire/token_texts.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

void Tokenize(const Serving& serving, const json::object& body, Exchange& exchange) {
  Fields fields(body);
  if (fields.Has("messages")) {
    fields.Fail(NotServed("messages", "messages are not tokenized yet, only prompt"));
  }
  const auto prompt = fields.String("prompt");
  const bool special = fields.Bool("add_special_tokens").value_or(true);
  const bool strings = fields.Bool("return_token_strs").value_or(false);
  if (!prompt.has_value()) {
    fields.Fail(InvalidField("prompt", "prompt is missing, expected a string"));
  }
  if (!fields.ok()) return RespondError(exchange, *fields.error());
  const auto ids = serving.engine.Tokenize(*prompt, special);
  if (!ids.ok()) return RespondError(exchange, FromEngine(ids.status(), "prompt"));
  json::object response = {{"count", ids->size()},
                           {"max_model_len", serving.model.max_model_len},
                           {"tokens", json::array(ids->begin(), ids->end())},
                           {"token_strs", nullptr}};
  if (strings) {
    TokenTexts texts(serving.engine);
    json::array& list = response["token_strs"].emplace_array();
    for (const int32_t id : *ids) list.emplace_back(texts.Text(id));
  }
  RespondJson(exchange, response);
}

void Detokenize(const Serving& serving, const json::object& body, Exchange& exchange) {
  Fields fields(body);
  const std::vector<int32_t> ids = fields.TokenIds("tokens");
  if (!fields.Has("tokens")) {
    fields.Fail(InvalidField("tokens", "tokens is missing, expected a list of token ids"));
  }
  if (!fields.ok()) return RespondError(exchange, *fields.error());
  const auto text = serving.engine.Detokenize(ids, /*skip_special_tokens=*/false);
  if (!text.ok()) return RespondError(exchange, FromEngine(text.status(), "tokens"));
  RespondJson(exchange, {{"prompt", *text}});
}

}  // namespace

void AddTokenEndpoints(Router& router, const ServingSlot& slot) {
  using Endpoint = void (*)(const Serving&, const json::object&, Exchange&);
  const auto add = [&](const char* path, Endpoint endpoint) {
    router.Add("POST", path, [&slot, endpoint](std::shared_ptr<Exchange> exchange) {
      Serving* const serving = slot.GetOrRefuse(*exchange);
      if (serving == nullptr) return;
      json::value body;
      if (const MaybeError error = ParseBody(exchange->request().body, &body)) {
        return RespondError(*exchange, *error);
      }
      endpoint(*serving, body.get_object(), *exchange);
    });
  };
  add("/tokenize", Tokenize);
  add("/detokenize", Detokenize);
}

}  // namespace keel::apps
