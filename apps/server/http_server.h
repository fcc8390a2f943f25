// An HTTP/1.1 server: connections, limits, keep-alive, streaming. Knows nothing of what it serves.
#ifndef KEEL_APPS_SERVER_HTTP_SERVER_H_
#define KEEL_APPS_SERVER_HTTP_SERVER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "apps/server/http.h"
#include "apps/server/http_options.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

class HttpServer {
 public:
  // Takes the address and starts to answer. `handler` is called on one of the server's threads and must
  // not block it. The error says in plain words when the address cannot be had.
  static Result<std::unique_ptr<HttpServer>> Start(const HttpOptions& options, HttpHandler handler,
                                                   HttpObserver observer);
  // Ends all connections at once.
  ~HttpServer();

  // 0 on a Unix socket.
  uint16_t port() const;
  // Reads the certificate's files again; connections from now on see it. What is wrong with them
  // changes nothing.
  Status ReloadTls();
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
