#include "apps/bench/event_stream.h"

#include <algorithm>
#include <array>
#include <utility>

#include "boost/asio/connect.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/redirect_error.hpp"
#include "boost/asio/this_coro.hpp"
#include "boost/asio/use_awaitable.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/http.hpp"
#include "boost/system/system_error.hpp"

namespace keel::apps {
namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace {

using asio::ip::tcp;

constexpr size_t kErrorBytes = 300;  // of an answer that is an error

http::request<http::string_body> MakeMessage(http::verb verb, const HttpUrl& url,
                                             const std::string& path) {
  http::request<http::string_body> message(verb, url.path + path, 11);
  message.set(http::field::host, url.host + ":" + url.port);
  message.set(http::field::user_agent, "keel-bench");
  return message;
}

Status Failed(const HttpUrl& url, const std::string& what) {
  return Status(Code::kUnavailable, "http://" + url.host + ":" + url.port + ": " + what);
}

Status WrongAnswer(const HttpUrl& url, unsigned status, const std::string& body) {
  return Failed(url, "answered " + std::to_string(status) + " " + body.substr(0, kErrorBytes));
}

}  // namespace

std::optional<HttpUrl> ParseHttpUrl(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) return std::nullopt;
  text.remove_prefix(kScheme.size());
  const size_t slash = std::min(text.find('/'), text.size());
  std::string_view authority = text.substr(0, slash), path = text.substr(slash);
  while (path.ends_with('/')) path.remove_suffix(1);
  HttpUrl url{.host = std::string(authority), .path = std::string(path)};
  if (const size_t colon = authority.rfind(':'); colon != std::string_view::npos) {
    url.host = authority.substr(0, colon);
    url.port = authority.substr(colon + 1);
  }
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (url.host.empty() || url.port.empty() ||
      !std::all_of(url.port.begin(), url.port.end(), is_digit))
    return std::nullopt;
  return url;
}

void EventCutter::Add(std::string_view bytes) {
  constexpr std::string_view kData = "data:";
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    std::string_view line = line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with(kData)) {
      line.remove_prefix(kData.size());
      if (line.starts_with(' ')) line.remove_prefix(1);
      on_data_(line);
    }
    line_.clear();
  }
}

Result<std::string> Get(const HttpUrl& url, const std::string& path) {
  try {
    asio::io_context context;
    tcp::socket socket(context);
    asio::connect(socket, tcp::resolver(context).resolve(url.host, url.port));
    http::write(socket, MakeMessage(http::verb::get, url, path));
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> answer;
    http::read(socket, buffer, answer);
    if (answer.result() != http::status::ok)
      return WrongAnswer(url, answer.result_int(), answer.body());
    return std::move(answer.body());
  } catch (const boost::system::system_error& error) {
    return Failed(url, error.code().message());
  }
}

asio::awaitable<Status> PostForEvents(const HttpUrl& url, const std::string& path, std::string body,
                                      std::function<void(std::string_view data)> on_data) {
  try {
    const auto executor = co_await asio::this_coro::executor;
    tcp::socket socket(executor);
    tcp::resolver resolver(executor);
    const auto endpoints = co_await resolver.async_resolve(url.host, url.port, asio::use_awaitable);
    co_await asio::async_connect(socket, endpoints, asio::use_awaitable);
    socket.set_option(tcp::no_delay(true));
    auto message = MakeMessage(http::verb::post, url, path);
    message.set(http::field::content_type, "application/json");
    message.body() = std::move(body);
    message.prepare_payload();
    co_await http::async_write(socket, message, asio::use_awaitable);

    boost::beast::flat_buffer buffer;
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(boost::none);
    co_await http::async_read_header(socket, buffer, parser, asio::use_awaitable);
    const bool is_ok = parser.get().result() == http::status::ok;
    EventCutter events(std::move(on_data));
    std::string error_body;
    std::array<char, 16384> bytes;
    while (!parser.is_done()) {
      parser.get().body().data = bytes.data();
      parser.get().body().size = bytes.size();
      boost::system::error_code error;
      co_await http::async_read_some(socket, buffer, parser,
                                     asio::redirect_error(asio::use_awaitable, error));
      if (error && error != http::error::need_buffer) co_return Failed(url, error.message());
      const std::string_view came(bytes.data(), bytes.size() - parser.get().body().size);
      if (is_ok) {
        events.Add(came);
      } else if (error_body.size() < kErrorBytes) {
        error_body += came;
      }
    }
    if (!is_ok) co_return WrongAnswer(url, parser.get().result_int(), error_body);
    co_return Status();
  } catch (const boost::system::system_error& error) {
    co_return Failed(url, error.code().message());
  }
}

}  // namespace keel::apps
