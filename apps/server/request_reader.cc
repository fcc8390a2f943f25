#include "apps/server/request_reader.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "apps/server/mapped_body.h"
#include "apps/server/request_head.h"
#include "boost/asio/ip/tcp.hpp"
#include "boost/beast/core/file.hpp"
#include "boost/beast/http/error.hpp"
#include "boost/beast/http/file_body.hpp"
#include "boost/beast/http/string_body.hpp"

namespace keel::apps {
namespace beast = boost::beast;
namespace http = beast::http;
using net::ip::tcp;
namespace {

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

}  // namespace

net::awaitable<bool> RequestReader::Read(ReceivedRequest* received, MaybeError* refusal) {
  HeadParser head;
  head.header_limit(static_cast<uint32_t>(options_.max_header_bytes));
  head.body_limit(boost::none);  // ReadBody has it
  if (!co_await ReadHead(head, refusal)) co_return false;
  received->head_only = head.get().method() == http::verb::head;
  received->keep_alive = head.keep_alive();
  received->version = head.get().version();
  received->request = ToRequest(head);
  co_return co_await ReadBody(head, received->request, refusal);
}

net::awaitable<error_code> RequestReader::Parse(Parser& parser, bool (Parser::*is_done)() const,
                                                std::chrono::nanoseconds timeout_of_each) {
  while (!(parser.*is_done)()) {
    error_code error;
    if (buffer_.size() > 0) {
      buffer_.consume(parser.put(buffer_.data(), error));
      if (!error) continue;
      if (error != http::error::need_more) co_return error;
    }
    if (timeout_of_each.count() > 0) stream_.ExpiresAfter(timeout_of_each);
    const size_t most = parser.is_header_done() ? kBodyBytes : kHeadBytes;
    const ClientStream::Done read = co_await stream_.Read(buffer_.prepare(most));
    buffer_.commit(read.second);
    if (!read.first) continue;
    if (read.first != net::error::eof) co_return read.first;
    if (!parser.got_some()) co_return http::error::end_of_stream;
    parser.put_eof(error);
    if (error) co_return error;
  }
  co_return error_code();
}

net::awaitable<bool> RequestReader::ReadHead(HeadParser& parser, MaybeError* refusal) {
  stream_.ExpiresAfter(options_.header_timeout);
  is_waiting_ = true;
  parser.eager(false);
  const error_code error = co_await Parse(parser, &Parser::is_header_done);
  is_waiting_ = false;
  if (!error) co_return true;
  CallError reason;
  if (error == http::error::header_limit) {
    reason.code = ErrorCode::kHeaderTooLarge;
    reason.message =
        "the headers are longer than " + std::to_string(options_.max_header_bytes) + " bytes";
  } else if (IsMalformed(error)) {
    reason.message = "the request is no valid HTTP: " + error.message();
  } else {
    co_return false;
  }
  *refusal = std::move(reason);
  co_return false;
}

// Reads what follows the head.
net::awaitable<bool> RequestReader::ReadBody(HeadParser& head, HttpRequest& request,
                                             MaybeError* refusal) {
  if (head.is_done()) co_return true;
  const bool is_upload = options_.uploads.is_upload && options_.uploads.is_upload(request);
  const size_t limit = is_upload ? options_.uploads.max_bytes : options_.max_body_bytes;
  error_code error;
  if (head.content_length().value_or(0) > limit) {
    error = http::error::body_limit;
  } else {
    if (beast::iequals(head.get()[http::field::expect], "100-continue")) {
      const std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      const std::array buffers = {net::const_buffer(go_on.data(), go_on.size())};
      stream_.ExpiresAfter(options_.write_timeout);
      const ClientStream::Done written = co_await stream_.Write(buffers);
      if (written.first) co_return false;
    }
    if (is_upload) {
      error = co_await ReadToDisk(head, request);
    } else {
      error = co_await ReadToMemory(head, request);
    }
  }
  buffer_.shrink_to_fit();
  if (!error) co_return true;
  CallError reason;
  if (error == http::error::body_limit) {
    reason.code = ErrorCode::kBodyTooLarge;
    reason.message = std::string("the body is longer than ") +
                     (is_upload ? "--max-batch-file-bytes" : "--max-body-bytes") + " allows (" +
                     std::to_string(limit) + " bytes)";
  } else if (IsMalformed(error)) {
    reason.message = "the request is no valid HTTP: " + error.message();
  } else if (error.category() == boost::system::generic_category()) {
    reason.code = ErrorCode::kUnavailable;
    reason.message = "the body cannot be kept in --files-dir: " + error.message();
  } else {
    co_return false;
  }
  *refusal = std::move(reason);
  co_return false;
}

net::awaitable<error_code> RequestReader::ReadToMemory(HeadParser& head, HttpRequest& request) {
  http::request_parser<http::string_body> parser(std::move(head));
  parser.body_limit(options_.max_body_bytes);
  stream_.ExpiresAfter(options_.body_timeout);
  parser.eager(true);
  const error_code error = co_await Parse(parser, &Parser::is_done);
  request.body = std::move(parser.get().body());
  co_return error;
}

// An error of the generic category is the disk's.
net::awaitable<error_code> RequestReader::ReadToDisk(HeadParser& head, HttpRequest& request) {
  http::request_parser<http::file_body> parser(std::move(head));
  parser.body_limit(options_.uploads.max_bytes);
  const int fd = OpenUnnamedFile(options_.uploads.folder);
  if (fd < 0) co_return error_code(errno, boost::system::generic_category());
  beast::file file;
  file.native_handle(fd);
  error_code error;
  parser.get().body().reset(std::move(file), error);
  parser.eager(true);
  if (!error) error = co_await Parse(parser, &Parser::is_done, options_.body_timeout);
  if (error) co_return error;
  request.upload = MappedBody::Map(fd);
  if (request.upload == nullptr) co_return error_code(errno, boost::system::generic_category());
  co_return error;
}

HttpRequest RequestReader::ToRequest(const HeadParser& head) {
  const auto& message = head.get();
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
  request.peer = PeerOf(stream_.socket());
  return request;
}

RequestReader::Ahead RequestReader::ReadAhead() {
  error_code error;
  stream_.socket().non_blocking(true, error);
  const ClientStream::Done read = stream_.ReadNow(buffer_.prepare(kHeadBytes));
  buffer_.commit(read.second);
  const bool is_gone =
      read.first && read.first != net::error::would_block && read.first != net::error::try_again;
  if (is_gone) return Ahead::kGone;
  return buffer_.size() >= kMaxReadAhead ? Ahead::kMuch : Ahead::kNothing;
}

}  // namespace keel::apps
