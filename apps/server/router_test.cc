#include "apps/server/router.h"

#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::HasSubstr;

// Keeps its answer.
class KeptExchange : public Exchange {
 public:
  explicit KeptExchange(HttpRequest request) : request_(std::move(request)) {}
  const HttpRequest& request() const override { return request_; }
  void AllowOrigin(AllowedOrigin allowed) override { allowed_origin_ = allowed.origin; }
  void Respond(HttpResponse response) override { response_.set_value(std::move(response)); }
  void RespondInPieces(HttpResponse head, std::shared_ptr<BodyStream>) override {
    Respond(std::move(head));
  }
  void Wake() override {}
  void OnClientGone(std::function<void()>) override {}
  void CountTokens(TokenCounts) override {}

  HttpResponse Wait() { return response_.get_future().get(); }
  const std::string& allowed_origin() const { return allowed_origin_; }

 private:
  const HttpRequest request_;
  std::promise<HttpResponse> response_;
  std::string allowed_origin_;
};

HttpResponse Ask(Router& router, const std::string& method, const std::string& path,
                 const std::string& authorization = "", const std::string& api_key = "") {
  auto exchange = std::make_shared<KeptExchange>(HttpRequest{.method = method,
                                                             .path = path,
                                                             .target = path,
                                                             .body = {},
                                                             .authorization = authorization,
                                                             .api_key = api_key,
                                                             .origin = {},
                                                             .id = {},
                                                             .peer = {}});
  router.Handle(exchange);
  return exchange->Wait();
}

void Add(Router& router) {
  const auto answer = [](const char* text) {
    return [text](std::shared_ptr<Exchange> exchange) {
      exchange->Respond({.status = 200, .body = text});
    };
  };
  router.Add("GET", "/one", answer("one"));
  router.Add("POST", "/one", answer("posted"));
  router.Add("GET", "/models/*", answer("model"));
  router.Add("GET", "/health", answer("well"),
             {.access = Router::Access::kPublic, .is_polled = true});
  router.Add("GET", "/throws", [](std::shared_ptr<Exchange>) { throw std::runtime_error("oh"); });
}

TEST(RouterTest, MethodAndPathChooseTheEndpoint) {
  Router router({});
  Add(router);
  EXPECT_EQ(Ask(router, "GET", "/one").body, "one");
  EXPECT_EQ(Ask(router, "POST", "/one").body, "posted");
  EXPECT_EQ(Ask(router, "GET", "/models/org/name").body, "model");
  EXPECT_EQ(Ask(router, "GET", "/models/").status, 404);
  EXPECT_EQ(router.Label("/models/x"), "/models/*");
  EXPECT_EQ(router.Label("/nothing"), "none");
  EXPECT_TRUE(router.IsPolled("/health"));
  EXPECT_FALSE(router.IsPolled("/one"));
}

TEST(RouterTest, WhatThereIsNotIsSaid) {
  Router router({});
  Add(router);
  const HttpResponse missing = Ask(router, "GET", "/v2/one");
  EXPECT_EQ(missing.status, 404);
  EXPECT_THAT(missing.body, HasSubstr("no endpoint /v2/one; try /v1/models"));
  const HttpResponse method = Ask(router, "DELETE", "/one");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.allow, "OPTIONS, GET, HEAD, POST");
  EXPECT_THAT(method.body, HasSubstr("/one does not take DELETE"));
  const HttpResponse options = Ask(router, "OPTIONS", "/one");
  EXPECT_EQ(options.status, 200);
  EXPECT_EQ(options.allow, "OPTIONS, GET, HEAD, POST");
}

TEST(RouterTest, KeysAreAskedForWhereTheyAreNeeded) {
  Router router({.api_keys = {"secret", "other"}, .allowed_origins = {}});
  Add(router);
  EXPECT_EQ(Ask(router, "GET", "/one").status, 401);
  EXPECT_EQ(Ask(router, "GET", "/one", "Bearer secre").status, 401);
  EXPECT_EQ(Ask(router, "GET", "/one", "Bearer secretsecret").status, 401);
  EXPECT_EQ(Ask(router, "GET", "/one", "Bearer ").status, 401);
  EXPECT_EQ(Ask(router, "GET", "/one", "secret").status, 401);
  EXPECT_EQ(Ask(router, "GET", "/one", "Bearer other").status, 200);
  EXPECT_EQ(Ask(router, "GET", "/one", "", "secret").status, 200);
  EXPECT_EQ(Ask(router, "GET", "/one", "", "secre").status, 401);
  EXPECT_EQ(Ask(router, "GET", "/health").status, 200);
}

TEST(RouterTest, OnlyAllowedOriginsAreTold) {
  Router router({.api_keys = {}, .allowed_origins = {"https://a.example"}});
  Add(router);
  const auto allowed = [&](const std::string& origin) {
    auto exchange = std::make_shared<KeptExchange>(HttpRequest{.method = "GET",
                                                               .path = "/one",
                                                               .target = "/one",
                                                               .body = {},
                                                               .authorization = {},
                                                               .origin = origin,
                                                               .id = {},
                                                               .peer = {}});
    router.Handle(exchange);
    exchange->Wait();
    return exchange->allowed_origin();
  };
  EXPECT_EQ(allowed("https://a.example"), "https://a.example");
  EXPECT_EQ(allowed("https://b.example"), "");
  EXPECT_EQ(allowed(""), "");
}

TEST(RouterTest, LanesDoNotWaitForEachOther) {
  Router router({});
  std::promise<void> go_on;
  const std::shared_future<void> wait = go_on.get_future().share();
  router.Add("GET", "/slow", [wait](std::shared_ptr<Exchange> exchange) {
    wait.wait();
    exchange->Respond({.status = 200, .body = "slow"});
  });
  router.Add("GET", "/health",
             [](std::shared_ptr<Exchange> exchange) { exchange->Respond({.status = 200}); },
             {.lane = Router::Lane::kMonitoring});
  std::vector<std::future<HttpResponse>> slow;
  for (int i = 0; i < 10; ++i) {
    slow.push_back(std::async(std::launch::async, [&] { return Ask(router, "GET", "/slow"); }));
  }
  EXPECT_EQ(Ask(router, "GET", "/health").status, 200);
  go_on.set_value();
  for (auto& response : slow) EXPECT_EQ(response.get().body, "slow");
}

TEST(RouterTest, ARoutesErrorsHaveItsForm) {
  Router router({});
  const auto form = [](const CallError& error) {
    return ErrorBody{.http_status = 418, .json = "mine: " + error.message};
  };
  router.Add("GET", "/mine", [](std::shared_ptr<Exchange>) { throw std::runtime_error("oh"); },
             {.error_form = form});
  EXPECT_EQ(Ask(router, "GET", "/mine").body, "mine: internal error: oh");
  EXPECT_EQ(Ask(router, "PUT", "/mine").status, 418);
  EXPECT_EQ(Ask(router, "GET", "/other").status, 404);
}

TEST(RouterTest, WhatAnEndpointThrowsIsAnError) {
  Router router({});
  Add(router);
  const HttpResponse response = Ask(router, "GET", "/throws");
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(response.body, HasSubstr("internal error: oh"));
}

}  // namespace
}  // namespace keel::apps
