#include "apps/server/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/server/mapped_body.h"
#include "apps/server/request_head.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/asio/experimental/awaitable_operators.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "boost/beast/core/file.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/http/chunk_encode.hpp"
#include "boost/beast/http/empty_body.hpp"
#include "boost/beast/http/error.hpp"
#include "boost/beast/http/file_body.hpp"
#include "boost/beast/http/parser.hpp"
#include "boost/beast/http/serializer.hpp"
#include "boost/beast/http/string_body.hpp"

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

// At once: heads are short, and there may be many connections that wait for one.
constexpr size_t kHeadBytes = 4 << 10, kBodyBytes = 64 << 10;

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

using Head = http::response<http::empty_body>;

// As the socket takes them; `buffers` must outlive `all`.
template <typename Buffers>
void Append(const Buffers& buffers, std::vector<net::const_buffer>* all) {
  all->insert(all->end(), net::buffer_sequence_begin(buffers), net::buffer_sequence_end(buffers));
}

// Beast's parsers and serializer are fed by hand: its own operations on streams are compiled for each kind
// of stream, body and message anew, which took a minute.
class HttpConnection final : public Connection {
 public:
  HttpConnection(Socket socket, std::shared_ptr<ConnectionShared> shared, net::ssl::context* tls,
                 bool is_over_limit)
      : Connection(socket.get_executor(), std::move(shared)),
        stream_(ClientStream::Create(std::move(socket), tls)),
        is_over_limit_(is_over_limit) {}

  net::awaitable<void> Run() override;
  net::any_io_executor executor() override { return stream_->socket().get_executor(); }
  void Close() override { stream_->Close(); }

 private:
  using Parser = http::basic_parser<true>;
  using HeadParser = http::request_parser<http::empty_body>;
  // How an answer is framed.
  struct Framing {
    bool head_only = false, keep_alive = false;
    unsigned version = 11;
  };

  net::awaitable<bool> Begin();
  net::awaitable<void> End();
  // Feeds the parser until is_done.
  net::awaitable<error_code> Parse(Parser& parser, bool (Parser::*is_done)() const,
                                   std::chrono::nanoseconds timeout_of_each = {});
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
  net::awaitable<bool> Write(std::span<const net::const_buffer> buffers);
  net::awaitable<bool> WriteHead(Head& head, std::string_view body);
  net::awaitable<bool> WaitForWake();
  void WatchClient();
  void SetHeaders(const ExchangeState& exchange, Head* message);
  HttpRequest ToRequest(const HeadParser& parser);

  const std::unique_ptr<ClientStream> stream_;
  const bool is_over_limit_;
  beast::flat_buffer buffer_;
  bool client_gone_ = false;
  bool watch_ = true;  // look for the client's end while it waits
  size_t written_ = 0;
};

net::awaitable<void> HttpConnection::Run() {
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
    auto exchange =
        std::make_shared<ExchangeState>(std::move(request), weak_from_this(), executor());
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
net::awaitable<bool> HttpConnection::Begin() {
  error_code ignored;
  stream_->socket().set_option(tcp::no_delay(true), ignored);
  stream_->ExpiresAfter(shared_->options.header_timeout);
  is_idle_ = true;
  const error_code error = co_await stream_->Begin();
  is_idle_ = false;
  if (error) co_return false;
  if (!is_over_limit_) co_return true;
  CallError refusal;
  refusal.code = ErrorCode::kUnavailable;
  refusal.message = "there are as many connections as --max-connections allows (" +
                    std::to_string(shared_->options.max_connections) + ")";
  co_return co_await Refuse(std::move(refusal));
}

net::awaitable<void> HttpConnection::End() {
  error_code ignored;
  if (!client_gone_ && stream_->socket().is_open()) {
    stream_->ExpiresAfter(kEndTimeout);
    co_await stream_->End();
  }
  stream_->socket().shutdown(Socket::shutdown_both, ignored);
  stream_->Close();
}

net::awaitable<error_code> HttpConnection::Parse(Parser& parser, bool (Parser::*is_done)() const,
                                                 std::chrono::nanoseconds timeout_of_each) {
  while (!(parser.*is_done)()) {
    error_code error;
    if (buffer_.size() > 0) {
      buffer_.consume(parser.put(buffer_.data(), error));
      if (!error) continue;
      if (error != http::error::need_more) co_return error;
    }
    if (timeout_of_each.count() > 0) stream_->ExpiresAfter(timeout_of_each);
    const size_t most = parser.is_header_done() ? kBodyBytes : kHeadBytes;
    const ClientStream::Done read = co_await stream_->Read(buffer_.prepare(most));
    buffer_.commit(read.second);
    if (!read.first) continue;
    if (read.first != net::error::eof) co_return read.first;
    if (!parser.got_some()) co_return http::error::end_of_stream;
    parser.put_eof(error);
    if (error) co_return error;
  }
  co_return error_code();
}

// Reads the head of a request. False: there is none, or it was refused.
net::awaitable<bool> HttpConnection::ReadHead(HeadParser& parser) {
  stream_->ExpiresAfter(shared_->options.header_timeout);
  is_idle_ = true;
  parser.eager(false);
  const error_code error = co_await Parse(parser, &Parser::is_header_done);
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
net::awaitable<bool> HttpConnection::ReadBody(HeadParser& head, HttpRequest& request) {
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
      const std::array buffers = {net::const_buffer(go_on.data(), go_on.size())};
      if (!co_await Write(buffers)) co_return false;
    }
    if (is_upload) {
      error = co_await ReadToDisk(head, request);
    } else {
      error = co_await ReadToMemory(head, request);
    }
  }
  buffer_.shrink_to_fit();
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

net::awaitable<error_code> HttpConnection::ReadToMemory(HeadParser& head, HttpRequest& request) {
  http::request_parser<http::string_body> parser(std::move(head));
  parser.body_limit(shared_->options.max_body_bytes);
  stream_->ExpiresAfter(shared_->options.body_timeout);
  parser.eager(true);
  const error_code error = co_await Parse(parser, &Parser::is_done);
  request.body = std::move(parser.get().body());
  co_return error;
}

// An error of the generic category is the disk's.
net::awaitable<error_code> HttpConnection::ReadToDisk(HeadParser& head, HttpRequest& request) {
  http::request_parser<http::file_body> parser(std::move(head));
  parser.body_limit(shared_->options.uploads.max_bytes);
  const int fd = OpenUnnamedFile(shared_->options.uploads.folder);
  if (fd < 0) co_return error_code(errno, boost::system::generic_category());
  beast::file file;
  file.native_handle(fd);
  error_code error;
  parser.get().body().reset(std::move(file), error);
  parser.eager(true);
  if (!error) error = co_await Parse(parser, &Parser::is_done, shared_->options.body_timeout);
  if (error) co_return error;
  request.upload = MappedBody::Map(fd);
  if (request.upload == nullptr) co_return error_code(errno, boost::system::generic_category());
  co_return error;
}

// Answers what cannot be read on from, and ends the connection.
net::awaitable<bool> HttpConnection::Refuse(CallError error) {
  const ErrorBody body = shared_->options.error_form(error);
  Head head(static_cast<http::status>(body.http_status), 11);
  head.set(http::field::content_type, "application/json");
  head.keep_alive(false);
  head.content_length(body.json.size());
  if (MayTryAgain(error.code)) head.set(http::field::retry_after, "1");
  co_await WriteHead(head, body.json);
  // What the client still sends is read for a moment, or the answer is lost to a reset.
  error_code ignored;
  stream_->socket().shutdown(Socket::shutdown_send, ignored);
  std::vector<char> rest(kBodyBytes);
  stream_->ExpiresAfter(std::chrono::seconds(2));
  for (size_t total = 0; total < 2 * shared_->options.max_body_bytes;) {
    const ClientStream::Done read = co_await stream_->Read(net::buffer(rest));
    if (read.first) break;
    total += read.second;
  }
  co_return false;
}

HttpRequest HttpConnection::ToRequest(const HeadParser& parser) {
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
  request.peer = PeerOf(stream_->socket());
  return request;
}

// False: the connection ends.
net::awaitable<bool> HttpConnection::Answer(ExchangeState& exchange, const Framing& framing) {
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

void HttpConnection::SetHeaders(const ExchangeState& exchange, Head* message) {
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

net::awaitable<bool> HttpConnection::Write(std::span<const net::const_buffer> buffers) {
  stream_->ExpiresAfter(shared_->options.write_timeout);
  const ClientStream::Done done = co_await stream_->Write(buffers);
  written_ += done.second;
  co_return !done.first;
}

net::awaitable<bool> HttpConnection::WriteHead(Head& head, std::string_view body) {
  http::response_serializer<http::empty_body> serializer(head);
  serializer.split(true);
  std::vector<net::const_buffer> buffers;
  error_code error;
  serializer.next(error, [&](error_code&, const auto& text) { Append(text, &buffers); });
  if (!body.empty()) buffers.emplace_back(body.data(), body.size());
  co_return co_await Write(buffers);
}

net::awaitable<bool> HttpConnection::WriteWhole(ExchangeState& exchange, bool head_only,
                                                bool keep_alive, unsigned version) {
  const HttpResponse& response = exchange.head();
  Head head(static_cast<http::status>(response.status), version);
  SetHeaders(exchange, &head);
  head.keep_alive(keep_alive);
  // What has not changed has no body, and says nothing of the one that the client has.
  if (response.status == 304) {
    head_only = true;
  } else {
    head.content_length(response.body.size());
  }
  co_return co_await WriteHead(head, head_only ? std::string_view() : response.body);
}

net::awaitable<bool> HttpConnection::WritePieces(ExchangeState& exchange, bool head_only,
                                                 bool keep_alive, unsigned version) {
  const bool chunked = version >= 11;
  Head head(static_cast<http::status>(exchange.head().status), version);
  SetHeaders(exchange, &head);
  head.set(http::field::cache_control, "no-cache");
  head.keep_alive(keep_alive);
  head.chunked(chunked);
  if (!co_await WriteHead(head, "")) co_return false;
  if (head_only) co_return true;
  std::string bytes;
  std::vector<net::const_buffer> buffers;
  for (bool more = true; more;) {
    woken_ = false;
    exchange.WakeSeen();
    bytes.clear();
    more = exchange.body()->Take(&bytes);
    if (!bytes.empty()) {
      buffers.clear();
      const auto chunk = http::make_chunk(net::const_buffer(bytes.data(), bytes.size()));
      if (chunked) {
        Append(chunk, &buffers);
      } else {
        buffers.emplace_back(bytes.data(), bytes.size());
      }
      if (!co_await Write(buffers)) co_return false;
    } else if (more && !co_await WaitForWake()) {
      co_return false;
    }
  }
  if (!chunked) co_return true;
  const auto last = http::make_chunk_last();
  buffers.clear();
  Append(last, &buffers);
  co_return co_await Write(buffers);
}

// Waits until the exchange has something new. False: the client has gone.
net::awaitable<bool> HttpConnection::WaitForWake() {
  while (!woken_ && !client_gone_) {
    wake_timer_.expires_at(net::steady_timer::time_point::max());
    if (!watch_) {
      co_await wake_timer_.async_wait(kAsTuple);
      continue;
    }
    const auto first = co_await (wake_timer_.async_wait(kAsTuple) ||
                                 stream_->socket().async_wait(Socket::wait_read, kAsTuple));
    if (first.index() == 1) WatchClient();
  }
  woken_ = false;
  co_return !client_gone_;
}

// The socket is readable while an answer is due: the client has gone, or has sent its next request.
void HttpConnection::WatchClient() {
  error_code error;
  stream_->socket().non_blocking(true, error);
  const ClientStream::Done read = stream_->ReadNow(buffer_.prepare(4096));
  error = read.first;
  buffer_.commit(read.second);
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
  return std::make_shared<HttpConnection>(std::move(socket), std::move(shared), tls, is_over_limit);
}

}  // namespace keel::apps
