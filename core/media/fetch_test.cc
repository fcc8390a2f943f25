#include "core/media/fetch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file_descriptor.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Answers each request, which it has read to its empty line, on a port of this machine's.
class Server {
 public:
  explicit Server(std::function<std::string(const std::string& request)> answer)
      : answer_(std::move(answer)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_.get(), 8), 0);
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~Server() {
    shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

  std::string Url(const std::string& path) const {
    return absl::StrCat("http://localhost:", port_, path);
  }
  int requests() const { return requests_; }

 private:
  void Run() {
    while (true) {
      const FileDescriptor client(accept(listener_.get(), nullptr, nullptr));
      if (client.get() < 0) return;
      std::string request;
      char buffer[4096];
      while (!absl::StrContains(request, "\r\n\r\n")) {
        const ssize_t n = read(client.get(), buffer, sizeof(buffer));
        if (n <= 0) break;
        request.append(buffer, n);
      }
      ++requests_;
      const std::string answer = answer_(request);
      (void)!send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }

  const std::function<std::string(const std::string&)> answer_;
  FileDescriptor listener_;
  int port_ = 0;
  std::atomic<int> requests_{0};
  std::thread thread_;
};

std::string Ok(const std::string& body) {
  return absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
}
std::string Redirect(const std::string& to) {
  return absl::StrCat("HTTP/1.1 302 Found\r\nLocation: ", to, "\r\nContent-Length: 0\r\n\r\n");
}

// This machine stands for one of the internet.
FetchOptions Allowed() {
  FetchOptions options;
  options.allowed_domains = {"LocalHost"};
  options.is_allowed_address = [](const sockaddr&) { return true; };
  return options;
}

TEST(FetchTest, GivesTheBody) {
  std::string seen;
  const Server server([&](const std::string& request) {
    seen = request;
    return Ok("image");
  });
  EXPECT_EQ(Fetch(server.Url("/a.png?b"), Allowed()).value(), "image");
  EXPECT_THAT(seen, AllOf(HasSubstr("GET /a.png?b HTTP/1.1"), Not(HasSubstr("Accept-Encoding")),
                          Not(HasSubstr("Cookie"))));
}

TEST(FetchTest, OnlyAllowedHostsAreAsked) {
  const Server server([](const std::string&) { return Ok("secret"); });
  FetchOptions options = Allowed();
  for (const auto& domains : std::vector<std::vector<std::string>>{
           {}, {"example.com"}, {"host"}, {"localhost.example.com"}, {"127.0.0.1"}}) {
    options.allowed_domains = domains;
    EXPECT_THAT(Fetch(server.Url("/"), options),
                StatusIs(absl::StatusCode::kPermissionDenied,
                         AllOf(HasSubstr("localhost"), HasSubstr("--allowed-media-domains"))));
  }
  EXPECT_EQ(server.requests(), 0);
}

TEST(FetchTest, AnAllowedNameWithAPrivateAddressIsNotConnectedTo) {
  const Server server([](const std::string&) { return Ok("secret"); });
  FetchOptions options = Allowed();
  options.is_allowed_address = IsPublicAddress;
  EXPECT_THAT(Fetch(server.Url("/"), options),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("private, local")));
  options.allowed_domains = {"127.0.0.1", "[::1]", "169.254.169.254"};
  for (const char* url : {"http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest",
                          "http://0x7f000001/", "http://2130706433/"}) {
    EXPECT_THAT(Fetch(url, options), StatusIs(absl::StatusCode::kPermissionDenied)) << url;
  }
  EXPECT_EQ(server.requests(), 0);
}

TEST(FetchTest, ARedirectIsHeldToTheSameRules) {
  const Server server([](const std::string& request) {
    if (absl::StrContains(request, "GET /here ")) return Redirect("/there");
    if (absl::StrContains(request, "GET /away ")) return Redirect("http://example.com/");
    if (absl::StrContains(request, "GET /file ")) return Redirect("file:///etc/passwd");
    if (absl::StrContains(request, "GET /loop ")) return Redirect("/loop");
    return Ok("image");
  });
  EXPECT_EQ(Fetch(server.Url("/here"), Allowed()).value(), "image");
  EXPECT_THAT(Fetch(server.Url("/away"), Allowed()),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("example.com")));
  EXPECT_THAT(Fetch(server.Url("/file"), Allowed()), Not(StatusIs(absl::StatusCode::kOk)));
  const int before = server.requests();
  EXPECT_THAT(Fetch(server.Url("/loop"), Allowed()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("more than 3 times")));
  EXPECT_EQ(server.requests(), before + 4);
}

TEST(FetchTest, ALargeBodyIsRefused) {
  const Server server([](const std::string& request) {
    const std::string body(100, 'x');
    // One says its size before, the other does not.
    return absl::StrContains(request, "GET /told ") ? Ok(body) : "HTTP/1.0 200 OK\r\n\r\n" + body;
  });
  FetchOptions options = Allowed();
  options.max_bytes = 100;
  EXPECT_EQ(Fetch(server.Url("/told"), options)->size(), 100);
  EXPECT_EQ(Fetch(server.Url("/untold"), options)->size(), 100);
  options.max_bytes = 99;
  for (const char* path : {"/told", "/untold"}) {
    EXPECT_THAT(Fetch(server.Url(path), options),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("more than 99 bytes")));
  }
}

TEST(FetchTest, AHostThatIsSlowOrRefusesIsAnError) {
  FetchOptions options = Allowed();
  options.time_limit = absl::Milliseconds(100);
  {
    const Server server([](const std::string&) {
      absl::SleepFor(absl::Milliseconds(300));
      return Ok("late");
    });
    EXPECT_THAT(Fetch(server.Url("/"), options),
                StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("longer than 100ms")));
  }
  const Server server([](const std::string&) {
    return std::string("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  });
  EXPECT_THAT(Fetch(server.Url("/"), Allowed()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("answers 404")));
}

TEST(FetchTest, UrlsOfOtherKindsAreRefused) {
  for (const char* url : {"", "localhost", "ftp://localhost/", "file:///etc/passwd",
                          "http://user:password@localhost/", "http://", "http://a b/"}) {
    EXPECT_THAT(Fetch(url, Allowed()), StatusIs(absl::StatusCode::kInvalidArgument)) << url;
  }
}

}  // namespace
}  // namespace keel
