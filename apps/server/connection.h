// One client of the HTTP server: reads requests, hands them over, writes the answers.
#ifndef KEEL_APPS_SERVER_CONNECTION_H_
#define KEEL_APPS_SERVER_CONNECTION_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "apps/server/client_stream.h"
#include "apps/server/http.h"
#include "apps/server/http_options.h"
#include "boost/asio/any_io_executor.hpp"
#include "boost/asio/awaitable.hpp"
#include "boost/asio/steady_timer.hpp"

namespace keel::apps {

class Connection;

// The part of an exchange that its connection reads.
class ExchangeState : public Exchange, public std::enable_shared_from_this<ExchangeState> {
 public:
  ExchangeState(HttpRequest request, std::weak_ptr<Connection> connection,
                net::any_io_executor executor)
      : request_(std::move(request)),
        connection_(std::move(connection)),
        executor_(std::move(executor)) {}

  const HttpRequest& request() const override { return request_; }
  void AllowOrigin(AllowedOrigin allowed) override {
    std::lock_guard lock(mutex_);
    allowed_origin_ = std::move(allowed);
  }
  void Respond(HttpResponse response) override { RespondInPieces(std::move(response), nullptr); }
  void RespondInPieces(HttpResponse head, std::shared_ptr<BodyStream> body) override {
    {
      std::lock_guard lock(mutex_);
      if (head_.has_value()) return;
      head_ = std::move(head);
      body_ = std::move(body);
    }
    Wake();
  }
  void Wake() override;
  void OnClientGone(std::function<void()> fn) override {
    {
      std::lock_guard lock(mutex_);
      if (!gone_) {
        on_gone_ = std::move(fn);
        return;
      }
    }
    fn();
  }
  void CountTokens(TokenCounts tokens) override {
    std::lock_guard lock(mutex_);
    tokens_ = tokens;
  }

  // For the connection.
  bool has_head() {
    std::lock_guard lock(mutex_);
    return head_.has_value();
  }
  // Once has_head(), these three no longer change.
  const std::optional<AllowedOrigin>& allowed_origin() const { return allowed_origin_; }
  const HttpResponse& head() const { return *head_; }
  BodyStream* body() const { return body_.get(); }
  std::optional<TokenCounts> tokens() {
    std::lock_guard lock(mutex_);
    return tokens_;
  }
  void SetGone() {
    std::function<void()> fn;
    {
      std::lock_guard lock(mutex_);
      gone_ = true;
      fn = std::move(on_gone_);
    }
    if (fn) fn();
  }
  // The answer is complete: nobody waits for the client any more.
  void SetDone() {
    std::function<void()> fn;
    std::lock_guard lock(mutex_);
    fn.swap(on_gone_);
  }
  void WakeSeen() { wake_posted_ = false; }

 private:
  const HttpRequest request_;
  const std::weak_ptr<Connection> connection_;
  const net::any_io_executor executor_;
  std::atomic<bool> wake_posted_ = false;
  std::mutex mutex_;
  std::optional<HttpResponse> head_;
  std::shared_ptr<BodyStream> body_;
  std::function<void()> on_gone_;
  std::optional<AllowedOrigin> allowed_origin_;
  std::optional<TokenCounts> tokens_;
  bool gone_ = false;
};

// What connections share with their server.
struct ConnectionShared {
  HttpOptions options;
  HttpHandler handler;
  HttpObserver observer;
  std::atomic<bool> draining = false;

  std::mutex mutex;
  std::condition_variable none_left;
  std::set<Connection*> connections;
};

// One client. All members are used on the connection's strand only.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // Unless `tls` is null, it is encrypted; the context is needed for the call only. With
  // `is_over_limit` the client is told so.
  static std::shared_ptr<Connection> Create(Socket socket, std::shared_ptr<ConnectionShared> shared,
                                            net::ssl::context* tls, bool is_over_limit);
  virtual ~Connection();

  virtual net::awaitable<void> Run() = 0;
  virtual net::any_io_executor executor() = 0;
  virtual void Close() = 0;
  // It waits for a request.
  virtual bool is_idle() const = 0;
  void Wake() {
    woken_ = true;
    // In the past: also ends a wait that is yet to begin.
    wake_timer_.expires_at(net::steady_timer::time_point::min());
  }
  void CloseIfIdle() {
    if (is_idle()) Close();
  }

 protected:
  Connection(const net::any_io_executor& executor, std::shared_ptr<ConnectionShared> shared);

  const std::shared_ptr<ConnectionShared> shared_;
  net::steady_timer wake_timer_;
  bool woken_ = false;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_CONNECTION_H_
