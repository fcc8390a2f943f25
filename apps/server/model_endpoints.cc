// GET /v1/models, GET /v1/models/NAME, GET /info, GET /version, and what routers ask for: GET
// /model_info, GET /server_info, GET /load.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "apps/server/endpoints.h"
#include "apps/wire/model_field.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

json::object ModelJson(const ServedModels::State& model, const std::string& name) {
  json::object object = {{"id", name},          {"object", "model"},  {"created", model.created},
                         {"owned_by", "keel"},  {"root", model.root}, {"parent", nullptr},
                         {"state", model.state}};
  if (const json::value* error = model.usage.if_contains("error");
      error != nullptr && error->is_string() && !error->get_string().empty()) {
    object["error"] = *error;
  }
  if (const json::value* length = model.info.if_contains("max_model_len")) {
    object["max_model_len"] = *length;
  }
  object["keel"] = nullptr;
  if (!model.info.empty()) object["keel"] = model.info;
  return object;
}

// The first model, or nothing and 503 while it is not loaded.
std::optional<ServedModels::State> FirstModel(const EndpointContext& context, Exchange& exchange) {
  MaybeError error = context.readiness.Refusal();
  if (!error.has_value()) {
    ServedModels::State state = context.models.Describe(context.models.names().front());
    if (!state.info.empty()) return state;
    error = CallError{.code = ErrorCode::kUnavailable,
                      .message = "the first model is not loaded; /v1/models has all states"};
  }
  RespondError(exchange, *error);
  return std::nullopt;
}

void ListModels(const EndpointContext& context, Exchange& exchange) {
  if (const MaybeError error = context.readiness.Refusal()) return RespondError(exchange, *error);
  json::array data;
  for (const ServedModels::State& model : context.models.List()) {
    for (const std::string& name : model.names) data.push_back(ModelJson(model, name));
  }
  RespondJson(exchange, {{"object", "list"}, {"data", std::move(data)}});
}

void GetModel(const EndpointContext& context, Exchange& exchange) {
  if (const MaybeError error = context.readiness.Refusal()) return RespondError(exchange, *error);
  const std::string wanted = exchange.request().path.substr(sizeof("/v1/models/") - 1);
  std::string name;
  if (const MaybeError error = ReadModelName({{"model", wanted}}, context.models.names(), &name)) {
    return RespondError(exchange, *error);
  }
  RespondJson(exchange, ModelJson(context.models.Describe(name), name));
}

// The engine's own words, and TGI's.
void GetInfo(const EndpointContext& context, Exchange& exchange) {
  const auto model = FirstModel(context, exchange);
  if (!model.has_value()) return;
  json::object info = model->info;
  info["model_id"] = model->names.front();
  info["model_sha"] = nullptr;
  info["model_pipeline_tag"] = "text-generation";
  info["max_concurrent_requests"] = context.limits.max_sequences;
  if (const json::value* length = info.if_contains("max_model_len")) {
    const int64_t tokens = length->to_number<int64_t>();
    info["max_input_tokens"] = tokens - 1;
    info["max_total_tokens"] = tokens;
  }
  info["version"] = keel_version();
  RespondJson(exchange, info);
}

// SGLang's: what its router reads of a worker.
void GetModelInfo(const EndpointContext& context, Exchange& exchange) {
  const auto model = FirstModel(context, exchange);
  if (!model.has_value()) return;
  const auto value = [&](const char* key) {
    const json::value* found = model->info.if_contains(key);
    return found == nullptr ? json::value() : *found;
  };
  const auto takes = [&](const char* modality) {
    const json::value* found = model->info.if_contains("modalities");
    const json::array* all = found == nullptr ? nullptr : found->if_array();
    return all != nullptr && std::any_of(all->begin(), all->end(),
                                         [&](const json::value& one) { return one == modality; });
  };
  RespondJson(exchange, {{"model_path", model->root},
                         {"served_model_name", model->names.front()},
                         {"tokenizer_path", model->root},
                         {"is_generation", value("task") == "generate"},
                         {"preferred_sampling_params", nullptr},
                         {"weight_version", "default"},
                         {"has_image_understanding", takes("image")},
                         {"has_audio_understanding", takes("audio")},
                         {"tool_call_parser", value("tool_call_parser")},
                         {"reasoning_parser", value("reasoning_parser")},
                         {"max_model_len", value("max_model_len")},
                         {"architectures", json::array({value("architecture")})}});
}

void GetServerInfo(const EndpointContext& context, Exchange& exchange) {
  const auto model = FirstModel(context, exchange);
  if (!model.has_value()) return;
  json::object info = model->info;
  info["version"] = keel_version();
  info["model_path"] = model->root;
  info["served_model_name"] = model->names.front();
  info["tokenizer_path"] = model->root;
  info["server_load"] = context.calls.size();
  RespondJson(exchange, info);
}

}  // namespace

void AddModelEndpoints(const EndpointContext& context) {
  using Endpoint = void (*)(const EndpointContext&, Exchange&);
  const auto add = [&](const char* path, Endpoint endpoint) {
    context.router.Add("GET", path,
                       [&context, endpoint](auto exchange) { endpoint(context, *exchange); });
  };
  add("/v1/models", ListModels);
  add("/v1/models/*", GetModel);
  add("/info", GetInfo);
  add("/model_info", GetModelInfo);
  add("/get_model_info", GetModelInfo);
  add("/server_info", GetServerInfo);
  add("/get_server_info", GetServerInfo);
  const Router::RouteOptions for_all = {.access = Router::Access::kPublic,
                                        .lane = Router::Lane::kMonitoring};
  context.router.Add(
      "GET", "/load",
      [&context](auto exchange) {
        RespondJson(*exchange, {{"server_load", context.calls.size()}});
      },
      {.access = Router::Access::kPublic, .lane = Router::Lane::kMonitoring, .is_polled = true});
  context.router.Add(
      "GET", "/version",
      [](auto exchange) {
        RespondJson(*exchange, {{"version", keel_version()}});
      },
      for_all);
}

}  // namespace keel::apps
