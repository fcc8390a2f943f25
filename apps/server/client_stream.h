// The bytes of one client, as they are or through TLS.
#ifndef KEEL_APPS_SERVER_CLIENT_STREAM_H_
#define KEEL_APPS_SERVER_CLIENT_STREAM_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "boost/asio/awaitable.hpp"
#include "boost/asio/buffer.hpp"
#include "boost/asio/generic/stream_protocol.hpp"
#include "boost/asio/ssl/context.hpp"

namespace keel::apps {

namespace net = boost::asio;
using boost::system::error_code;
// Of TCP, or a Unix socket.
using Socket = net::generic::stream_protocol::socket;

// All functions are used on the strand of the socket. What they give back says what went wrong, and how
// many bytes went before.
class ClientStream {
 public:
  using Done = std::pair<error_code, size_t>;

  // Null: no TLS; the context is needed for the call only.
  static std::unique_ptr<ClientStream> Create(Socket socket, net::ssl::context* tls);
  virtual ~ClientStream() = default;

  // Each of the coroutines fails once that time has passed.
  virtual void ExpiresAfter(std::chrono::nanoseconds time) = 0;
  // First of all: with TLS, shakes hands.
  virtual net::awaitable<error_code> Begin() = 0;
  virtual net::awaitable<Done> Read(net::mutable_buffer buffer) = 0;
  // All of them, which must outlive the call.
  virtual net::awaitable<Done> Write(std::span<const net::const_buffer> buffers) = 0;
  // Says goodbye where TLS has a word for it.
  virtual net::awaitable<void> End() = 0;
  virtual void Close() = 0;

  // What has come, without waiting for it; the socket must be non-blocking.
  virtual Done ReadNow(net::mutable_buffer buffer) = 0;
  virtual Socket& socket() = 0;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_CLIENT_STREAM_H_
