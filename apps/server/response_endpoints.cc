// GET and DELETE /v1/responses/{id}: responses that are kept, in OpenAI's form.
#include <memory>
#include <string>

#include "apps/server/endpoints.h"
#include "apps/wire/fields.h"
#include "apps/wire/openai/response_store.h"

namespace keel::apps {
namespace {

std::string IdOf(const Exchange& exchange) {
  const std::string& path = exchange.request().path;
  return path.substr(path.rfind('/') + 1);
}

void NotThere(Exchange& exchange) {
  RespondError(exchange, {.code = ErrorCode::kNotFound,
                          .message = "there is no response " + Quote(IdOf(exchange)) +
                                     ", or it was too long ago"});
}

void GetResponse(Exchange& exchange) {
  const auto kept = ResponseStore::OfServer().Find(IdOf(exchange));
  if (kept == nullptr) return NotThere(exchange);
  exchange.Respond({.status = 200, .body = kept->body});
}

void DeleteResponse(Exchange& exchange) {
  const std::string id = IdOf(exchange);
  if (!ResponseStore::OfServer().Erase(id)) return NotThere(exchange);
  RespondJson(exchange, {{"id", id}, {"object", "response"}, {"deleted", true}});
}

}  // namespace

void AddResponseEndpoints(const EndpointContext& context) {
  context.router.Add("GET", "/v1/responses/*", [](auto exchange) { GetResponse(*exchange); });
  context.router.Add("DELETE", "/v1/responses/*", [](auto exchange) { DeleteResponse(*exchange); });
}

}  // namespace keel::apps
