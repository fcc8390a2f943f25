// A client that sends bytes as a test wants them, right or wrong.
#ifndef KEEL_APPS_TESTING_HTTP_CLIENT_H_
#define KEEL_APPS_TESTING_HTTP_CLIENT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "boost/asio/generic/stream_protocol.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/address.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/local/stream_protocol.hpp"
#include "boost/asio/read.hpp"
#include "boost/asio/write.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/http.hpp"

namespace keel::apps {

// Waits without a limit: the test's own ends it.
class HttpClient {
 public:
  struct Response {
    int status = 0;  // 0: the server has ended the connection
    std::string body;
    boost::beast::http::fields headers;
    bool keep_alive = false;

    std::string Header(std::string_view name) const {
      return std::string(headers[boost::beast::string_view(name.data(), name.size())]);
    }
  };

  explicit HttpClient(uint16_t port)
      : HttpClient(Endpoint(
            boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), port))) {}
  // To a Unix socket.
  explicit HttpClient(const std::string& path)
      : HttpClient(Endpoint(boost::asio::local::stream_protocol::endpoint(path))) {}

  void Send(std::string_view bytes) {
    boost::system::error_code error;  // the server may have ended the connection already
    boost::asio::write(socket_, boost::asio::buffer(bytes.data(), bytes.size()), error);
  }
  Response Read(bool is_head = false) {
    boost::beast::http::response_parser<boost::beast::http::string_body> parser;
    parser.skip(is_head);
    boost::system::error_code error;
    boost::beast::http::read(socket_, buffer_, parser, error);
    if (error) return {};
    const auto& message = parser.get();
    return {.status = static_cast<int>(message.result_int()),
            .body = message.body(),
            .headers = message.base(),
            .keep_alive = message.keep_alive()};
  }
  Response Ask(std::string_view bytes, bool is_head = false) {
    Send(bytes);
    return Read(is_head);
  }
  // All that comes until the server ends the connection.
  std::string ReadToEnd() {
    std::string bytes;
    boost::system::error_code error;
    boost::asio::read(socket_, boost::asio::dynamic_buffer(bytes), error);
    return bytes;
  }
  void EndSending() {
    boost::system::error_code error;
    socket_.shutdown(boost::asio::socket_base::shutdown_send, error);
  }
  void Close() {
    boost::system::error_code error;
    socket_.close(error);
  }

 private:
  using Endpoint = boost::asio::generic::stream_protocol::endpoint;

  explicit HttpClient(const Endpoint& server) {
    boost::system::error_code error;
    socket_.connect(server, error);
  }

  boost::asio::io_context context_;
  boost::asio::generic::stream_protocol::socket socket_{context_};
  boost::beast::flat_buffer buffer_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_TESTING_HTTP_CLIENT_H_
