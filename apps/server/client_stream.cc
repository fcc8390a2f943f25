#include "apps/server/client_stream.h"

#include <type_traits>

#include "boost/asio/as_tuple.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "boost/asio/write.hpp"
#include "boost/beast/core/basic_stream.hpp"
#include "boost/beast/ssl/ssl_stream.hpp"

namespace keel::apps {
namespace beast = boost::beast;
namespace {

// Completion as a tuple (error_code, ...) instead of an exception.
constexpr auto kAsTuple = net::as_tuple(net::use_awaitable);

using PlainStream = beast::basic_stream<net::generic::stream_protocol>;
using TlsStream = beast::ssl_stream<PlainStream>;

PlainStream& Lowest(PlainStream& stream) { return stream; }
PlainStream& Lowest(TlsStream& stream) { return stream.next_layer(); }

template <typename Stream>
class ClientStreamOf final : public ClientStream {
 public:
  template <typename... Arguments>
  explicit ClientStreamOf(Socket socket, Arguments&... arguments)
      : stream_(std::move(socket), arguments...) {}

  void ExpiresAfter(std::chrono::nanoseconds time) override { Lowest(stream_).expires_after(time); }
  net::awaitable<error_code> Begin() override {
    if constexpr (kIsTls) {
      const auto [error] =
          co_await stream_.async_handshake(net::ssl::stream_base::server, kAsTuple);
      co_return error;
    }
    co_return error_code();
  }
  net::awaitable<Done> Read(net::mutable_buffer buffer) override {
    const auto [error, n] = co_await stream_.async_read_some(buffer, kAsTuple);
    co_return Done(error, n);
  }
  net::awaitable<Done> Write(std::span<const net::const_buffer> buffers) override {
    const auto [error, n] = co_await net::async_write(stream_, buffers, kAsTuple);
    co_return Done(error, n);
  }
  net::awaitable<void> End() override {
    if constexpr (kIsTls) co_await stream_.async_shutdown(kAsTuple);
    co_return;
  }
  void Close() override { Lowest(stream_).close(); }

  Done ReadNow(net::mutable_buffer buffer) override {
    error_code error;
    const size_t n = stream_.read_some(buffer, error);
    return {error, n};
  }
  Socket& socket() override { return Lowest(stream_).socket(); }

 private:
  static constexpr bool kIsTls = std::is_same_v<Stream, TlsStream>;

  Stream stream_;
};

}  // namespace

std::unique_ptr<ClientStream> ClientStream::Create(Socket socket, net::ssl::context* tls) {
  if (tls == nullptr) return std::make_unique<ClientStreamOf<PlainStream>>(std::move(socket));
  return std::make_unique<ClientStreamOf<TlsStream>>(std::move(socket), *tls);
}

}  // namespace keel::apps
