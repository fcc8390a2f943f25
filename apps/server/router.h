// Which endpoint answers a request, and what is answered where there is none.
#ifndef KEEL_APPS_SERVER_ROUTER_H_
#define KEEL_APPS_SERVER_ROUTER_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/server/http.h"
#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

struct RouterOptions {
  std::vector<std::string> api_keys;         // empty: everybody may
  std::vector<std::string> allowed_origins;  // of web pages; "*": all
  bool allow_credentials = false;            // of those pages: cookies and the like go along
};

// Routes are added before the first request; after that all functions may be called from any thread.
class Router {
 public:
  using Endpoint = std::function<void(std::shared_ptr<Exchange>)>;
  enum class Access { kWithKey, kPublic };
  // Threads of their own, so that what is quick never waits for what is not.
  enum class Lane {
    kWork,        // may take its time (tokenize a book), but should not wait for the engine
    kMonitoring,  // answers at once
    kLoading,     // may wait for seconds
    kMedia,       // may wait for files, other hosts and decoders
  };
  struct RouteOptions {
    Access access = Access::kWithKey;
    Lane lane = Lane::kWork;
    bool is_polled = false;  // asked for all the time, by programs
    // Of its path's errors, also those of the router; null: as the server's others.
    ErrorForm error_form = nullptr;
  };

  explicit Router(RouterOptions options);
  ~Router();

  // A path that ends in "/*" serves everything below it. What `endpoint` throws becomes a 500.
  void Add(std::string method, std::string path, Endpoint endpoint, RouteOptions options);
  void Add(std::string method, std::string path, Endpoint endpoint) {
    Add(std::move(method), std::move(path), std::move(endpoint), RouteOptions());
  }
  // Takes a request from the server; returns at once.
  void Handle(std::shared_ptr<Exchange> exchange);
  // Runs `work` for a request on a thread of the lane; what it throws becomes a 500.
  void Post(std::shared_ptr<Exchange> exchange, std::function<void()> work, Lane lane);
  // Ends the threads once what was posted is done; nothing may be handled after that.
  void Join();
  // Whether a request has a key, where one is needed.
  bool MayPass(const HttpRequest& request) const;
  // `path` if a route has it, else "none": for labels of metrics.
  std::string Label(std::string_view path) const;
  bool IsPolled(std::string_view path) const;
  // "GET /v1/models" of each route, in the order of Add.
  std::vector<std::string> List() const;

 private:
  struct Route {
    std::string method, path;
    Endpoint endpoint;
    RouteOptions options;
  };
  class Workers;

  const Route* Find(std::string_view path) const;
  void AllowOrigin(Exchange& exchange) const;
  void Serve(const Route& route, std::shared_ptr<Exchange> exchange);

  RouterOptions options_;
  std::vector<Route> routes_;
  std::unique_ptr<Workers> workers_;
};

// Answers with JSON.
void RespondJson(Exchange& exchange, const boost::json::object& body);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_ROUTER_H_
