// HTTP as the endpoints see it: a request, and the exchange that answers it.
#ifndef KEEL_APPS_SERVER_HTTP_H_
#define KEEL_APPS_SERVER_HTTP_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/server/mapped_body.h"
#include "apps/wire/call_error.h"

namespace keel::apps {

struct HttpRequest {
  std::string method;      // "POST"; HEAD comes as "GET", its answer loses the body
  std::string path;        // "/v1/models", decoded, without the query and a slash at the end
  std::string target;      // the path as it was sent
  std::string query = {};  // what stands behind its "?", as it was sent
  std::string content_type = {};
  std::string body;
  std::string authorization;       // the header's value
  std::string api_key = {};        // of X-Api-Key, as Anthropic's clients send it
  std::string origin;              // the header's value; empty: not from a web page
  std::string asked_headers = {};  // that a page's call would have, asked before it is made
  std::string id;                  // of X-Request-Id, or made up
  std::string trace_id = {};       // of traceparent; empty: none
  std::string span_id = {};        // its caller's, of the same header
  std::string peer;                // "127.0.0.1:51234"
  std::string accept = {};         // the header's value
  std::string if_none_match = {};
  std::shared_ptr<const MappedBody> upload = {};  // the body, if it is on the disk; else null

  std::string_view content() const { return upload == nullptr ? body : upload->view(); }
};

// The web pages that may read an answer, as the headers Access-Control-Allow-* say it.
struct AllowedOrigin {
  std::string origin = "*";
  // That calls may have; where credentials go along, "*" is not all of them.
  std::string headers = "*, Authorization";
  bool with_credentials = false;  // cookies and the like
};

struct TokenCounts {
  size_t prompt = 0, completion = 0;
};

struct HttpResponse {
  int status = 200;
  std::string body = {};
  std::string content_type = "application/json";
  std::string allow = {};       // header Allow, for 405 and OPTIONS
  int retry_after_seconds = 0;  // header Retry-After; 0: none
  std::vector<std::pair<std::string, std::string>> headers = {};  // others
  std::string warning = {};                                       // header X-Keel-Warning
};

// The body of a response that comes in pieces. The connection asks for the next piece when the client
// has taken the one before: a slow client holds up nobody else.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  // Appends what is ready to `bytes`, maybe nothing. Returns false once the body is complete.
  virtual bool Take(std::string* bytes) = 0;
};

// One request and its answer. All functions may be called from any thread; exactly one of Respond and
// RespondInPieces is called.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const HttpRequest& request() const = 0;
  // How errors of this exchange are written. Set before it is handed to another thread.
  void set_error_form(ErrorForm form) { error_form_ = form; }
  ErrorForm error_form() const { return error_form_; }
  // Web pages of that origin may read the answer, which is yet to come.
  virtual void AllowOrigin(AllowedOrigin allowed) = 0;
  virtual void Respond(HttpResponse response) = 0;
  // Answers 200 with `head`'s content type and what `body` gives.
  virtual void RespondInPieces(HttpResponse head, std::shared_ptr<BodyStream> body) = 0;
  // The body has something to take, or is complete.
  virtual void Wake() = 0;
  // Calls `fn` when the client goes away before its answer is complete; at once if it has.
  virtual void OnClientGone(std::function<void()> fn) = 0;
  // For the access log: what was read and made for the answer so far.
  virtual void CountTokens(TokenCounts tokens) = 0;

 private:
  ErrorForm error_form_ = PlainError;
};

// Answers with an error, in the exchange's form; `allow` as in HttpResponse.
void RespondError(Exchange& exchange, const CallError& error, std::string allow = "");

using HttpHandler = std::function<void(std::shared_ptr<Exchange>)>;

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_HTTP_H_
