#include "apps/server/connection.h"

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/server/request_reader.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/asio/experimental/awaitable_operators.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "boost/beast/http/chunk_encode.hpp"
#include "boost/beast/http/empty_body.hpp"
#include "boost/beast/http/serializer.hpp"

namespace keel::apps {
namespace http = boost::beast::http;
using net::ip::tcp;
namespace {

using net::experimental::awaitable_operators::operator||;

// Completion as a tuple (error_code, ...) instead of an exception.
constexpr auto kAsTuple = net::as_tuple(net::use_awaitable);

// For a last answer to a client that takes nothing.
constexpr std::chrono::seconds kEndTimeout(5);

// Of what a refused client still sends, at once.
constexpr size_t kRestBytes = 64 << 10;

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
        is_over_limit_(is_over_limit),
        reader_(*stream_, shared_->options) {}

  net::awaitable<void> Run() override;
  net::any_io_executor executor() override { return stream_->socket().get_executor(); }
  void Close() override { stream_->Close(); }
  bool is_idle() const override { return is_beginning_ || reader_.is_waiting(); }

 private:
  net::awaitable<bool> Begin();
  net::awaitable<void> End();
  net::awaitable<void> Refuse(const CallError& error);
  net::awaitable<bool> Answer(ExchangeState& exchange, const ReceivedRequest& received);
  net::awaitable<bool> WriteWhole(ExchangeState& exchange, bool head_only, bool keep_alive,
                                  unsigned version);
  net::awaitable<bool> WritePieces(ExchangeState& exchange, bool head_only, bool keep_alive,
                                   unsigned version);
  net::awaitable<bool> Write(std::span<const net::const_buffer> buffers);
  net::awaitable<bool> WriteHead(Head& head, std::string_view body);
  net::awaitable<bool> WaitForWake();
  void SetHeaders(const ExchangeState& exchange, Head* message);

  const std::unique_ptr<ClientStream> stream_;
  const bool is_over_limit_;
  RequestReader reader_;
  bool is_beginning_ = false;
  bool client_gone_ = false;
  bool watch_ = true;  // look for the client's end while it waits
  size_t written_ = 0;
};

net::awaitable<void> HttpConnection::Run() {
  const std::shared_ptr<Connection> keep = shared_from_this();
  bool go_on = co_await Begin();
  while (go_on && !shared_->draining) {
    ReceivedRequest received;
    MaybeError refusal;
    if (!co_await reader_.Read(&received, &refusal)) {
      if (refusal.has_value()) co_await Refuse(*refusal);
      break;
    }

    const auto start = std::chrono::steady_clock::now();
    auto exchange =
        std::make_shared<ExchangeState>(std::move(received.request), weak_from_this(), executor());
    exchange->set_error_form(shared_->options.error_form);
    woken_ = false;
    watch_ = true;
    written_ = 0;
    shared_->handler(exchange);
    go_on = co_await Answer(*exchange, received);
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
  is_beginning_ = true;
  const error_code error = co_await stream_->Begin();
  is_beginning_ = false;
  if (error) co_return false;
  if (!is_over_limit_) co_return true;
  CallError refusal;
  refusal.code = ErrorCode::kUnavailable;
  refusal.message = "there are as many connections as --max-connections allows (" +
                    std::to_string(shared_->options.max_connections) + ")";
  co_await Refuse(refusal);
  co_return false;
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

// Answers what cannot be read on from, and ends the connection.
net::awaitable<void> HttpConnection::Refuse(const CallError& error) {
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
  std::vector<char> rest(kRestBytes);
  stream_->ExpiresAfter(std::chrono::seconds(2));
  for (size_t total = 0; total < 2 * shared_->options.max_body_bytes;) {
    const ClientStream::Done read = co_await stream_->Read(net::buffer(rest));
    if (read.first) break;
    total += read.second;
  }
}

// False: the connection ends.
net::awaitable<bool> HttpConnection::Answer(ExchangeState& exchange,
                                            const ReceivedRequest& received) {
  while (!exchange.has_head()) {
    if (!co_await WaitForWake()) co_return false;
    exchange.WakeSeen();
  }
  const bool head_only = received.head_only;
  const unsigned version = received.version;
  const bool keep_alive = received.keep_alive && !shared_->draining;
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
    if (first.index() == 0) continue;
    const RequestReader::Ahead ahead = reader_.ReadAhead();
    client_gone_ = ahead == RequestReader::Ahead::kGone;
    watch_ = ahead == RequestReader::Ahead::kNothing;
  }
  woken_ = false;
  co_return !client_gone_;
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
