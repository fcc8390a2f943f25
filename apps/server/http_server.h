// An HTTP/1.1 server: connections, limits, keep-alive, streaming. Knows nothing of what it serves.
#ifndef KEEL_APPS_SERVER_HTTP_SERVER_H_
#define KEEL_APPS_SERVER_HTTP_SERVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "apps/server/http.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct HttpOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8000;  // 0: any free one
  int threads = 2;
  size_t max_body_bytes = 64 << 20;
  size_t max_header_bytes = 64 << 10;
  std::chrono::milliseconds header_timeout{75'000};  // also how long an idle connection stays
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds write_timeout{60'000};  // for a client that takes nothing
  ErrorForm error_form = PlainError;                // of what is refused before it is handed over
};

// What a finished exchange looked like, for logs and metrics.
struct HttpRecord {
  const HttpRequest& request;
  int status;  // 499: the client went away
  std::chrono::duration<double> duration;
  size_t response_bytes;
  std::string note;
};

// Called on the server's threads, maybe several at once.
using HttpObserver = std::function<void(const HttpRecord&)>;

class HttpServer {
 public:
  // Takes the address and starts to answer. `handler` is called on one of the server's threads and must
  // not block it. The error says in plain words when the address cannot be had.
  static Result<std::unique_ptr<HttpServer>> Start(const HttpOptions& options, HttpHandler handler,
                                                   HttpObserver observer);
  // Ends all connections at once.
  ~HttpServer();

  uint16_t port() const;
  // Takes no new connections and ends idle ones; waits until running exchanges are answered, at most
  // `timeout`. False: some are not.
  bool Drain(std::chrono::milliseconds timeout);

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_HTTP_SERVER_H_
