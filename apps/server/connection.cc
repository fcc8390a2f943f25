#include "apps/server/connection.h"

#include <chrono>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "apps/common/request_id.h"
#include "apps/server/query.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/asio/experimental/awaitable_operators.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "boost/asio/write.hpp"

namespace keel::apps {
namespace {

using net::experimental::awaitable_operators::operator||;

// Completion as a tuple (error_code, ...) instead of an exception.
constexpr auto kAsTuple = net::as_tuple(net::use_awaitable);

// What a pipelining client may have sent ahead before its connection is no longer read.
constexpr size_t kMaxReadAhead = 64 << 10;

// A client's own id is kept if it is short and harmless in headers and logs.
std::string RequestId(std::string_view given) {
  const bool is_good = !given.empty() && given.size() <= 128 &&
                       given.find_first_not_of(
                           "0123456789abcdefghijklmnopqrstuvwxyz"
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_.:") == std::string_view::npos;
  return is_good ? std::string(given) : NewRequestId();
}

// "/v1/models/org%2Fname/" -> "/v1/models/org/name". What is no code stays as it is.
std::string DecodePath(std::string_view target) {
  std::string path = DecodePercent(target);
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

void ExchangeState::Wake() {
  if (wake_posted_.exchange(true)) return;
  net::post(executor_, [connection = connection_] {
    if (auto alive = connection.lock()) alive->Wake();
  });
}

net::awaitable<void> Connection::Run() {
  const std::shared_ptr<Connection> keep = shared_from_this();
  error_code ignored;
  stream_.socket().set_option(tcp::no_delay(true), ignored);
  bool go_on = true;
  while (go_on && !shared_->draining) {
    Parser parser;
    parser.header_limit(static_cast<uint32_t>(shared_->options.max_header_bytes));
    parser.body_limit(shared_->options.max_body_bytes);
    if (!co_await Read(parser)) break;

    const auto start = std::chrono::steady_clock::now();
    auto exchange = std::make_shared<ExchangeState>(ToRequest(parser), weak_from_this(),
                                                    stream_.get_executor());
    exchange->set_error_form(shared_->options.error_form);
    woken_ = false;
    watch_ = true;
    written_ = 0;
    shared_->handler(exchange);
    go_on = co_await Answer(*exchange, parser);
    if (client_gone_) {
      exchange->SetGone();
    } else {
      exchange->SetDone();
    }
    if (shared_->observer) {
      shared_->observer({.request = exchange->request(),
                         .status = client_gone_ ? 499 : exchange->head().status,
                         .duration = std::chrono::steady_clock::now() - start,
                         .response_bytes = written_,
                         .note = exchange->note()});
    }
  }
  stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
  stream_.close();
}

// Reads one request. False: there is none, or it was refused.
net::awaitable<bool> Connection::Read(Parser& parser) {
  stream_.expires_after(shared_->options.header_timeout);
  is_idle_ = true;
  auto [error, n] = co_await http::async_read_header(stream_, buffer_, parser, kAsTuple);
  is_idle_ = false;
  if (!error && !parser.is_done()) {
    if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
      const std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      if (!co_await WriteBytes(net::buffer(go_on))) co_return false;
    }
    stream_.expires_after(shared_->options.body_timeout);
    std::tie(error, n) = co_await http::async_read(stream_, buffer_, parser, kAsTuple);
  }
  if (!error) co_return true;
  // A local: gcc 12 ends a temporary of a co_await expression twice.
  CallError refusal;
  if (error == http::error::body_limit) {
    refusal.code = ErrorCode::kBodyTooLarge;
    refusal.message = "the body is longer than --max-body-bytes allows (" +
                      std::to_string(shared_->options.max_body_bytes) + " bytes)";
  } else if (error == http::error::header_limit) {
    refusal.code = ErrorCode::kHeaderTooLarge;
    refusal.message = "the headers are longer than " +
                      std::to_string(shared_->options.max_header_bytes) + " bytes";
  } else if (error.category() == http::make_error_code(http::error::bad_method).category() &&
             error != http::error::end_of_stream && error != http::error::partial_message) {
    refusal.message = "the request is no valid HTTP: " + error.message();
  } else {
    co_return false;
  }
  co_return co_await Refuse(std::move(refusal));
}

// Answers what cannot be read on from, and ends the connection.
net::awaitable<bool> Connection::Refuse(CallError error) {
  const ErrorBody body = shared_->options.error_form(error);
  http::response<http::string_body> response(static_cast<http::status>(body.http_status), 11);
  response.set(http::field::content_type, "application/json");
  response.keep_alive(false);
  response.body() = body.json;
  response.prepare_payload();
  stream_.expires_after(std::chrono::seconds(5));
  co_await http::async_write(stream_, response, kAsTuple);
  // What the client still sends is read for a moment, or the answer is lost to a reset.
  error_code ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  std::vector<char> rest(64 << 10);
  stream_.expires_after(std::chrono::seconds(2));
  for (size_t total = 0; total < 2 * shared_->options.max_body_bytes;) {
    auto [error, n] = co_await stream_.async_read_some(net::buffer(rest), kAsTuple);
    if (error) break;
    total += n;
  }
  co_return false;
}

HttpRequest Connection::ToRequest(Parser& parser) {
  const auto& message = parser.get();
  HttpRequest request;
  request.method = View(message.method_string());
  if (request.method == "HEAD") request.method = "GET";
  const std::string_view target = View(message.target());
  const size_t query = target.find('?');
  request.target = target.substr(0, query);
  if (query != std::string_view::npos) request.query = target.substr(query + 1);
  request.content_type = View(message[http::field::content_type]);
  request.path = DecodePath(request.target);
  request.authorization = View(message[http::field::authorization]);
  request.api_key = View(message["X-Api-Key"]);
  request.origin = View(message[http::field::origin]);
  request.accept = View(message[http::field::accept]);
  request.if_none_match = View(message[http::field::if_none_match]);
  request.id = RequestId(View(message["X-Request-Id"]));
  error_code error;
  const tcp::endpoint peer = stream_.socket().remote_endpoint(error);
  if (!error) {
    request.peer = peer.address().to_string() + ":" + std::to_string(peer.port());
  }
  request.body = std::move(parser.get().body());
  return request;
}

// False: the connection ends.
net::awaitable<bool> Connection::Answer(ExchangeState& exchange, const Parser& parser) {
  while (!exchange.has_head()) {
    if (!co_await WaitForWake()) co_return false;
    exchange.WakeSeen();
  }
  const bool head_only = parser.get().method() == http::verb::head;
  const unsigned version = parser.get().version();
  const bool keep_alive = parser.get().keep_alive() && !shared_->draining;
  const bool written =
      exchange.body() == nullptr
          ? co_await WriteWhole(exchange, head_only, keep_alive, version)
          : co_await WritePieces(exchange, head_only, keep_alive && version >= 11, version);
  if (!written) client_gone_ = true;
  co_return written&& keep_alive && (exchange.body() == nullptr || version >= 11);
}

template <typename Message>
void Connection::SetHeaders(const ExchangeState& exchange, Message* message) {
  const HttpResponse& head = exchange.head();
  message->set("X-Request-Id", exchange.request().id);
  if (!head.content_type.empty()) message->set(http::field::content_type, head.content_type);
  if (!head.allow.empty()) message->set(http::field::allow, head.allow);
  if (head.retry_after_seconds > 0) {
    message->set(http::field::retry_after, std::to_string(head.retry_after_seconds));
  }
  for (const auto& [name, value] : head.headers) message->set(name, value);
  if (!exchange.allow_origin().empty()) {
    message->set(http::field::access_control_allow_origin, exchange.allow_origin());
    message->insert(http::field::vary, "Origin");
    message->set(http::field::access_control_allow_methods, "GET, HEAD, POST, DELETE, OPTIONS");
    message->set(http::field::access_control_allow_headers, "*, Authorization");
  }
}

net::awaitable<bool> Connection::WriteWhole(ExchangeState& exchange, bool head_only,
                                            bool keep_alive, unsigned version) {
  const HttpResponse& head = exchange.head();
  http::response<http::span_body<const char>> response(static_cast<http::status>(head.status),
                                                       version);
  SetHeaders(exchange, &response);
  response.keep_alive(keep_alive);
  // What has not changed has no body, and says nothing of the one that the client has.
  if (head.status == 304) {
    head_only = true;
  } else {
    response.content_length(head.body.size());
  }
  if (!head_only) response.body() = {head.body.data(), head.body.size()};
  http::response_serializer<http::span_body<const char>> serializer(response);
  stream_.expires_after(shared_->options.write_timeout);
  error_code error;
  size_t n = 0;
  if (head_only) {
    std::tie(error, n) = co_await http::async_write_header(stream_, serializer, kAsTuple);
  } else {
    std::tie(error, n) = co_await http::async_write(stream_, serializer, kAsTuple);
  }
  written_ += n;
  co_return !error;
}

template <typename Buffers>
net::awaitable<bool> Connection::WriteBytes(Buffers buffers) {
  stream_.expires_after(shared_->options.write_timeout);
  auto [error, n] = co_await net::async_write(stream_, buffers, kAsTuple);
  written_ += n;
  co_return !error;
}

net::awaitable<bool> Connection::WritePieces(ExchangeState& exchange, bool head_only,
                                             bool keep_alive, unsigned version) {
  const bool chunked = version >= 11;
  http::response<http::empty_body> response(static_cast<http::status>(exchange.head().status),
                                            version);
  SetHeaders(exchange, &response);
  response.set(http::field::cache_control, "no-cache");
  response.keep_alive(keep_alive);
  response.chunked(chunked);
  http::response_serializer<http::empty_body> serializer(response);
  stream_.expires_after(shared_->options.write_timeout);
  const auto [error, n] = co_await http::async_write_header(stream_, serializer, kAsTuple);
  if (error) co_return false;
  if (head_only) co_return true;
  std::string bytes;
  for (bool more = true; more;) {
    woken_ = false;
    exchange.WakeSeen();
    bytes.clear();
    more = exchange.body()->Take(&bytes);
    if (!bytes.empty()) {
      const bool written = chunked ? co_await WriteBytes(http::make_chunk(net::buffer(bytes)))
                                   : co_await WriteBytes(net::buffer(bytes));
      if (!written) co_return false;
    } else if (more && !co_await WaitForWake()) {
      co_return false;
    }
  }
  if (!chunked) co_return true;
  co_return co_await WriteBytes(http::make_chunk_last());
}

// Waits until the exchange has something new. False: the client has gone.
net::awaitable<bool> Connection::WaitForWake() {
  while (!woken_ && !client_gone_) {
    wake_timer_.expires_at(net::steady_timer::time_point::max());
    if (!watch_) {
      co_await wake_timer_.async_wait(kAsTuple);
      continue;
    }
    const auto first = co_await (wake_timer_.async_wait(kAsTuple) ||
                                 stream_.socket().async_wait(tcp::socket::wait_read, kAsTuple));
    if (first.index() == 1) WatchClient();
  }
  woken_ = false;
  co_return !client_gone_;
}

// The socket is readable while an answer is due: the client has gone, or has sent its next request.
void Connection::WatchClient() {
  error_code error;
  stream_.socket().non_blocking(true, error);
  const size_t n = stream_.socket().read_some(buffer_.prepare(4096), error);
  buffer_.commit(n);
  if (error && error != net::error::would_block && error != net::error::try_again) {
    client_gone_ = true;
  }
  if (buffer_.size() >= kMaxReadAhead) watch_ = false;
}

}  // namespace keel::apps
