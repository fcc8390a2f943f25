// The whole server on the fake engine, over HTTP.
#include "apps/server/server_app.h"

#include <chrono>
#include <fstream>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#include "apps/testing/http_client.h"
#include "apps/wire/run_call.h"
#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

ModelConfig Model(const std::string& name, const char* option = nullptr, const char* value = "") {
  ModelConfig config{.names = {name}, .root = "/models/" + name, .options = {}};
  if (option != nullptr) {
    EXPECT_TRUE(config.options.Set(option, value).ok());
  }
  return config;
}

class ServerAppTest : public ::testing::Test {
 protected:
  // Listens; nothing is loaded.
  template <typename... Configs>
  void Start(ServerOptions options, Configs... configs) {
    options.http.port = 0;
    options.access_log = false;
    auto models = ServedModels::Create(/*budget_bytes=*/0);
    ASSERT_TRUE(models.ok());
    const auto add = [&](ModelConfig config) {
      EXPECT_TRUE((*models)->Add(std::move(config)).ok());
    };
    (add(std::move(configs)), ...);
    auto app = ServerApp::Start(options, *std::move(models));
    ASSERT_TRUE(app.ok()) << app.status().message();
    app_ = *std::move(app);
  }
  void StartAndLoad(const ServerOptions& options = {}) {
    Start(options, Model("fake"));
    Load();
  }
  void Load() {
    ASSERT_TRUE(app_->models().Load(app_->models().names().front()).ok());
    app_->SetReady();
  }
  HttpClient::Response Get(const std::string& path, const std::string& headers = "") {
    return HttpClient(app_->port()).Ask("GET " + path + " HTTP/1.1\r\n" + headers + "\r\n");
  }
  static std::string PostBytes(const std::string& path, const std::string& body,
                               const std::string& headers = "") {
    return "POST " + path + " HTTP/1.1\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  HttpClient::Response Post(const std::string& path, const std::string& body,
                            const std::string& headers = "") {
    return HttpClient(app_->port()).Ask(PostBytes(path, body, headers));
  }
  // What a request for `model` is answered: the text, or the error's message.
  std::string Complete(const std::string& model) {
    const auto response = Post("/v1/completions", R"({"prompt":"hi","model":")" + model + R"("})");
    const json::value body = json::parse(response.body);
    const json::value* error = body.as_object().if_contains("error");
    if (error != nullptr) return std::string(error->at("message").as_string());
    EXPECT_EQ(std::string(body.at("model").as_string()), model);
    return std::string(body.at("choices").at(0).at("text").as_string());
  }
  std::string StateOf(const std::string& model) {
    return std::string(json::parse(Get("/v1/models/" + model).body).at("state").as_string());
  }

  std::unique_ptr<ServerApp> app_;
};

TEST_F(ServerAppTest, SaysThatItLoadsUntilItServes) {
  Start({}, Model("fake"));
  for (const char* path : {"/health", "/ready", "/v1/models", "/info"}) {
    const auto loading = Get(path);
    EXPECT_EQ(loading.status, 503) << path;
    EXPECT_EQ(loading.Header("Retry-After"), "1");
    EXPECT_THAT(loading.body, HasSubstr("the model is loading"));
  }
  EXPECT_EQ(Get("/live").status, 200);
  EXPECT_EQ(Post("/v1/completions", R"({"prompt":"hi"})").status, 503);
  Load();
  EXPECT_EQ(Get("/health").status, 200);
  EXPECT_EQ(Get("/ready").status, 200);
  EXPECT_EQ(json::parse(Get("/v1/models").body).at("data").at(0).at("id"), "fake");
}

TEST_F(ServerAppTest, AnswersBothEndpoints) {
  StartAndLoad();
  for (const char* slash : {"", "/"}) {
    const auto chat = Post(std::string("/v1/chat/completions") + slash,
                           R"({"messages":[{"role":"user","content":"hi"}]})");
    EXPECT_EQ(chat.status, 200);
    EXPECT_EQ(json::parse(chat.body).at("choices").at(0).at("message").at("content"), "hi");
  }
  const auto text = Post("/v1/completions", R"({"prompt":"hi"})");
  EXPECT_EQ(json::parse(text.body).at("choices").at(0).at("text"), "hi");
}

TEST_F(ServerAppTest, AnInvocationIsWhatItsBodyIsFor) {
  StartAndLoad();
  const auto object = [&](const char* body) {
    return json::parse(Post("/invocations", body).body).at("object");
  };
  EXPECT_EQ(object(R"({"messages":[{"role":"user","content":"hi"}]})"), "chat.completion");
  EXPECT_EQ(object(R"({"prompt":"hi"})"), "text_completion");
  EXPECT_EQ(Post("/invocations", "{}").status, 400);
}

TEST_F(ServerAppTest, StreamsToTheEnd) {
  ServerOptions options;
  options.router.allowed_origins = {"*"};
  StartAndLoad(options);
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

TEST_F(ServerAppTest, PagesSendCredentialsWhereTheyMay) {
  ServerOptions options;
  options.router.allowed_origins = {"*"};
  options.router.allow_credentials = true;
  StartAndLoad(options);
  constexpr char kOrigin[] = "Origin: https://page.example\r\n";
  const auto response = Post("/v1/completions", R"({"prompt":"hi"})", kOrigin);
  EXPECT_EQ(response.Header("Access-Control-Allow-Origin"), "https://page.example");
  EXPECT_EQ(response.Header("Access-Control-Allow-Credentials"), "true");
  EXPECT_EQ(response.Header("Vary"), "Origin");
  const auto asked = HttpClient(app_->port())
                         .Ask("OPTIONS /v1/completions HTTP/1.1\r\n" + std::string(kOrigin) +
                              "Access-Control-Request-Headers: authorization, x-app\r\n\r\n");
  EXPECT_EQ(asked.Header("Access-Control-Allow-Headers"), "authorization, x-app");
}

TEST_F(ServerAppTest, ErrorsHaveOpenAisShape) {
  StartAndLoad();
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

TEST_F(ServerAppTest, WhatIsNoUtf8IsAnsweredInJson) {
  StartAndLoad();
  for (const char* path : {"/%ff", "/v1/models/%ff", "/v1/responses/%fe", "/page/%c0%af"}) {
    const auto response = Get(path);
    EXPECT_EQ(response.status, 404);
    EXPECT_THAT(std::string(json::parse(response.body).at("error").at("message").as_string()),
                HasSubstr("\uFFFD"));
  }
}

TEST_F(ServerAppTest, CallsGoToTheModelThatTheyName) {
  Start({}, Model("one"), Model("org/two"));
  Load();
  EXPECT_EQ(StateOf("org%2Ftwo"), "registered");
  EXPECT_EQ(Complete("one"), "hi");
  EXPECT_EQ(Complete("org/two"), "hi");  // loaded by the call
  EXPECT_EQ(StateOf("org/two"), "ready");
  EXPECT_THAT(Complete("three"),
              HasSubstr("model 'three' is not served; this server has 'one', 'org/two'"));
  const json::value list = json::parse(Get("/v1/models").body).at("data");
  ASSERT_EQ(list.as_array().size(), 2U);
  EXPECT_EQ(list.at(1).at("id"), "org/two");
  EXPECT_EQ(list.at(1).at("root"), "/models/org/two");
  EXPECT_EQ(list.at(1).at("max_model_len"), 4096);
  EXPECT_EQ(Post("/tokenize", R"({"prompt":"hi","model":"org/two"})").status, 200);
  std::string book = R"({"prompt":")";
  book.append(2 << 20, 'x').append(R"("})");
  EXPECT_EQ(Post("/tokenize", book).status, 400);
  EXPECT_EQ(Post("/detokenize", R"({"tokens":[300]})").status, 400);
}

TEST_F(ServerAppTest, ModelsAreLoadedAndUnloadedByHand) {
  Start({}, Model("one"), Model("two"));
  Load();
  EXPECT_EQ(json::parse(Post("/models/load", R"({"model":"two"})").body),
            json::parse(R"({"id":"two","state":"ready"})"));
  EXPECT_EQ(json::parse(Post("/models/unload", R"({"model":"two"})").body),
            json::parse(R"({"id":"two","state":"registered"})"));
  EXPECT_EQ(Post("/models/load", "{}").status, 400);
  EXPECT_EQ(Post("/models/load", R"({"model":"three"})").status, 404);
  EXPECT_EQ(Post("/models/unload", R"({"model":"one","timeout_seconds":-1})").status, 400);
}

TEST_F(ServerAppTest, AModelInUseIsNotUnloaded) {
  Start({}, Model("one", "step-ms", "50"));
  Load();
  HttpClient client(app_->port());
  client.Send(PostBytes("/v1/completions", R"({"prompt":"0123456789"})"));
  while (app_->num_calls() == 0) std::this_thread::sleep_for(milliseconds(1));
  const auto busy = Post("/models/unload", R"({"model":"one","timeout_seconds":0})");
  EXPECT_EQ(busy.status, 409);
  EXPECT_EQ(client.Read().status, 200);
}

TEST_F(ServerAppTest, WhatIsWrongWithAModelIsNotTheClientsFault) {
  Start({}, Model("good"), Model("bad", "load-error", "config.json: broken"));
  Load();
  const auto response = Post("/v1/completions", R"({"prompt":"hi","model":"bad"})");
  EXPECT_EQ(response.status, 500);
  EXPECT_THAT(response.body, HasSubstr("model 'bad' cannot be loaded: config.json: broken"));
  EXPECT_EQ(StateOf("bad"), "failed");
  EXPECT_EQ(Complete("good"), "hi");
}

TEST_F(ServerAppTest, RoutersFindWhatTheyAskFor) {
  StartAndLoad();
  const json::value model = json::parse(Get("/model_info").body);
  EXPECT_EQ(model.at("model_path"), "/models/fake");
  EXPECT_EQ(model.at("served_model_name"), "fake");
  EXPECT_EQ(model.at("is_generation"), true);
  const json::value server = json::parse(Get("/server_info").body);
  EXPECT_EQ(server.at("max_model_len"), 4096);
  EXPECT_EQ(json::parse(Get("/load").body), json::parse(R"({"server_load":0})"));
}

TEST_F(ServerAppTest, ABodySaysWhoseProtocolItIs) {
  StartAndLoad();
  const auto keys = [&](const char* body) {
    return json::parse(Post("/generate", body).body).as_object();
  };
  EXPECT_TRUE(keys(R"({"inputs":"hi"})").contains("generated_text"));
  EXPECT_TRUE(keys(R"({"text":"hi"})").contains("meta_info"));
  EXPECT_TRUE(keys(R"({"input_ids":[104]})").contains("meta_info"));
  // An error has the form of whoever was asked.
  EXPECT_TRUE(keys(R"({"inputs":5})").contains("error_type"));
  EXPECT_TRUE(keys(R"({"text":5})").at("error").is_object());
  EXPECT_TRUE(keys("{}").contains("error_type"));
}

TEST_F(ServerAppTest, AFlagSaysWhoseBodiesAreThatCouldBeSeverals) {
  ServerOptions options;
  options.api_dialect = "sglang";
  StartAndLoad(options);
  EXPECT_THAT(Post("/generate", "{}").body, HasSubstr("text is missing"));
  EXPECT_THAT(Post("/generate", R"({"inputs":"hi"})").body, HasSubstr("generated_text"));
  EXPECT_THAT(Post("/generate", R"({"inputs":"a","text":"b"})").body, HasSubstr("meta_info"));
}

TEST_F(ServerAppTest, AChatIsOpenAisUnlessItsModelOrTheFlagSaysOtherwise) {
  const std::string chat = R"("messages":[{"role":"user","content":"a"}],"stream":true})";
  const auto roles = [&](const std::string& model) {
    const std::string body = Post("/v1/chat/completions", "{" + model + chat).body;
    size_t count = 0;
    for (size_t at = 0; (at = body.find("\"role\"", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  StartAndLoad();
  EXPECT_EQ(roles(""), 1U);
  EXPECT_EQ(roles(R"("model":"dummy",)"), 1U);
  EXPECT_EQ(roles(R"("model":"tgi",)"), 3U);
  EXPECT_THAT(Post("/v1/chat/completions", R"({"model":"tgi"})").body, HasSubstr("error_type"));
  ServerOptions options;
  options.api_dialect = "tgi";
  StartAndLoad(options);
  EXPECT_EQ(roles(""), 3U);
}

TEST_F(ServerAppTest, ACallIsAbortedByItsId) {
  Start({}, Model("fake", "step-ms", "20"));
  Load();
  HttpClient named(app_->port()), other(app_->port());
  named.Send(PostBytes("/generate", R"({"text":"a","rid":"mine","sampling_params":
      {"ignore_eos":true,"max_new_tokens":4000}})"));
  other.Send(PostBytes("/v1/completions", R"({"prompt":"a","ignore_eos":true,"max_tokens":4000})",
                       "X-Request-Id: yours\r\n"));
  while (app_->num_calls() < 2) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(Post("/flush_cache", "").status, 400);
  EXPECT_EQ(Post("/abort_request", "{}").status, 400);
  EXPECT_EQ(Post("/abort_request", R"({"rid":"nobody"})").body, R"({"aborted":0})");
  EXPECT_EQ(Post("/abort_request", R"({"rid":"mine"})").body, R"({"aborted":1})");
  EXPECT_EQ(json::parse(named.Read().body).at("meta_info").at("finish_reason").at("type"), "abort");
  while (app_->num_calls() > 1) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(Post("/abort_request", R"({"abort_all":true})").body, R"({"aborted":1})");
  EXPECT_EQ(json::parse(other.Read().body).at("choices").at(0).at("finish_reason"), "abort");
  // The engine lets go of what was aborted within a step.
  int status = 400;
  for (int i = 0; i < 500 && status != 200; ++i) {
    status = Post("/flush_cache", "").status;
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(status, 200);
}

TEST_F(ServerAppTest, HealthMayBeAskedByGenerating) {
  Start({}, Model("fake"));
  EXPECT_EQ(Get("/health_generate").status, 503);
  Load();
  const auto well = Get("/health_generate");
  EXPECT_EQ(well.status, 200);
  EXPECT_EQ(well.body, "");
}

TEST_F(ServerAppTest, WhoeverLooksSeesWhatThereIs) {
  StartAndLoad();
  const auto index = Get("/");
  EXPECT_EQ(index.status, 200);
  EXPECT_EQ(index.Header("Vary"), "Accept");
  EXPECT_THAT(index.Header("Content-Type"), HasSubstr("text/plain"));
  EXPECT_THAT(index.body, HasSubstr("POST /v1/chat/completions\n"));
}

TEST_F(ServerAppTest, ABrowserGetsAPage) {
  ServerOptions options;
  options.router.api_keys = {"key"};
  Start(options, Model("fake"));  // not loaded: the page says so
  const auto page = Get("/", "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.Header("Content-Type"), "text/html; charset=utf-8");
  EXPECT_THAT(page.Header("Content-Security-Policy"), HasSubstr("default-src 'none'"));
  EXPECT_EQ(page.Header("X-Content-Type-Options"), "nosniff");
  EXPECT_THAT(page.body, HasSubstr("<title>Keel</title>"));
  const std::pair<const char*, const char*> files[] = {
      {"main.js", "text/javascript; charset=utf-8"},
      {"page.css", "text/css; charset=utf-8"},
      {"icon.svg", "image/svg+xml"}};
  for (const auto& [name, type] : files) {
    EXPECT_THAT(page.body, HasSubstr(std::string("\"page/") + name + "\""));
    EXPECT_EQ(Get(std::string("/page/") + name).Header("Content-Type"), type);
  }
  EXPECT_EQ(Get("/page/nothing.js").status, 404);
}

TEST_F(ServerAppTest, AFileOfThePageIsSentOnce) {
  StartAndLoad();
  const std::string ask = "GET /page/main.js HTTP/1.1\r\n";
  HttpClient client(app_->port());
  const auto first = client.Ask(ask + "\r\n");
  const std::string tag = first.Header("ETag");
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.Header("Cache-Control"), "no-cache");
  const auto again = client.Ask(ask + "If-None-Match: " + tag + "\r\n\r\n");
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.Header("ETag"), tag);
  EXPECT_EQ(again.body, "");
  // The connection goes on after an answer without a body.
  EXPECT_EQ(client.Ask(ask + "If-None-Match: \"other\"\r\n\r\n").body, first.body);
}

TEST_F(ServerAppTest, ThePageHasEveryEndpoint) {
  StartAndLoad();
  std::ifstream file("docs/server.md");
  std::stringstream page;
  page << file.rdbuf();
  for (const std::string& route : app_->router().List()) {
    EXPECT_THAT(page.str(), HasSubstr("| `" + route + "` |"));
  }
}

TEST_F(ServerAppTest, FieldsThatNobodyReadsAreSaid) {
  StartAndLoad();
  constexpr char kWords[] = "fields that are not known were ignored: foo";
  for (const char* path :
       {"/v1/completions", "/v1/chat/completions", "/v1/responses", "/v1/messages", "/generate"}) {
    const auto response = Post(path, R"({"prompt":"hi","input":"hi","text":"hi","max_tokens":4,)"
                                     R"("messages":[{"role":"user","content":"hi"}],"foo":1})");
    if (response.status != 200) continue;  // another protocol's field is refused by name
    EXPECT_THAT(response.Header("X-Keel-Warning"), HasSubstr("foo")) << path;
    EXPECT_THAT(std::string(json::parse(response.body).at("warnings").at(0).as_string()),
                HasSubstr("foo"))
        << path;
  }
  for (const char* path : {"/tokenize", "/detokenize"}) {
    const auto tokens = Post(path, R"({"prompt":"hi","tokens":[97],"foo":1})");
    EXPECT_THAT(tokens.Header("X-Keel-Warning"), HasSubstr("foo")) << path;
    EXPECT_TRUE(json::parse(tokens.body).as_object().contains("warnings")) << path;
  }
  const auto whole = Post("/v1/completions", R"({"prompt":"hi","foo":1})");
  EXPECT_EQ(whole.Header("X-Keel-Warning"), kWords);
  EXPECT_EQ(json::parse(whole.body).at("warnings").at(0), kWords);
  const auto stream = Post("/v1/completions", R"({"prompt":"hi","foo":1,"stream":true})");
  EXPECT_EQ(stream.Header("X-Keel-Warning"), kWords);
  const auto tgi = Post("/generate", R"({"inputs":"hi","parameters":{"foo":1}})");
  EXPECT_THAT(tgi.Header("X-Keel-Warning"), HasSubstr("parameters.foo"));
  EXPECT_EQ(Post("/v1/completions", R"({"prompt":"hi"})").Header("X-Keel-Warning"), "");
}

TEST_F(ServerAppTest, AStrictServerRefusesThem) {
  ServerOptions options;
  options.style.strict = true;
  StartAndLoad(options);
  const auto refused = Post("/v1/completions", R"({"prompt":"hi","foo":1})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(json::parse(refused.body).at("error").at("param"), "foo");
  EXPECT_THAT(refused.body, HasSubstr("there is no field 'foo', and --strict takes only"));
  EXPECT_EQ(Post("/v1/completions", R"({"prompt":"hi","user":"x"})").status, 200);
  EXPECT_EQ(Post("/tokenize", R"({"prompt":"hi","foo":1})").status, 400);
}

TEST_F(ServerAppTest, AResponseIsKeptUntilItIsDeleted) {
  StartAndLoad();
  const auto made = Post("/v1/responses", R"({"input":"hi"})");
  ASSERT_EQ(made.status, 200);
  const std::string path =
      "/v1/responses/" + std::string(json::parse(made.body).at("id").as_string());
  EXPECT_EQ(Get(path).body, made.body);
  const auto remove = [&] {
    return HttpClient(app_->port()).Ask("DELETE " + path + " HTTP/1.1\r\n\r\n");
  };
  EXPECT_EQ(json::parse(remove().body).at("deleted"), true);
  EXPECT_EQ(remove().status, 404);
  EXPECT_EQ(Get(path).status, 404);
  EXPECT_THAT(Get("/v1/responses/resp_none").body, HasSubstr("there is no response 'resp_none'"));
}

TEST_F(ServerAppTest, AnEndingServerSaysSoAndServesOn) {
  StartAndLoad();
  app_->BeginEnd();
  for (const char* path : {"/health", "/ready"}) {
    EXPECT_EQ(Get(path).status, 503);
    EXPECT_THAT(Get(path).body, HasSubstr("the server is ending"));
  }
  EXPECT_EQ(Get("/live").status, 200);
  EXPECT_EQ(Complete("fake"), "hi");
}

// Past the time to drain, clients are told.
TEST_F(ServerAppTest, WhatIsNotDoneInTimeEndsWithAnError) {
  Start({}, Model("fake", "step-ms", "50"));
  Load();
  HttpClient stream(app_->port()), whole(app_->port());
  stream.Send(PostBytes("/v1/completions",
                        R"({"prompt":"a","stream":true,"ignore_eos":true,"max_tokens":4000})"));
  whole.Send(PostBytes("/v1/completions", R"({"prompt":"a","ignore_eos":true,"max_tokens":4000})"));
  while (app_->num_calls() < 2) std::this_thread::sleep_for(milliseconds(1));
  auto drained = std::async(std::launch::async, [&] { app_->Drain(milliseconds(100)); });
  const auto refused = whole.Read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.body, HasSubstr("the server is ending"));
  const auto events = ParseEvents(stream.Read().body);
  ASSERT_GE(events.size(), 2U);
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_THAT(std::string(events[events.size() - 2].at("error").at("message").as_string()),
              HasSubstr("the server is ending"));
  drained.wait();
}

}  // namespace
}  // namespace keel::apps
