// Damaged requests to every endpoint of the whole server, over HTTP, on the fake engine: whatever
// comes is answered by an HTTP status or the end of the connection, and the server goes on.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/server/server_app.h"
#include "apps/testing/http_client.h"
#include "apps/testing/mutate.h"
#include "gtest/gtest.h"

namespace keel::apps {

int g_seconds = 2;  // the first argument of a campaign

namespace {

constexpr int kThreads = 2;

struct Seed {
  const char* path;
  const char* body;
};
constexpr Seed kPosts[] = {
    {"/v1/chat/completions",
     R"({"model":"fake","messages":[{"role":"system","content":"s"},{"role":"user","content":
        [{"type":"text","text":"hi"}]}],"tools":[{"type":"function","function":{"name":"f",
        "parameters":{"type":"object","properties":{"a":{"type":"string"}}}}}],"tool_choice":"auto",
        "stream":true,"stream_options":{"include_usage":true},"logprobs":true,"top_logprobs":2,
        "n":2,"stop":["x"],"logit_bias":{"5":-1.5},"thinking_token_budget":5,
        "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}}})"},
    {"/v1/completions",
     R"({"prompt":["ab",[97,98]],"max_tokens":4,"echo":true,"logprobs":1,"seed":7,"top_k":5,
        "structured_outputs":{"choice":["a","b"]},"bad_words":["c"],"allowed_token_ids":[97]})"},
    {"/v1/responses",
     R"({"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},
        {"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
        {"type":"function_call_output","call_id":"c","output":"1"}],"instructions":"i",
        "previous_response_id":"resp_0","store":true,"stream":true,"text":{"format":{"type":"text"}}})"},
    {"/v1/messages",
     R"({"max_tokens":5,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":"hi"},
        {"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"1"}]}],
        "thinking":{"type":"enabled","budget_tokens":1024},"stream":true,
        "tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"}})"},
    {"/v1/messages/count_tokens", R"({"messages":[{"role":"user","content":"hi"}]})"},
    {"/generate", R"({"inputs":"hi","parameters":{"max_new_tokens":4,"details":true,"best_of":2,
        "grammar":{"type":"regex","value":"a+"},"stop":["x"],"top_n_tokens":2,"truncate":3}})"},
    {"/generate", R"({"text":["hi","ho"],"sampling_params":[{"max_new_tokens":3},{"n":2}],
        "rid":["a","b"],"return_logprob":true,"top_logprobs_num":1,"stream":true})"},
    {"/generate_stream", R"({"inputs":"hi","parameters":{"do_sample":true,"temperature":0.5}})"},
    {"/", R"({"inputs":"hi","stream":true})"},
    {"/v1/embeddings", R"({"input":["a",[97,98]],"encoding_format":"base64","dimensions":4,
        "truncate_prompt_tokens":-1})"},
    {"/pooling", R"({"input":"a","task":"embed"})"},
    {"/classify", R"({"input":["a","b"]})"},
    {"/score", R"({"text_1":"a","text_2":["b","c"]})"},
    {"/rerank", R"({"query":"a","documents":["b",{"text":"c"}],"top_n":1})"},
    {"/tokenize", R"({"prompt":"hi","return_token_strs":true})"},
    {"/detokenize", R"({"tokens":[97,98]})"},
    {"/abort_request", R"({"rid":"a"})"},
    {"/v1/batches",
     R"({"input_file_id":"file-0","endpoint":"/v1/completions","completion_window":"24h",
        "metadata":{"a":"b"},"output_expires_after":{"anchor":"created_at","seconds":3600}})"},
};
constexpr const char* kGets[] = {"/v1/models",
                                 "/v1/models/fake",
                                 "/info",
                                 "/metrics",
                                 "/health",
                                 "/v1/files?limit=2&after=file-0&order=asc",
                                 "/v1/batches?limit=1",
                                 "/v1/files/file-0/content",
                                 "/v1/responses/resp_0",
                                 "/",
                                 "/load"};

std::string Post(const std::string& path, const std::string& type, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Type: " + type +
         "\r\nOrigin: http://b\r\nX-Request-Id: r\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string Form() {
  return "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
         "--b\r\nContent-Disposition: form-data; name=\"expires_after[seconds]\"\r\n\r\n3600\r\n"
         "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n"
         "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{}}\r\n"
         "--b--\r\n";
}

struct Damage {
  std::string bytes;
  bool is_framed = false;  // the head is whole, and says how long the body is
};

// A request with damage in its head, its body, or both.
Damage Damaged(std::mt19937& random) {
  const size_t which = random() % (std::size(kPosts) + 3);
  if (which == std::size(kPosts)) {
    const std::string path = kGets[random() % std::size(kGets)];
    return {Mutate("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n", random)};
  }
  if (which > std::size(kPosts)) {
    const std::string type = "multipart/form-data; boundary=b", form = Mutate(Form(), random);
    if (random() % 2 == 0) return {Post("/v1/files", type, form), true};
    char size[20];
    std::snprintf(size, sizeof(size), "%zx", form.size());
    const std::string head = "POST /v1/files HTTP/1.1\r\nContent-Type: " + type +
                             "\r\nTransfer-Encoding: chunked\r\n\r\n";
    return {Mutate(head + size + "\r\n" + form + "\r\n0\r\n\r\n", random)};
  }
  const auto& [path, body] = kPosts[which];
  if (random() % 4 == 0) return {Mutate(Post(path, "application/json", body), random)};
  return {Post(path, "application/json", random() % 8 == 0 ? body : Mutate(body, random)), true};
}

// Sends damaged requests until `end`; counts the statuses, 0: there was no answer.
void Attack(uint16_t port, uint32_t seed, std::chrono::steady_clock::time_point end,
            std::map<int, int64_t>* statuses) {
  std::mt19937 random(seed);
  while (std::chrono::steady_clock::now() < end) {
    HttpClient client(port);
    for (bool goes_on = true; goes_on;) {
      const Damage damage = Damaged(random);
      client.Send(damage.bytes);
      if (!damage.is_framed) client.EndSending();  // or the server waits for what was cut off
      const bool leaves = random() % 32 == 0;      // without its answer
      const HttpClient::Response response = leaves ? HttpClient::Response() : client.Read();
      ++(*statuses)[response.status];
      goes_on = damage.is_framed && response.keep_alive && std::chrono::steady_clock::now() < end;
    }
  }
}

TEST(HttpFuzzTest, TheServerGoesOn) {
  const std::string folder = ::testing::TempDir() + "/http_fuzz";
  ServerOptions options;
  options.http.port = 0;
  options.http.body_timeout = options.http.header_timeout = std::chrono::milliseconds(500);
  options.http.max_body_bytes = 1 << 20;
  options.access_log = false;
  options.router.allowed_origins = {"*"};
  options.router.allow_credentials = true;
  options.offline.files_dir = folder;
  options.offline.max_files_bytes = 8 << 20;
  auto models = ServedModels::Create(/*budget_bytes=*/0);
  ASSERT_TRUE(models.ok());
  ASSERT_TRUE((*models)->Add({.names = {"fake"}, .root = "/models/fake", .options = {}}).ok());
  auto app = ServerApp::Start(options, *std::move(models));
  ASSERT_TRUE(app.ok()) << app.status().message();
  ASSERT_TRUE((*app)->models().Load("fake").ok());
  (*app)->SetReady();

  const uint32_t seed = g_seconds > 2 ? std::random_device()() : 20261201;
  std::printf("seed %u\n", seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(g_seconds);
  std::vector<std::map<int, int64_t>> counts(kThreads);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kThreads; ++i)
    threads.emplace_back(Attack, (*app)->port(), seed + i, end, &counts[i]);
  for (std::thread& thread : threads) thread.join();

  std::map<int, int64_t> all;
  int64_t requests = 0;
  for (const auto& statuses : counts)
    for (const auto& [status, count] : statuses) all[status] += count, requests += count;
  for (const auto& [status, count] : all)
    std::printf("status %d: %lld\n", status, static_cast<long long>(count));
  std::printf("%lld requests\n", static_cast<long long>(requests));
  EXPECT_EQ(all[500], 0);
  EXPECT_GT(all[200], 0);
  EXPECT_GT(all[400], 0);
  HttpClient client((*app)->port());
  EXPECT_EQ(client.Ask("GET /health HTTP/1.1\r\n\r\n").status, 200);
}

}  // namespace
}  // namespace keel::apps

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc > 1) keel::apps::g_seconds = std::atoi(argv[1]);
  return RUN_ALL_TESTS();
}
