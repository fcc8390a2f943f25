#include "apps/bench/serve.h"

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/bench/serve_report.h"
#include "apps/server/http_server.h"
#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

namespace json = boost::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> DataOf(const std::vector<std::string>& pieces) {
  std::vector<std::string> found;
  EventCutter cutter([&](std::string_view data) { found.emplace_back(data); });
  for (const std::string& piece : pieces) cutter.Add(piece);
  return found;
}

TEST(EventStreamTest, EventsAreCutWhereverTheBytesAre) {
  EXPECT_THAT(DataOf({"data: a\n\ndata:b\r\n\r\n"}), ElementsAre("a", "b"));
  EXPECT_THAT(DataOf({"da", "ta: lo", "ng\n", "\n: a comment\n\ndata: [DONE]\n"}),
              ElementsAre("long", "[DONE]"));
  EXPECT_THAT(DataOf({"data: not complete"}), ElementsAre());
}

TEST(EventStreamTest, Urls) {
  EXPECT_EQ(ParseHttpUrl("http://host:81/base/"), (HttpUrl{"host", "81", "/base"}));
  EXPECT_EQ(ParseHttpUrl("http://127.0.0.1"), (HttpUrl{"127.0.0.1", "80", ""}));
  for (const char* wrong : {"host:80", "https://host", "http://", "http://:80", "http://host:x"})
    EXPECT_FALSE(ParseHttpUrl(wrong).has_value()) << wrong;
}

TEST(ServeTest, ArrivalsKeepTheRate) {
  ServeLoad load{.requests = 4000, .request_rate = 50};
  EXPECT_NEAR(Arrivals(load).back(), 4000 / 50.0, 4);
  load.burstiness = 0.2;
  EXPECT_NEAR(Arrivals(load).back(), 4000 / 50.0, 12);
  load.request_rate = 0;
  EXPECT_EQ(Arrivals(load).back(), 0);
}

// Texts and the usage.
class Completion : public BodyStream {
 public:
  explicit Completion(std::vector<std::string> texts) : texts_(std::move(texts)) {}

  bool Take(std::string* bytes) override {
    for (const std::string& text : texts_)
      *bytes += R"(data: {"choices": [{"text": ")" + text + "\"}]}\n\n";
    *bytes += R"(data: {"choices": [], "usage": {"completion_tokens": 3}})";
    *bytes += "\n\ndata: [DONE]\n\n";
    return false;
  }

 private:
  const std::vector<std::string> texts_;
};

// Lists "m", answers completions; refuses every third.
class ServeServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = HttpServer::Start(
        {.port = 0}, [this](std::shared_ptr<Exchange> exchange) { Handle(*exchange); }, nullptr);
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = *std::move(server);
    load_.url = {"127.0.0.1", std::to_string(server_->port()), ""};
  }

  void Handle(Exchange& exchange) {
    if (exchange.request().path == "/v1/models")
      return exchange.Respond({.body = R"({"data": [{"id": "m"}]})"});
    const json::value body = json::parse(exchange.request().body);
    const auto tokens = static_cast<size_t>(body.at("prompt").as_array().size());
    if (body.at("model") != "m" || tokens != 5 || body.at("max_tokens").as_int64() != 3)
      return exchange.Respond({.status = 400, .body = "not what was asked for"});
    if (refuses_ && ++count_ % 3 == 0) return exchange.Respond({.status = 503, .body = "busy"});
    exchange.RespondInPieces({.content_type = "text/event-stream"},
                             std::make_shared<Completion>(texts_));
  }

  ServeResult Measure() {
    Progress progress;
    const std::atomic<bool> stop = false;
    const Result<ServeResult> result = MeasureServe(load_, progress, stop);
    EXPECT_TRUE(result.ok()) << result.status().message();
    return *result;
  }

  ServeLoad load_{.requests = 9, .prompt_tokens = {5, 5}, .new_tokens = {3, 3}, .vocab_size = 100};
  std::vector<std::string> texts_ = {"one", " two"};  // of each answer
  std::atomic<int> count_ = 0;
  bool refuses_ = false;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(ServeServerTest, CountsWhatTheServerCounts) {
  load_.request_rate = 1000;
  load_.max_concurrency = 2;
  const ServeResult result = Measure();
  EXPECT_TRUE(result.first_error.ok()) << result.first_error.message();
  EXPECT_EQ(result.model, "m");
  EXPECT_EQ(result.completed, 9U);
  EXPECT_EQ(result.input_tokens, 45U);
  EXPECT_EQ(result.output_tokens, 27U);
  EXPECT_EQ(result.ttft.count, 9U);
  EXPECT_EQ(result.itl.count, 9U);
  EXPECT_GT(result.e2el.p50, 0);
  EXPECT_THAT(ServeText(load_, result), HasSubstr("Successful requests:                     9 "));
  const json::object report = ServeJson(load_, result);
  EXPECT_EQ(report.at("completed"), 9U);
  EXPECT_EQ(report.at("max_concurrency"), 2U);
  EXPECT_GT(report.at("p99_ttft_ms").as_double(), 0);
}

TEST_F(ServeServerTest, RefusedRequestsAreFailures) {
  refuses_ = true;
  const ServeResult result = Measure();
  EXPECT_EQ(result.completed, 6U);
  EXPECT_EQ(result.failed, 3U);
  EXPECT_THAT(std::string(result.first_error.message()), HasSubstr("answered 503 busy"));
}

// Of special tokens alone, whose text is left out.
TEST_F(ServeServerTest, AnAnswerWithoutTextIsNoFailure) {
  texts_ = {""};
  const ServeResult result = Measure();
  EXPECT_EQ(result.completed, 9U);
  EXPECT_EQ(result.output_tokens, 27U);
  EXPECT_EQ(result.ttft.count, 9U);
}

TEST_F(ServeServerTest, AnAnswerWithoutAnyEventIsOne) {
  texts_ = {};
  const ServeResult result = Measure();
  EXPECT_EQ(result.failed, 9U);
  EXPECT_THAT(std::string(result.first_error.message()), HasSubstr("without any choice"));
}

TEST_F(ServeServerTest, NoServer) {
  load_.url.port = "1";
  Progress progress;
  const std::atomic<bool> stop = false;
  const Result<ServeResult> result = MeasureServe(load_, progress, stop);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("http://127.0.0.1:1: "));
}

}  // namespace
}  // namespace keel::apps
