#include "apps/server/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "apps/server/mapped_body.h"
#include "apps/server/request_head.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/asio/experimental/awaitable_operators.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "boost/asio/write.hpp"
#include "boost/beast/core/basic_stream.hpp"
#include "boost/beast/core/file.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/http.hpp"
#include "boost/beast/ssl/ssl_stream.hpp"

namespace keel::apps {
namespace beast = boost::beast;
namespace http = beast::http;
using net::ip::tcp;
namespace {

using net::experimental::awaitable_operators::operator||;

// Completion as a tuple (error_code, ...) instead of an exception.
constexpr auto kAsTuple = net::as_tuple(net::use_awaitable);

// For a last answer to a client that takes nothing.
constexpr std::chrono::seconds kEndTimeout(5);

// What a pipelining client may have sent ahead before its connection is no longer read.
constexpr size_t kMaxReadAhead = 64 << 10;

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

// "127.0.0.1:51234"; "unix" of a Unix socket.
std::string PeerOf(const Socket& socket) {
  error_code error;
  const auto peer = socket.remote_endpoint(error);
  if (error) return "";
  const int family = peer.protocol().family();
  if (family != AF_INET && family != AF_INET6) return "unix";
  tcp::endpoint endpoint;
  std::memcpy(endpoint.data(), peer.data(), std::min(peer.size(), endpoint.capacity()));
  return endpoint.address().to_string() + ":" + std::to_string(endpoint.port());
}

// Not only broken off.
bool IsMalformed(const error_code& error) {
  return error.category() == http::make_error_code(http::error::bad_method).category() &&
         error != http::error::end_of_stream && error != http::error::partial_message;
}

using PlainStream = beast::basic_stream<net::generic::stream_protocol>;
using TlsStream = beast::ssl_stream<PlainStream>;

PlainStream& Lowest(PlainStream& stream) { return stream; }
PlainStream& Lowest(TlsStream& stream) { return stream.next_layer(); }

// A connection whose bytes go through a Stream.
template <typename Stream>
class StreamConnection final : public Connection {
 public:
  template <typename... Arguments>
  StreamConnection(Socket socket, std::shared_ptr<ConnectionShared> shared, bool is_over_limit,
                   Arguments&... arguments)
      : Connection(socket.get_executor(), std::move(shared)),
        stream_(std::move(socket), arguments...),
        is_over_limit_(is_over_limit) {}

  net::awaitable<void> Run() override;
  net::any_io_executor executor() override { return stream_.get_executor(); }
  void Close() override { lowest().close(); }

 private:
  using HeadParser = http::request_parser<http::empty_body>;
  // How an answer is framed.
  struct Framing {
    bool head_only = false, keep_alive = false;
    unsigned version = 11;
  };
  static constexpr bool kIsTls = std::is_same_v<Stream, TlsStream>;

  PlainStream& lowest() { return Lowest(stream_); }

  net::awaitable<bool> Begin();
  net::awaitable<void> End();
  net::awaitable<bool> ReadHead(HeadParser& parser);
  net::awaitable<bool> ReadBody(HeadParser& head, HttpRequest& request);
  net::awaitable<error_code> ReadToMemory(HeadParser& head, HttpRequest& request);
  net::awaitable<error_code> ReadToDisk(HeadParser& head, HttpRequest& request);
  net::awaitable<bool> Refuse(CallError error);
  net::awaitable<bool> Answer(ExchangeState& exchange, const Framing& framing);
  net::awaitable<bool> WriteWhole(ExchangeState& exchange, bool head_only, bool keep_alive,
                                  unsigned version);
  net::awaitable<bool> WritePieces(ExchangeState& exchange, bool head_only, bool keep_alive,
                                   unsigned version);
  net::awaitable<bool> WaitForWake();
  void WatchClient();
  template <typename Message>
  void SetHeaders(const ExchangeState& exchange, Message* message);
  HttpRequest ToRequest(const HeadParser& parser);
  template <typename Buffers>
  net::awaitable<bool> WriteBytes(Buffers buffers);

  Stream stream_;
  const bool is_over_limit_;
  beast::flat_buffer buffer_;
  bool client_gone_ = false;
  bool watch_ = true;  // look for the client's end while it waits
  size_t written_ = 0;
};

template <typename Stream>
net::awaitable<void> StreamConnection<Stream>::Run() {
  const std::shared_ptr<Connection> keep = shared_from_this();
  bool go_on = co_await Begin();
  while (go_on && !shared_->draining) {
    HeadParser head;
    head.header_limit(static_cast<uint32_t>(shared_->options.max_header_bytes));
    head.body_limit(boost::none);  // ReadBody has it
    if (!co_await ReadHead(head)) break;
    const Framing framing = {.head_only = head.get().method() == http::verb::head,
                             .keep_alive = head.keep_alive(),
                             .version = head.get().version()};
    HttpRequest request = ToRequest(head);
    if (!co_await ReadBody(head, request)) break;

    const auto start = std::chrono::steady_clock::now();
    auto exchange = std::make_shared<ExchangeState>(std::move(request), weak_from_this(),
                                                    stream_.get_executor());
    exchange->set_error_form(shared_->options.error_form);
    woken_ = false;
    watch_ = true;
    written_ = 0;
    shared_->handler(exchange);
    go_on = co_await Answer(*exchange, framing);
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
                         .tokens = exchange->tokens()});
    }
  }
  co_await End();
}

// False: there is nobody to serve.
template <typename Stream>
net::awaitable<bool> StreamConnection<Stream>::Begin() {
  error_code ignored;
  lowest().socket().set_option(tcp::no_delay(true), ignored);
  if constexpr (kIsTls) {
    lowest().expires_after(shared_->options.header_timeout);
    is_idle_ = true;
    const auto [error] = co_await stream_.async_handshake(net::ssl::stream_base::server, kAsTuple);
    is_idle_ = false;
    if (error) co_return false;
  }
  if (!is_over_limit_) co_return true;
  CallError refusal;
  refusal.code = ErrorCode::kUnavailable;
  refusal.message = "there are as many connections as --max-connections allows (" +
                    std::to_string(shared_->options.max_connections) + ")";
  co_return co_await Refuse(std::move(refusal));
}

template <typename Stream>
net::awaitable<void> StreamConnection<Stream>::End() {
  error_code ignored;
  if constexpr (kIsTls) {
    if (!client_gone_ && lowest().socket().is_open()) {
      lowest().expires_after(kEndTimeout);
      co_await stream_.async_shutdown(kAsTuple);
    }
  }
  lowest().socket().shutdown(Socket::shutdown_both, ignored);
  lowest().close();
}

// Reads the head of a request. False: there is none, or it was refused.
template <typename Stream>
net::awaitable<bool> StreamConnection<Stream>::ReadHead(HeadParser& parser) {
  lowest().expires_after(shared_->options.header_timeout);
  is_idle_ = true;
  const auto [error, n] = co_await http::async_read_header(stream_, buffer_, parser, kAsTuple);
  is_idle_ = false;
  if (!error) co_return true;
  // A local: gcc 12 ends a temporary of a co_await expression twice.
  CallError refusal;
  if (error == http::error::header_limit) {
    refusal.code = ErrorCode::kHeaderTooLarge;
    refusal.message = "the headers are longer than " +
                      std::to_string(shared_->options.max_header_bytes) + " bytes";
  } else if (IsMalformed(error)) {
    refusal.message = "the request is no valid HTTP: " + error.message();
  } else {
    co_return false;
  }
  co_return co_await Refuse(std::move(refusal));
}

// Reads what follows the head. False: it did not come, or was refused.
template <typename Stream>
net::awaitable<bool> StreamConnection<Stream>::ReadBody(HeadParser& head, HttpRequest& request) {
  if (head.is_done()) co_return true;
  const HttpOptions& options = shared_->options;
  const bool is_upload = options.uploads.is_upload && options.uploads.is_upload(request);
  const size_t limit = is_upload ? options.uploads.max_bytes : options.max_body_bytes;
  error_code error;
  if (head.content_length().value_or(0) > limit) {
    error = http::error::body_limit;
  } else {
    if (beast::iequals(head.get()[http::field::expect], "100-continue")) {
      const std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      if (!co_await WriteBytes(net::buffer(go_on))) co_return false;
    }
    if (is_upload) {
      error = co_await ReadToDisk(head, request);
    } else {
      error = co_await ReadToMemory(head, request);
    }
  }
  if (!error) co_return true;
  CallError refusal;
  if (error == http::error::body_limit) {
    refusal.code = ErrorCode::kBodyTooLarge;
    refusal.message = std::string("the body is longer than ") +
                      (is_upload ? "--max-batch-file-bytes" : "--max-body-bytes") + " allows (" +
                      std::to_string(limit) + " bytes)";
  } else if (IsMalformed(error)) {
    refusal.message = "the request is no valid HTTP: " + error.message();
  } else if (error.category() == boost::system::generic_category()) {
    refusal.code = ErrorCode::kUnavailable;
    refusal.message = "the body cannot be kept in --files-dir: " + error.message();
  } else {
    co_return false;
  }
  co_return co_await Refuse(std::move(refusal));
}

template <typename Stream>
net::awaitable<error_code> StreamConnection<Stream>::ReadToMemory(HeadParser& head,
                                                                  HttpRequest& request) {
  http::request_parser<http::string_body> parser(std::move(head));
  parser.body_limit(shared_->options.max_body_bytes);
  lowest().expires_after(shared_->options.body_timeout);
  const auto [error, n] = co_await http::async_read(stream_, buffer_, parser, kAsTuple);
  request.body = std::move(parser.get().body());
  co_return error;
}

// An error of the generic category is the disk's.
template <typename Stream>
net::awaitable<error_code> StreamConnection<Stream>::ReadToDisk(HeadParser& head,
                                                                HttpRequest& request) {
  http::request_parser<http::file_body> parser(std::move(head));
  parser.body_limit(shared_->options.uploads.max_bytes);
  const int fd = OpenUnnamedFile(shared_->options.uploads.folder);
  if (fd < 0) co_return error_code(errno, boost::system::generic_category());
  beast::file file;
  file.native_handle(fd);
  error_code error;
  parser.get().body().reset(std::move(file), error);
  while (!error && !parser.is_done()) {
    lowest().expires_after(shared_->options.body_timeout);
    size_t n = 0;
    std::tie(error, n) = co_await http::async_read_some(stream_, buffer_, parser, kAsTuple);
  }
  if (error) co_return error;
  request.upload = MappedBody::Map(fd);
  if (request.upload == nullptr) co_return error_code(errno, boost::system::generic_category());
  co_return error;
}

// Answers what cannot be read on from, and ends the connection.
template <typename Stream>
net::awaitable<bool> StreamConnection<Stream>::Refuse(CallError error) {
  const ErrorBody body = shared_->options.error_form(error);
  http::response<http::string_body> response(static_cast<http::status>(body.http_status), 11);
  response.set(http::field::content_type, "application/json");
  response.keep_alive(false);
  if (MayTryAgain(error.code)) response.set(http::field::retry_after, "1");
  response.body() = body.json;
  response.prepare_payload();
  lowest().expires_after(kEndTimeout);
  co_await http::async_write(stream_, response, kAsTuple);
  // What the client still sends is read for a moment, or the answer is lost to a reset.
  error_code ignored;
  lowest().socket().shutdown(Socket::shutdown_send, ignored);
  std::vector<char> rest(64 << 10);
  lowest().expires_after(std::chrono::seconds(2));
  for (size_t total = 0; total < 2 * shared_->options.max_body_bytes;) {
    auto [error, n] = co_await lowest().async_read_some(net::buffer(rest), kAsTuple);
    if (error) break;
    total += n;
  }
  co_return false;
}

template <typename Stream>
HttpRequest StreamConnection<Stream>::ToRequest(const HeadParser& parser) {
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
  request.asked_headers = View(message[http::field::access_control_request_headers]);
  request.accept = View(message[http::field::accept]);
  request.if_none_match = View(message[http::field::if_none_match]);
  request.id = RequestId(View(message["X-Request-Id"]));
  TraceContext trace = ReadTraceParent(View(message["traceparent"]));
  request.trace_id = std::move(trace.trace_id);
  request.span_id = std::move(trace.span_id);
  request.peer = PeerOf(lowest().socket());
  return request;
}

// False: the connection ends.
template <typename Stream>
net::awaitable<bool> StreamConnection<Stream>::Answer(ExchangeState& exchange,
                                                      const Framing& framing) {
  while (!exchange.has_head()) {
    if (!co_await WaitForWake()) co_return false;
    exchange.WakeSeen();
  }
  const auto [head_only, asks_keep_alive, version] = framing;
  const bool keep_alive = asks_keep_alive && !shared_->draining;
  const bool written =
      exchange.body() == nullptr
          ? co_await WriteWhole(exchange, head_only, keep_alive, version)
          : co_await WritePieces(exchange, head_only, keep_alive && version >= 11, version);
  if (!written) client_gone_ = true;
  co_return written&& keep_alive && (exchange.body() == nullptr || version >= 11);
}

template <typename Stream>
template <typename Message>
void StreamConnection<Stream>::SetHeaders(const ExchangeState& exchange, Message* message) {
  const HttpResponse& head = exchange.head();
  message->set("X-Request-Id", exchange.request().id);
  if (!head.content_type.empty()) message->set(http::field::content_type, head.content_type);
  if (!head.allow.empty()) message->set(http::field::allow, head.allow);
  if (head.retry_after_seconds > 0) {
    message->set(http::field::retry_after, std::to_string(head.retry_after_seconds));
  }
  for (const auto& [name, value] : head.headers) message->set(name, value);
  if (!head.warning.empty()) message->set("X-Keel-Warning", head.warning);
  if (const auto& allowed = exchange.allowed_origin(); allowed.has_value()) {
    message->set(http::field::access_control_allow_origin, allowed->origin);
    message->insert(http::field::vary, "Origin");
    message->set(http::field::access_control_allow_methods, "GET, HEAD, POST, DELETE, OPTIONS");
    message->set(http::field::access_control_allow_headers, allowed->headers);
    if (allowed->with_credentials)
      message->set(http::field::access_control_allow_credentials, "true");
  }
}

template <typename Stream>
net::awaitable<bool> StreamConnection<Stream>::WriteWhole(ExchangeState& exchange, bool head_only,
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
  lowest().expires_after(shared_->options.write_timeout);
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

template <typename Stream>
template <typename Buffers>
net::awaitable<bool> StreamConnection<Stream>::WriteBytes(Buffers buffers) {
  lowest().expires_after(shared_->options.write_timeout);
  auto [error, n] = co_await net::async_write(stream_, buffers, kAsTuple);
  written_ += n;
  co_return !error;
}

template <typename Stream>
net::awaitable<bool> StreamConnection<Stream>::WritePieces(ExchangeState& exchange, bool head_only,
                                                           bool keep_alive, unsigned version) {
  const bool chunked = version >= 11;
  http::response<http::empty_body> response(static_cast<http::status>(exchange.head().status),
                                            version);
  SetHeaders(exchange, &response);
  response.set(http::field::cache_control, "no-cache");
  response.keep_alive(keep_alive);
  response.chunked(chunked);
  http::response_serializer<http::empty_body> serializer(response);
  lowest().expires_after(shared_->options.write_timeout);
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
template <typename Stream>
net::awaitable<bool> StreamConnection<Stream>::WaitForWake() {
  while (!woken_ && !client_gone_) {
    wake_timer_.expires_at(net::steady_timer::time_point::max());
    if (!watch_) {
      co_await wake_timer_.async_wait(kAsTuple);
      continue;
    }
    const auto first = co_await (wake_timer_.async_wait(kAsTuple) ||
                                 lowest().socket().async_wait(Socket::wait_read, kAsTuple));
    if (first.index() == 1) WatchClient();
  }
  woken_ = false;
  co_return !client_gone_;
}

// The socket is readable while an answer is due: the client has gone, or has sent its next request.
template <typename Stream>
void StreamConnection<Stream>::WatchClient() {
  error_code error;
  lowest().socket().non_blocking(true, error);
  const size_t n = stream_.read_some(buffer_.prepare(4096), error);
  buffer_.commit(n);
  if (error && error != net::error::would_block && error != net::error::try_again) {
    client_gone_ = true;
  }
  if (buffer_.size() >= kMaxReadAhead) watch_ = false;
}

}  // namespace

void ExchangeState::Wake() {
  if (wake_posted_.exchange(true)) return;
  net::post(executor_, [connection = connection_] {
    if (auto alive = connection.lock()) alive->Wake();
  });
}

Connection::Connection(const net::any_io_executor& executor,
                       std::shared_ptr<ConnectionShared> shared)
    : shared_(std::move(shared)), wake_timer_(executor, net::steady_timer::time_point::max()) {
  std::lock_guard lock(shared_->mutex);
  shared_->connections.insert(this);
}

Connection::~Connection() {
  std::lock_guard lock(shared_->mutex);
  shared_->connections.erase(this);
  if (shared_->connections.empty()) shared_->none_left.notify_all();
}

std::shared_ptr<Connection> Connection::Create(Socket socket,
                                               std::shared_ptr<ConnectionShared> shared,
                                               net::ssl::context* tls, bool is_over_limit) {
  if (tls == nullptr) {
    return std::make_shared<StreamConnection<PlainStream>>(std::move(socket), std::move(shared),
                                                           is_over_limit);
  }
  return std::make_shared<StreamConnection<TlsStream>>(std::move(socket), std::move(shared),
                                                       is_over_limit, *tls);
}

}  // namespace keel::apps
