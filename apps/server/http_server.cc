#include "apps/server/http_server.h"

#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "apps/server/connection.h"
#include "apps/server/tls.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/asio/basic_socket_acceptor.hpp"
#include "boost/asio/co_spawn.hpp"
#include "boost/asio/detached.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/local/stream_protocol.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/strand.hpp"
#include "boost/asio/use_awaitable.hpp"

namespace keel::apps {
namespace {

// Completion as a tuple (error_code, ...) instead of an exception.
constexpr auto kAsTuple = net::as_tuple(net::use_awaitable);

// So many connections above the limit are told so; those above are just ended.
constexpr size_t kMaxRefusing = 64;

using Acceptor = net::basic_socket_acceptor<net::generic::stream_protocol>;
using Endpoint = net::generic::stream_protocol::endpoint;
using Local = net::local::stream_protocol;
using net::ip::tcp;

Result<Endpoint> ResolveTcp(net::io_context& context, const HttpOptions& options) {
  error_code error;
  tcp::resolver resolver(context);
  const auto found =
      resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, error);
  if (!error && !found.empty()) return Endpoint(found.begin()->endpoint());
  return Status(Code::kInvalidArgument,
                "--host " + options.host + ": no such address: " + error.message());
}

// Where a server ended without cleaning up, its socket's file is still there.
bool IsLeftOver(net::io_context& context, const Local::endpoint& endpoint) {
  struct stat info {};
  if (stat(endpoint.path().c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  error_code error;
  Local::socket(context).connect(endpoint, error);
  return error == net::error::connection_refused;
}

Result<Endpoint> UnixEndpoint(net::io_context& context, const std::string& path) {
  constexpr size_t kMaxPath = 107;  // of sockaddr_un
  if (path.size() > kMaxPath) {
    return Status(Code::kInvalidArgument, "--uds " + path + ": a Unix socket's path has at most " +
                                              std::to_string(kMaxPath) + " characters");
  }
  const Local::endpoint endpoint(path);
  if (IsLeftOver(context, endpoint)) unlink(path.c_str());
  return Endpoint(endpoint);
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const HttpOptions& options, HttpHandler handler, HttpObserver observer)
      : shared_(std::make_shared<ConnectionShared>()), acceptor_(net::make_strand(context_)) {
    shared_->options = options;
    shared_->handler = std::move(handler);
    shared_->observer = std::move(observer);
  }

  ~Impl() {
    shared_->draining = true;
    net::post(acceptor_.get_executor(), [this] { acceptor_.close(); });
    ForEachConnection([](Connection& connection) { connection.Close(); });
    WaitForConnections(std::chrono::seconds(2));
    context_.stop();
    for (std::thread& thread : threads_) thread.join();
    if (is_bound_unix_) unlink(shared_->options.uds.c_str());
  }

  Status Listen() {
    const HttpOptions& options = shared_->options;
    if (!options.ssl_certificate.empty()) {
      if (Status status = ReloadTls(); !status.ok()) return status;
    }
    const bool is_unix = !options.uds.empty();
    const Result<Endpoint> endpoint =
        is_unix ? UnixEndpoint(context_, options.uds) : ResolveTcp(context_, options);
    if (!endpoint.ok()) return endpoint.status();
    error_code error;
    acceptor_.open(endpoint->protocol(), error);
    if (!error) acceptor_.set_option(net::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(*endpoint, error);
    if (!error) acceptor_.listen(net::socket_base::max_listen_connections, error);
    is_bound_unix_ = is_unix && !error;
    if (!error) return Status();
    const std::string address =
        is_unix ? options.uds : options.host + ":" + std::to_string(options.port);
    const std::string choose =
        is_unix ? "choose another path with --uds" : "choose another port with --port";
    if (error == net::error::address_in_use) {
      return Status(Code::kAlreadyExists,
                    address + " is in use by another program; end that one, or " + choose);
    }
    return Status(Code::kUnavailable,
                  address + " cannot be listened on: " + error.message() + "; " +
                      (is_unix ? choose : "choose another address with --host or --port"));
  }

  Status ReloadTls() {
    const HttpOptions& options = shared_->options;
    auto loaded = LoadTls(options.ssl_certificate, options.ssl_key);
    if (!loaded.ok()) return loaded.status();
    std::lock_guard lock(tls_mutex_);
    tls_ = *std::move(loaded);
    return Status();
  }

  void Run() {
    net::co_spawn(acceptor_.get_executor(), Accept(), net::detached);
    for (int i = 0; i < shared_->options.threads; ++i) {
      threads_.emplace_back([this] { context_.run(); });
    }
  }

  uint16_t port() const {
    error_code error;
    const Endpoint endpoint = acceptor_.local_endpoint(error);
    if (error || is_bound_unix_) return 0;
    tcp::endpoint address;
    std::memcpy(address.data(), endpoint.data(), std::min(endpoint.size(), address.capacity()));
    return address.port();
  }

  bool Drain(std::chrono::milliseconds timeout) {
    shared_->draining = true;
    net::post(acceptor_.get_executor(), [this] { acceptor_.close(); });
    ForEachConnection([](Connection& connection) { connection.CloseIfIdle(); });
    return WaitForConnections(timeout);
  }

 private:
  net::awaitable<void> Accept() {
    while (!shared_->draining) {
      const auto strand = net::make_strand(context_);
      auto [error, socket] = co_await acceptor_.async_accept(strand, kAsTuple);
      if (!error) {
        Serve(std::move(socket));
        continue;
      }
      if (!acceptor_.is_open()) co_return;
      // Out of file descriptors, mostly: connections that end free some.
      net::steady_timer pause(acceptor_.get_executor(), std::chrono::milliseconds(100));
      co_await pause.async_wait(kAsTuple);
    }
  }

  void Serve(Socket socket) {
    const auto strand = socket.get_executor();
    const size_t limit = shared_->options.max_connections;
    const size_t others = NumConnections();
    if (limit > 0 && others >= limit + kMaxRefusing) return;
    std::shared_ptr<net::ssl::context> tls;
    {
      std::lock_guard lock(tls_mutex_);
      tls = tls_;
    }
    auto connection = Connection::Create(std::move(socket), shared_, tls.get(),
                                         /*is_over_limit=*/limit > 0 && others >= limit);
    net::co_spawn(
        strand, [connection] { return connection->Run(); }, net::detached);
  }

  size_t NumConnections() {
    std::lock_guard lock(shared_->mutex);
    return shared_->connections.size();
  }

  void ForEachConnection(void (*fn)(Connection&)) {
    // Held until the mutex is free: the last holder of a connection ends it, which takes the mutex.
    std::vector<std::shared_ptr<Connection>> all;
    {
      std::lock_guard lock(shared_->mutex);
      for (Connection* connection : shared_->connections) {
        if (auto alive = connection->weak_from_this().lock()) all.push_back(std::move(alive));
      }
    }
    for (const std::shared_ptr<Connection>& alive : all) {
      net::post(alive->executor(), [alive, fn] { fn(*alive); });
    }
  }

  bool WaitForConnections(std::chrono::milliseconds timeout) {
    std::unique_lock lock(shared_->mutex);
    return shared_->none_left.wait_for(lock, timeout, [&] { return shared_->connections.empty(); });
  }

  std::shared_ptr<ConnectionShared> shared_;
  net::io_context context_;
  Acceptor acceptor_;
  bool is_bound_unix_ = false;
  std::mutex tls_mutex_;
  std::shared_ptr<net::ssl::context> tls_;  // null: none
  std::vector<std::thread> threads_;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpOptions& options,
                                                      HttpHandler handler, HttpObserver observer) {
  auto impl = std::make_unique<Impl>(options, std::move(handler), std::move(observer));
  if (Status status = impl->Listen(); !status.ok()) return status;
  impl->Run();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

uint16_t HttpServer::port() const { return impl_->port(); }
Status HttpServer::ReloadTls() { return impl_->ReloadTls(); }
bool HttpServer::Drain(std::chrono::milliseconds timeout) { return impl_->Drain(timeout); }

}  // namespace keel::apps
