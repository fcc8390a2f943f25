// What an HTTP server is told, and what it tells.
#ifndef KEEL_APPS_SERVER_HTTP_OPTIONS_H_
#define KEEL_APPS_SERVER_HTTP_OPTIONS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "apps/server/http.h"
#include "apps/wire/call_error.h"

namespace keel::apps {

// Bodies that go to the disk as they come, and so may be longer than others.
struct UploadOptions {
  std::string folder = {};
  size_t max_bytes = 512 << 20;
  // Whether the body of a request with such a head is one; null: none is.
  std::function<bool(const HttpRequest& head)> is_upload = {};
};

struct HttpOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8000;              // 0: any free one
  std::string uds = {};              // path of a Unix socket to listen on instead; empty: none
  std::string ssl_certificate = {};  // a file; empty: no TLS
  std::string ssl_key = {};          // a file; empty: in that of the certificate
  int threads = 2;
  size_t max_connections = 0;  // what are more are told so; 0: any number
  size_t max_body_bytes = 64 << 20;
  UploadOptions uploads = {};
  size_t max_header_bytes = 64 << 10;
  std::chrono::milliseconds header_timeout{75'000};  // also how long an idle connection stays
  std::chrono::milliseconds body_timeout{60'000};    // of an upload: between two pieces of it
  std::chrono::milliseconds write_timeout{60'000};   // for a client that takes nothing
  ErrorForm error_form = PlainError;                 // of what is refused before it is handed over
};

// What a finished exchange looked like, for logs and metrics.
struct HttpRecord {
  const HttpRequest& request;
  int status;  // 499: the client went away
  std::chrono::duration<double> duration;
  size_t response_bytes;
  std::optional<TokenCounts> tokens;
};

// Called on the server's threads, maybe several at once.
using HttpObserver = std::function<void(const HttpRecord&)>;

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_HTTP_OPTIONS_H_
