// GET /v1/models, GET /v1/models/NAME, GET /info, GET /version.
#include <string>
#include <utility>

#include "apps/server/serving.h"
#include "apps/wire/model_field.h"
#include "boost/json/parse.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

json::object Info(const Serving& serving) {
  boost::system::error_code error;
  const std::string_view text = serving.engine.info();
  json::value info = json::parse(json::string_view(text.data(), text.size()), error);
  return info.is_object() ? info.get_object() : json::object();
}

json::object ModelJson(const Serving& serving, const std::string& name) {
  const ServedModel& model = serving.model;
  json::object object = {{"id", name},         {"object", "model"},  {"created", model.created},
                         {"owned_by", "keel"}, {"root", model.root}, {"parent", nullptr}};
  if (model.max_model_len > 0) object["max_model_len"] = model.max_model_len;
  object["keel"] = Info(serving);
  return object;
}

void ListModels(const ServingSlot& slot, Exchange& exchange) {
  Serving* const serving = slot.GetOrRefuse(exchange);
  if (serving == nullptr) return;
  json::array data;
  for (const std::string& name : serving->model.names) data.push_back(ModelJson(*serving, name));
  RespondJson(exchange, {{"object", "list"}, {"data", std::move(data)}});
}

void GetModel(const ServingSlot& slot, Exchange& exchange) {
  Serving* const serving = slot.GetOrRefuse(exchange);
  if (serving == nullptr) return;
  const std::string wanted = exchange.request().path.substr(sizeof("/v1/models/") - 1);
  std::string name;
  if (const MaybeError error = ReadModelName({{"model", wanted}}, serving->model.names, &name)) {
    return RespondError(exchange, *error);
  }
  RespondJson(exchange, ModelJson(*serving, name));
}

}  // namespace

void AddModelEndpoints(Router& router, const ServingSlot& slot) {
  router.Add("GET", "/v1/models", [&slot](auto exchange) { ListModels(slot, *exchange); });
  router.Add("GET", "/v1/models/*", [&slot](auto exchange) { GetModel(slot, *exchange); });
  router.Add("GET", "/info", [&slot](auto exchange) {
    if (Serving* const serving = slot.GetOrRefuse(*exchange))
      RespondJson(*exchange, Info(*serving));
  });
  router.Add(
      "GET", "/version",
      [](auto exchange) {
        RespondJson(*exchange, {{"version", keel_version()}});
      },
      Router::Access::kPublic);
}

}  // namespace keel::apps
