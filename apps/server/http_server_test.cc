#include "apps/server/http_server.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "apps/testing/http_client.h"
#include "apps/testing/mutate.h"
#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// "one two " in two pieces.
class TwoPieces : public BodyStream {
 public:
  bool Take(std::string* bytes) override {
    *bytes += count_++ == 0 ? "one " : "two ";
    return count_ < 2;
  }

 private:
  int count_ = 0;
};

// More than what sockets hold for a reader that takes nothing.
constexpr char kManyPieces[] = "GET /many HTTP/1.1\r\n\r\n";
constexpr size_t kPiece = 64 << 10, kManyBytes = 16 * kPiece;
class ManyPieces : public BodyStream {
 public:
  bool Take(std::string* bytes) override {
    bytes->append(kPiece, 'x');
    return ++count_ < kManyBytes / kPiece;
  }

 private:
  size_t count_ = 0;
};

// GET /pieces and /many stream; /wait never answers; all else gives the body back.
class HttpServerTest : public ::testing::Test {
 protected:
  void Start(HttpOptions options = {}) {
    options.port = 0;
    auto server = HttpServer::Start(
        options, [this](std::shared_ptr<Exchange> exchange) { Handle(std::move(exchange)); },
        nullptr);
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = *std::move(server);
  }
  void Handle(std::shared_ptr<Exchange> exchange) {
    const HttpRequest& request = exchange->request();
    last_path_ = request.path;
    if (request.path == "/pieces") {
      exchange->RespondInPieces({.status = 200, .content_type = "text/plain"},
                                std::make_shared<TwoPieces>());
    } else if (request.path == "/many") {
      exchange->RespondInPieces({.status = 200, .content_type = "text/plain"},
                                std::make_shared<ManyPieces>());
    } else if (request.path == "/wait") {
      exchange->OnClientGone([this] { gone_.set_value(); });
      waiting_ = exchange;
      has_come_.set_value();
    } else {
      exchange->Respond({.status = 200, .body = request.method + " " + request.body});
    }
  }
  HttpClient NewClient() { return HttpClient(server_->port()); }
  HttpClient::Response Ask(std::string_view bytes) { return NewClient().Ask(bytes); }

  std::string last_path_;
  std::promise<void> has_come_, gone_;
  std::shared_ptr<Exchange> waiting_;
  std::unique_ptr<HttpServer> server_;
};

std::string Post(const std::string& body) {
  return "POST /echo HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

TEST_F(HttpServerTest, AConnectionServesMany) {
  Start();
  HttpClient client = NewClient();
  EXPECT_EQ(client.Ask(Post("first")).body, "POST first");
  EXPECT_EQ(client.Ask(Post("second")).body, "POST second");
  client.Send(Post("sent") + Post("ahead"));
  EXPECT_EQ(client.Read().body, "POST sent");
  EXPECT_EQ(client.Read().body, "POST ahead");
  const auto chunked = client.Ask(
      "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(chunked.body, "POST abcde");
  EXPECT_EQ(client.Ask("HEAD /echo HTTP/1.1\r\n\r\n", /*is_head=*/true).body, "");
  EXPECT_EQ(client.Ask(Post("last")).body, "POST last");
}

TEST_F(HttpServerTest, AGoodRequestIdIsKept) {
  Start();
  const auto ask = [&](const std::string& id) {
    return Ask("GET /echo HTTP/1.1\r\nX-Request-Id: " + id + "\r\n\r\n").Header("X-Request-Id");
  };
  EXPECT_EQ(ask("my-id.1"), "my-id.1");
  EXPECT_EQ(ask("a b").size(), 32U);
  EXPECT_EQ(ask(std::string(200, 'x')).size(), 32U);
  EXPECT_EQ(ask("").size(), 32U);
}

TEST_F(HttpServerTest, WhatIsNoHttpIsRefusedInJson) {
  Start();
  for (const char* bad :
       {"nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\x01 HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"}) {
    const auto response = Ask(bad);
    EXPECT_EQ(response.status, 400) << bad;
    EXPECT_FALSE(response.keep_alive) << bad;
    boost::system::error_code error;
    const auto body = boost::json::parse(response.body, error);
    ASSERT_FALSE(error) << bad;
    EXPECT_THAT(std::string(body.at("message").as_string()),
                HasSubstr("the request is no valid HTTP"));
  }
}

TEST_F(HttpServerTest, WhatIsTooLongIsRefused) {
  HttpOptions options;
  options.max_header_bytes = 1000;
  options.max_body_bytes = 1000;
  Start(options);
  auto response = Ask("GET / HTTP/1.1\r\nX: " + std::string(5000, 'x') + "\r\n\r\n");
  EXPECT_EQ(response.status, 431);
  EXPECT_THAT(response.body, HasSubstr("the headers are longer than 1000 bytes"));
  response = Ask(Post(std::string(1001, 'x')));
  EXPECT_EQ(response.status, 413);
  EXPECT_THAT(response.body, HasSubstr("longer than --max-body-bytes allows (1000 bytes)"));
  response = Ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" +
                 std::string(0x1000, 'x') + "\r\n0\r\n\r\n");
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(Ask("POST / HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n").status, 413);
  EXPECT_EQ(Ask(Post(std::string(1000, 'x'))).status, 200);
}

TEST_F(HttpServerTest, PiecesAreChunksOrEndTheConnection) {
  Start();
  HttpClient client = NewClient();
  auto response = client.Ask("GET /pieces HTTP/1.1\r\n\r\n");
  EXPECT_EQ(response.body, "one two ");
  EXPECT_EQ(response.Header("Transfer-Encoding"), "chunked");
  EXPECT_EQ(client.Ask(Post("next")).body, "POST next");
  client.Send("GET /pieces HTTP/1.0\r\n\r\n");
  const std::string old = client.ReadToEnd();
  EXPECT_THAT(old, StartsWith("HTTP/1.0 200"));
  EXPECT_TRUE(old.ends_with("\r\n\r\none two ")) << old;
}

TEST_F(HttpServerTest, AClientThatGoesIsNoticed) {
  Start();
  HttpClient client = NewClient();
  client.Send("GET /wait HTTP/1.1\r\n\r\n");
  has_come_.get_future().wait();
  auto gone = gone_.get_future();
  EXPECT_EQ(gone.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  client.Close();
  EXPECT_EQ(gone.wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST_F(HttpServerTest, PathsAreDecodedAndLoseTheirLastSlash) {
  Start();
  const auto path = [&](const std::string& target) {
    return Ask("GET " + target + " HTTP/1.1\r\n\r\n").Header("X-Request-Id").empty()
               ? std::string("none")
               : last_path_;
  };
  EXPECT_EQ(path("/v1/models/org%2Fname"), "/v1/models/org/name");
  EXPECT_EQ(path("/a%20b%zz%2"), "/a b%zz%2");
  EXPECT_EQ(path("/v1/chat/completions/?x=1"), "/v1/chat/completions");
  EXPECT_EQ(path("/"), "/");
}

TEST_F(HttpServerTest, IdleConnectionsEnd) {
  HttpOptions options;
  options.header_timeout = std::chrono::milliseconds(50);
  options.body_timeout = std::chrono::milliseconds(50);
  Start(options);
  EXPECT_EQ(NewClient().ReadToEnd(), "");
  HttpClient slow = NewClient();
  slow.Send("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_EQ(slow.ReadToEnd(), "");
}

TEST_F(HttpServerTest, DrainAnswersWhatRunsAndTakesNothingNew) {
  Start();
  const uint16_t port = server_->port();
  HttpClient client(port);
  client.Send("GET /wait HTTP/1.1\r\n\r\n");
  has_come_.get_future().wait();
  auto drained = std::async(std::launch::async,
                            [&] { EXPECT_TRUE(server_->Drain(std::chrono::seconds(10))); });
  EXPECT_EQ(drained.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  waiting_->Respond({.status = 200, .body = "done"});
  waiting_ = nullptr;
  const auto response = client.Read();
  EXPECT_EQ(response.body, "done");
  drained.wait();
  EXPECT_EQ(HttpClient(port).Ask(Post("late")).status, 0);
}

TEST_F(HttpServerTest, AnAddressThatCannotBeHadIsSaid) {
  Start();
  HttpOptions options;
  options.port = server_->port();
  EXPECT_THAT(HttpServer::Start(options, nullptr, nullptr).status().message(),
              HasSubstr("is in use by another program; end that one, or choose another port"));
  options.host = "no.such.host.invalid";
  EXPECT_THAT(HttpServer::Start(options, nullptr, nullptr).status().message(),
              HasSubstr("--host no.such.host.invalid: no such address"));
}

TEST_F(HttpServerTest, AUnixSocketServesAndIsTakenAgain) {
  HttpOptions options;
  // Bazel's own directory has too long a name for a socket.
  options.uds = "/tmp/keel-" + std::to_string(getpid()) + ".sock";
  Start(options);
  EXPECT_EQ(server_->port(), 0);
  EXPECT_EQ(HttpClient(options.uds).Ask(Post("here")).body, "POST here");
  EXPECT_THAT(HttpServer::Start(options, nullptr, nullptr).status().message(),
              HasSubstr(".sock is in use by another program"));
  server_ = nullptr;
  EXPECT_FALSE(std::filesystem::exists(options.uds));
  // What a server left that could not clean up.
  boost::asio::io_context context;
  boost::asio::local::stream_protocol::acceptor(
      context, boost::asio::local::stream_protocol::endpoint(options.uds))
      .close();
  EXPECT_TRUE(std::filesystem::exists(options.uds));
  Start(options);
  EXPECT_EQ(HttpClient(options.uds).Ask(Post("again")).body, "POST again");
  options.uds = std::string(200, 'x');
  EXPECT_THAT(HttpServer::Start(options, nullptr, nullptr).status().message(),
              HasSubstr("a Unix socket's path has at most 107 characters"));
}

TEST_F(HttpServerTest, ConnectionsAboveTheLimitAreToldSo) {
  HttpOptions options;
  options.max_connections = 2;
  Start(options);
  HttpClient first = NewClient(), second = NewClient();
  EXPECT_EQ(first.Ask(Post("1")).status, 200);
  EXPECT_EQ(second.Ask(Post("2")).status, 200);
  const auto third = NewClient().Ask(Post("3"));
  EXPECT_EQ(third.status, 503);
  EXPECT_EQ(third.Header("Retry-After"), "1");
  EXPECT_THAT(third.body, HasSubstr("as many connections as --max-connections allows (2)"));
  EXPECT_EQ(first.Ask(Post("still")).body, "POST still");
}

TEST_F(HttpServerTest, ACertificateThatCannotBeReadIsSaid) {
  HttpOptions options;
  options.port = 0;
  options.ssl_certificate = "/no/such.pem";
  EXPECT_THAT(HttpServer::Start(options, nullptr, nullptr).status().message(),
              HasSubstr("--ssl-certfile /no/such.pem: no certificate in PEM format"));
}

// Many streams at once, whose readers take nothing: each waits for its own.
TEST_F(HttpServerTest, SlowReadersHoldUpNobody) {
  constexpr int kReaders = 200;
  Start();
  std::list<HttpClient> slow;
  for (int i = 0; i < kReaders; ++i) slow.emplace_back(server_->port()).Send(kManyPieces);
  EXPECT_EQ(Ask(Post("quick")).body, "POST quick");
  for (HttpClient& client : slow) EXPECT_EQ(client.Read().body.size(), kManyBytes);
}

// Bytes from outside: whatever they are, the server goes on.
TEST_F(HttpServerTest, DamagedRequestsHarmNothing) {
  HttpOptions options;
  options.header_timeout = options.body_timeout = std::chrono::milliseconds(200);
  Start(options);
  const std::string good[] = {
      Post("body") + Post("next"),
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "GET /pieces HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"};
  std::mt19937 random(20263);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(900);
  for (int i = 0; i < 5000 && std::chrono::steady_clock::now() < end; ++i) {
    HttpClient client = NewClient();
    client.Send(Mutate(good[i % 3], random));
    client.EndSending();
    if (i % 8 == 0) client.ReadToEnd();
  }
  EXPECT_EQ(Ask(Post("still here")).body, "POST still here");
}

}  // namespace
}  // namespace keel::apps
