// POST /tokenize and POST /detokenize, in vLLM's form.
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "apps/server/endpoints.h"
#include "apps/server/unknown_fields.h"
#include "apps/wire/fields.h"
#include "apps/wire/known_fields.h"
#include "apps/wire/model_field.h"
#include "apps/wire/token_texts.h"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

// Tokenizing takes seconds and a hundred times as much memory.
constexpr size_t kMaxTokenizeBytes = 1 << 20;

constexpr KnownField kTokenizeFields[] = {
    {"model"},
    {"prompt"},
    {"add_special_tokens"},
    {"return_token_strs"},
    RefusedField("messages", "messages are not tokenized yet, only prompt"),
};
constexpr KnownField kDetokenizeFields[] = {{"model"}, {"tokens"}};

// A call of either endpoint.
struct TokenCall {
  Fields& fields;
  const ServedModels::State& model;
  const Engine& engine;
  Exchange& exchange;
};

void Answer(const TokenCall& call, const json::object& response) {
  const std::string warning = UnknownFieldsWarning(call.fields.unknown());
  HttpResponse answer{.status = 200, .body = json::serialize(response), .warning = warning};
  AddWarning(warning, &answer.body);
  call.exchange.Respond(std::move(answer));
}

void Tokenize(const TokenCall& call) {
  const auto& [fields, model, engine, exchange] = call;
  const auto prompt = fields.String("prompt");
  const bool special = fields.Bool("add_special_tokens").value_or(true);
  const bool strings = fields.Bool("return_token_strs").value_or(false);
  if (!prompt.has_value()) {
    fields.Fail(InvalidField("prompt", "prompt is missing, expected a string"));
  } else if (prompt->size() > kMaxTokenizeBytes) {
    fields.Fail(InvalidField("prompt", "prompt has " + std::to_string(prompt->size()) +
                                           " bytes, expected at most " +
                                           std::to_string(kMaxTokenizeBytes)));
  }
  if (!fields.ok()) return RespondError(exchange, *fields.error());
  const auto ids = engine.Tokenize(*prompt, special);
  if (!ids.ok()) return RespondError(exchange, FromEngine(ids.status(), "prompt"));
  const json::value* length = model.info.if_contains("max_model_len");
  json::object response = {{"count", ids->size()},
                           {"max_model_len", length == nullptr ? json::value() : *length},
                           {"tokens", json::array(ids->begin(), ids->end())},
                           {"token_strs", nullptr}};
  if (strings) {
    TokenTexts texts(engine);
    json::array& list = response["token_strs"].emplace_array();
    for (const int32_t id : *ids) list.emplace_back(texts.Text(id));
  }
  Answer(call, response);
}

void Detokenize(const TokenCall& call) {
  const auto& [fields, model, engine, exchange] = call;
  const std::vector<int32_t> ids = fields.TokenIds("tokens");
  if (!fields.Has("tokens")) {
    fields.Fail(InvalidField("tokens", "tokens is missing, expected a list of token ids"));
  }
  const json::value* size = model.info.if_contains("vocab_size");
  const int64_t vocab_size = size != nullptr && size->is_int64() ? size->get_int64() : 0;
  for (const int32_t id : ids) {
    if (vocab_size == 0 || id < vocab_size) continue;
    fields.Fail(InvalidField("tokens", "tokens holds token id " + std::to_string(id) +
                                           ", expected 0 to " + std::to_string(vocab_size - 1)));
    break;
  }
  if (!fields.ok()) return RespondError(exchange, *fields.error());
  const auto text = engine.Detokenize(ids, /*skip_special_tokens=*/false);
  if (!text.ok()) return RespondError(exchange, FromEngine(text.status(), "tokens"));
  Answer(call, {{"prompt", *text}});
}

}  // namespace

void AddTokenEndpoints(const EndpointContext& context) {
  using Endpoint = void (*)(const TokenCall&);
  const auto add = [&](const char* path, std::span<const KnownField> known, Endpoint endpoint) {
    context.router.Add(
        "POST", path, [&context, known, endpoint](std::shared_ptr<Exchange> exchange) {
          if (const MaybeError error = context.readiness.Refusal()) {
            return RespondError(*exchange, *error);
          }
          auto body = std::make_shared<json::value>();
          std::string name;
          MaybeError error = ParseBody(exchange->request().body, body.get());
          if (!error.has_value()) {
            error = ReadModelName(body->get_object(), context.models.names(), &name);
          }
          if (error.has_value()) return RespondError(*exchange, *error);
          WithModel(context, name, exchange,
                    [&context, known, endpoint, name, body,
                     exchange](const std::shared_ptr<Engine>& engine) {
                      Fields fields(body->get_object());
                      CheckNames(fields, known);
                      MaybeError error = fields.error();
                      if (!error.has_value() && context.style.strict)
                        error = RefuseUnknownFields(fields.unknown());
                      if (error.has_value()) return RespondError(*exchange, *error);
                      endpoint({fields, context.models.Describe(name), *engine, *exchange});
                    });
        });
  };
  add("/tokenize", kTokenizeFields, Tokenize);
  add("/detokenize", kDetokenizeFields, Detokenize);
}

}  // namespace keel::apps
