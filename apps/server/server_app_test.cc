// The whole server on the fake engine, over HTTP.
#include "apps/server/server_app.h"

#include <memory>
#include <string>
#include <utility>

#include "apps/testing/http_client.h"
#include "apps/wire/run_call.h"
#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

using ::testing::HasSubstr;

class ServerAppTest : public ::testing::Test {
 protected:
  void Start(ServerOptions options = {}) {
    options.http.port = 0;
    options.access_log = false;
    auto app = ServerApp::Start(options);
    ASSERT_TRUE(app.ok()) << app.status().message();
    app_ = *std::move(app);
  }
  void Load() {
    app_->Serve(std::move(Engine::Create(Options())).value(),
                {.names = {"fake"}, .max_model_len = 4096, .root = "", .created = 0});
  }
  HttpClient::Response Get(const std::string& path) {
    return HttpClient(app_->port()).Ask("GET " + path + " HTTP/1.1\r\n\r\n");
  }
  HttpClient::Response Post(const std::string& path, const std::string& body,
                            const std::string& headers = "") {
    return HttpClient(app_->port())
        .Ask("POST " + path + " HTTP/1.1\r\n" + headers +
             "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }

  std::unique_ptr<ServerApp> app_;
};

TEST_F(ServerAppTest, SaysThatItLoadsUntilItServes) {
  Start();
  const auto loading = Get("/health");
  EXPECT_EQ(loading.status, 503);
  EXPECT_EQ(loading.Header("Retry-After"), "1");
  EXPECT_THAT(loading.body, HasSubstr("the model is loading"));
  Load();
  EXPECT_EQ(Get("/health").status, 200);
  EXPECT_EQ(json::parse(Get("/v1/models").body).at("data").at(0).at("id"), "fake");
}

TEST_F(ServerAppTest, AnswersBothEndpoints) {
  Start();
  Load();
  const auto chat =
      Post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"hi"}]})");
  EXPECT_EQ(chat.status, 200);
  EXPECT_EQ(json::parse(chat.body).at("choices").at(0).at("message").at("content"), "hi");
  const auto text = Post("/v1/completions", R"({"prompt":"hi"})");
  EXPECT_EQ(json::parse(text.body).at("choices").at(0).at("text"), "hi");
}

TEST_F(ServerAppTest, StreamsToTheEnd) {
  ServerOptions options;
  options.router.allowed_origins = {"*"};
  Start(options);
  Load();
  // With and without what browsers add.
  for (const char* headers : {"", "Origin: https://page.example\r\n"}) {
    const auto response = Post("/v1/completions", R"({"prompt":"hello","stream":true})", headers);
    EXPECT_EQ(response.status, 200);
    EXPECT_THAT(response.Header("Content-Type"), HasSubstr("text/event-stream"));
    EXPECT_EQ(response.Header("Access-Control-Allow-Origin"), *headers == '\0' ? "" : "*");
    std::string text;
    const auto events = ParseEvents(response.body);
    for (const json::value& event : events) {
      if (event.is_object()) text += event.at("choices").at(0).at("text").as_string();
    }
    EXPECT_EQ(text, "hello");
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(events.back(), "[DONE]");
  }
}

TEST_F(ServerAppTest, ErrorsHaveOpenAisShape) {
  Start();
  Load();
  const auto error = [&](const HttpClient::Response& response, int status) {
    EXPECT_EQ(response.status, status) << response.body;
    return std::string(json::parse(response.body).at("error").at("message").as_string());
  };
  EXPECT_THAT(error(Post("/v1/completions", "{"), 400), HasSubstr("the body is no valid JSON"));
  EXPECT_THAT(error(Post("/v1/completions", "{}"), 400), HasSubstr("prompt is missing"));
  EXPECT_THAT(error(Post("/v1/completions", R"({"prompt":"[fail] x"})"), 500),
              HasSubstr("the step failed"));
  EXPECT_THAT(error(Post("/v1/nothing", "{}"), 404), HasSubstr("no endpoint /v1/nothing"));
  EXPECT_THAT(error(Get("/v1/completions"), 405), HasSubstr("does not take GET"));
}

}  // namespace
}  // namespace keel::apps
