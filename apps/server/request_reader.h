// The requests of one client, one after the other.
#ifndef KEEL_APPS_SERVER_REQUEST_READER_H_
#define KEEL_APPS_SERVER_REQUEST_READER_H_

#include <chrono>

#include "apps/server/client_stream.h"
#include "apps/server/http.h"
#include "apps/server/http_options.h"
#include "boost/asio/awaitable.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/http/empty_body.hpp"
#include "boost/beast/http/parser.hpp"

namespace keel::apps {

// A request, and how its answer is framed.
struct ReceivedRequest {
  HttpRequest request;
  bool head_only = false;  // the client asked by HEAD
  bool keep_alive = false;
  unsigned version = 11;
};

class RequestReader {
 public:
  // Both must outlive the reader.
  RequestReader(ClientStream& stream, const HttpOptions& options)
      : stream_(stream), options_(options) {}

  // False: there is none, and no other will be; `refusal` says why, if the client has sent something.
  net::awaitable<bool> Read(ReceivedRequest* received, MaybeError* refusal);
  // Between requests.
  bool is_waiting() const { return is_waiting_; }

  // What the client sends while an answer is due.
  enum class Ahead { kNothing, kMuch, kGone };
  Ahead ReadAhead();

 private:
  using Parser = boost::beast::http::basic_parser<true>;
  using HeadParser = boost::beast::http::request_parser<boost::beast::http::empty_body>;

  // Feeds the parser until is_done.
  net::awaitable<error_code> Parse(Parser& parser, bool (Parser::*is_done)() const,
                                   std::chrono::nanoseconds timeout_of_each = {});
  net::awaitable<bool> ReadHead(HeadParser& head, MaybeError* refusal);
  net::awaitable<bool> ReadBody(HeadParser& head, HttpRequest& request, MaybeError* refusal);
  net::awaitable<error_code> ReadToMemory(HeadParser& head, HttpRequest& request);
  net::awaitable<error_code> ReadToDisk(HeadParser& head, HttpRequest& request);
  HttpRequest ToRequest(const HeadParser& head);

  ClientStream& stream_;
  const HttpOptions& options_;
  boost::beast::flat_buffer buffer_;  // what has come and was not parsed yet
  bool is_waiting_ = false;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_REQUEST_READER_H_
