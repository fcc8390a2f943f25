// Which endpoint answers a request, and what is answered where there is none.
#ifndef KEEL_APPS_SERVER_ROUTER_H_
#define KEEL_APPS_SERVER_ROUTER_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/http.h"
#include "boost/json/object.hpp"

namespace keel::apps {

struct RouterOptions {
  std::vector<std::string> api_keys;         // empty: everybody may
  std::vector<std::string> allowed_origins;  // of web pages; "*": all
};

// Routes are added before the first request; after that all functions may be called from any thread.
class Router {
 public:
  using Endpoint = std::function<void(std::shared_ptr<Exchange>)>;
  enum class Access { kWithKey, kPublic };

  explicit Router(RouterOptions options);
  ~Router();

  // A path that ends in "/*" serves everything below it.
  // `endpoint` runs on a thread where it may take its time (tokenize a book), but should not wait for
  // the engine. What it throws becomes a 500. `error_form`: of its path's errors, also those of the
  // router; null: as the server's others.
  void Add(std::string method, std::string path, Endpoint endpoint,
           Access access = Access::kWithKey, ErrorForm error_form = nullptr);
  // Takes a request from the server; returns at once.
  void Handle(std::shared_ptr<Exchange> exchange);
  // Runs `work` on such a thread.
  void Post(std::function<void()> work);
  // Ends the threads once what was posted is done; nothing may be handled after that.
  void Join();
  // `path` if a route has it, else "none": for labels of metrics.
  std::string Label(std::string_view path) const;

 private:
  struct Route {
    std::string method, path;
    Endpoint endpoint;
    Access access;
    ErrorForm error_form;
  };
  class Workers;

  bool MayPass(const HttpRequest& request) const;
  void Serve(const Route& route, std::shared_ptr<Exchange> exchange);

  RouterOptions options_;
  std::vector<Route> routes_;
  std::unique_ptr<Workers> workers_;
};

// Answers with JSON.
void RespondJson(Exchange& exchange, const boost::json::object& body);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_ROUTER_H_
