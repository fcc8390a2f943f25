#include "apps/server/http_server.h"

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "apps/server/connection.h"
#include "boost/asio/as_tuple.hpp"
#include "boost/asio/co_spawn.hpp"
#include "boost/asio/detached.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/strand.hpp"
#include "boost/asio/use_awaitable.hpp"

namespace keel::apps {
namespace {

// Completion as a tuple (error_code, ...) instead of an exception.
constexpr auto kAsTuple = net::as_tuple(net::use_awaitable);

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
  }

  Status Listen() {
    const HttpOptions& options = shared_->options;
    error_code error;
    tcp::resolver resolver(context_);
    const auto found =
        resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, error);
    if (error || found.empty()) {
      return Status(Code::kInvalidArgument,
                    "--host " + options.host + ": no such address: " + error.message());
    }
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(net::socket_base::max_listen_connections, error);
    if (!error) return Status();
    const std::string address = options.host + ":" + std::to_string(options.port);
    if (error == net::error::address_in_use) {
      return Status(Code::kAlreadyExists,
                    address +
                        " is in use by another program; end that one, or choose another "
                        "port with --port");
    }
    return Status(Code::kUnavailable, address + " cannot be listened on: " + error.message() +
                                          "; choose another address with --host or --port");
  }

  void Run() {
    net::co_spawn(acceptor_.get_executor(), Accept(), net::detached);
    for (int i = 0; i < shared_->options.threads; ++i) {
      threads_.emplace_back([this] { context_.run(); });
    }
  }

  uint16_t port() const { return acceptor_.local_endpoint().port(); }

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

  void Serve(tcp::socket socket) {
    const auto strand = socket.get_executor();
    auto connection = std::make_shared<Connection>(std::move(socket), shared_);
    net::co_spawn(
        strand, [connection] { return connection->Run(); }, net::detached);
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
  tcp::acceptor acceptor_;
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
bool HttpServer::Drain(std::chrono::milliseconds timeout) { return impl_->Drain(timeout); }

}  // namespace keel::apps
