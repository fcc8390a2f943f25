#include "apps/server/router.h"

#include <algorithm>
#include <exception>
#include <set>
#include <utility>

#include "boost/asio/post.hpp"
#include "boost/asio/thread_pool.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace {

bool Matches(std::string_view route, std::string_view path) {
  if (!route.ends_with("/*")) return route == path;
  route.remove_suffix(1);
  return path.starts_with(route) && path.size() > route.size();
}

// Takes the same time whatever the difference is.
bool EqualSecrets(std::string_view a, std::string_view b) {
  unsigned difference = a.size() != b.size() ? 1 : 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i] ^ (b.empty() ? '\0' : b[i % b.size()]));
  }
  return difference == 0;
}

}  // namespace

class Router::Workers {
 public:
  boost::asio::thread_pool& Of(Lane lane) {
    switch (lane) {
      case Lane::kMonitoring:
        return monitoring_;
      case Lane::kLoading:
        return loading_;
      case Lane::kMedia:
        return media_;
      case Lane::kWork:
        break;
    }
    return work_;
  }
  // What is being loaded may still post work.
  void Join() {
    loading_.join();
    work_.join();
    media_.join();
    monitoring_.join();
  }

 private:
  boost::asio::thread_pool loading_{2}, work_{4}, media_{8}, monitoring_{1};
};

Router::Router(RouterOptions options)
    : options_(std::move(options)), workers_(std::make_unique<Workers>()) {}
Router::~Router() { Join(); }
void Router::Join() { workers_->Join(); }

void Router::Add(std::string method, std::string path, Endpoint endpoint, RouteOptions options) {
  routes_.push_back({std::move(method), std::move(path), std::move(endpoint), options});
}

void Router::Post(std::shared_ptr<Exchange> exchange, std::function<void()> work, Lane lane) {
  boost::asio::post(workers_->Of(lane), [exchange = std::move(exchange), work = std::move(work)] {
    try {
      work();
    } catch (const std::exception& e) {
      RespondError(*exchange, {.code = ErrorCode::kInternal,
                               .message = std::string("internal error: ") + e.what()});
    }
  });
}

const Router::Route* Router::Find(std::string_view path) const {
  const auto it = std::find_if(routes_.begin(), routes_.end(),
                               [&](const Route& route) { return Matches(route.path, path); });
  return it == routes_.end() ? nullptr : &*it;
}

std::string Router::Label(std::string_view path) const {
  const Route* route = Find(path);
  return route == nullptr ? "none" : route->path;
}

bool Router::IsPolled(std::string_view path) const {
  const Route* route = Find(path);
  return route != nullptr && route->options.is_polled;
}

std::vector<std::string> Router::List() const {
  std::vector<std::string> all;
  for (const Route& route : routes_) all.push_back(route.method + " " + route.path);
  return all;
}

bool Router::MayPass(const HttpRequest& request) const {
  constexpr std::string_view kScheme = "Bearer ";
  if (options_.api_keys.empty()) return true;
  std::string_view given = request.api_key;
  if (std::string_view(request.authorization).starts_with(kScheme))
    given = std::string_view(request.authorization).substr(kScheme.size());
  if (given.empty()) return false;
  return std::any_of(options_.api_keys.begin(), options_.api_keys.end(),
                     [&](const std::string& key) { return EqualSecrets(key, given); });
}

void Router::AllowOrigin(Exchange& exchange) const {
  const HttpRequest& request = exchange.request();
  for (const std::string& origin : options_.allowed_origins) {
    if (request.origin.empty() || (origin != "*" && origin != request.origin)) continue;
    AllowedOrigin allowed = {.origin = origin};
    if (options_.allow_credentials) {  // browsers take no "*" then
      allowed.with_credentials = true;
      allowed.origin = request.origin;
      allowed.headers = request.asked_headers.empty() ? "Authorization" : request.asked_headers;
    }
    return exchange.AllowOrigin(std::move(allowed));
  }
}

void Router::Handle(std::shared_ptr<Exchange> exchange) {
  AllowOrigin(*exchange);
  const HttpRequest& request = exchange->request();
  std::set<std::string> allowed;
  for (const Route& route : routes_) {
    if (!Matches(route.path, request.path)) continue;
    if (route.options.error_form != nullptr) exchange->set_error_form(route.options.error_form);
    if (route.method == request.method) return Serve(route, std::move(exchange));
    allowed.insert(route.method);
    if (route.method == "GET") allowed.insert("HEAD");
  }
  if (allowed.empty()) {
    return RespondError(*exchange, {.code = ErrorCode::kNotFound,
                                    .message = "no endpoint " + request.path +
                                               "; try /v1/models, /v1/chat/completions or "
                                               "/v1/completions"});
  }
  std::string allow = "OPTIONS";
  for (const std::string& method : allowed) allow += ", " + method;
  if (request.method == "OPTIONS") {
    return exchange->Respond({.status = 200, .content_type = {}, .allow = allow});
  }
  RespondError(*exchange,
               {.code = ErrorCode::kMethodNotAllowed,
                .message = request.path + " does not take " + request.method + ", only " + allow},
               allow);
}

void Router::Serve(const Route& route, std::shared_ptr<Exchange> exchange) {
  if (route.options.access == Access::kWithKey && !MayPass(exchange->request())) {
    return RespondError(*exchange, {.code = ErrorCode::kUnauthorized,
                                    .message = "the API key is missing or wrong, expected "
                                               "'Authorization: Bearer KEY' or 'X-Api-Key: KEY'"});
  }
  Post(
      exchange, [&route, exchange] { route.endpoint(exchange); }, route.options.lane);
}

void RespondJson(Exchange& exchange, const boost::json::object& body) {
  exchange.Respond({.status = 200, .body = boost::json::serialize(body)});
}

}  // namespace keel::apps
