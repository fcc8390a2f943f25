// Plugins that bring attention and kernels of their own (sdk/examples), served by the engine: what they compute is what
// the host computes, and all that the host does with blocks goes on working over a cache of the plugin's own.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

using ::testing::HasSubstr;

constexpr char kInt8Kv[] = "sdk/examples/int8_kv/libint8_kv.so";
constexpr char kFusedMlp[] = "sdk/examples/fused_mlp/libfused_mlp.so";

Flags With(Flags flags, const Flags& more) {
  flags.insert(more.begin(), more.end());
  return flags;
}

Flags Int8Kv(const Flags& more = {}) {
  return With({{"plugin-path", kInt8Kv}, {"attention-implementation", "text=org.example.int8_kv"}},
              more);
}

// A checkpoint directory like the tiny llama's, with `from` in its config.json replaced by `to`.
std::string Checkpoint(const std::string& name, const std::string& from, const std::string& to) {
  const std::filesystem::path dir = std::filesystem::path(::testing::TempDir()) / name;
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  for (const auto& entry : std::filesystem::directory_iterator(kTinyLlama))
    std::filesystem::copy_file(entry.path(), dir / entry.path().filename());
  std::stringstream text;
  text << std::ifstream(dir / "config.json").rdbuf();
  std::string config = text.str();
  for (size_t at = 0; (at = config.find(from, at)) != std::string::npos; at += to.size())
    config.replace(at, from.size(), to);
  std::filesystem::remove(dir / "config.json");
  std::ofstream(dir / "config.json") << config;
  return dir;
}

std::vector<Asked> Requests() {
  std::vector<Asked> out;
  for (int i = 0; i < 6; ++i)
    out.push_back(
        Asked(Prompt(i / 2, 5 + 30 * i), 24).Int("prompt_logprobs", 0).Int("logprobs", 0));
  return out;
}

// The largest difference between the log-probabilities of the prompts' tokens.
float Difference(const Answer& a, const Answer& b) {
  float largest = 0;
  EXPECT_EQ(a[0].prompt_logprobs.size(), b[0].prompt_logprobs.size());
  for (size_t i = 0; i < std::min(a[0].prompt_logprobs.size(), b[0].prompt_logprobs.size()); ++i)
    largest = std::max(largest, std::fabs(a[0].prompt_logprobs[i] - b[0].prompt_logprobs[i]));
  return largest;
}

// A code of 8 bits is off by at most 1/254 of the largest number of its row. What that makes of the tiny llama's
// log-probabilities, which reach to -20, is 0.03 to 0.21 for these prompts (transformers with its keys and values rounded
// likewise); the host's own kernels are off by less than 1e-3 of each other.
constexpr float kInt8Error = 0.3f;

TEST(Int8KvTest, WhatItComputesIsTheHostsWithinTheErrorOfEightBits) {
  const auto host = StartEngine(), own = StartEngine(Int8Kv());
  ASSERT_TRUE(host != nullptr && own != nullptr);
  float largest = 0;
  for (const Asked& request : Requests()) {
    const Answer expected = Ask(*host, request), answer = Ask(*own, request);
    largest = std::max(largest, Difference(answer, expected));
    // The same text, as far as the host's own lead is larger than the error.
    for (size_t i = 0; i < expected[0].tokens.size(); ++i) {
      if (answer[0].tokens[i] == expected[0].tokens[i]) continue;
      EXPECT_LT(expected[0].logprobs[i], std::log(0.5f) + kInt8Error) << "token " << i;
      break;
    }
  }
  EXPECT_LT(largest, kInt8Error);
  EXPECT_GT(largest, 1e-4f);  // it is not the host's cache
}

TEST(Int8KvTest, BlocksAreSharedForkedTakenAndPreemptedAsTheHostsAre) {
  // A block of the tiny llama takes 8192 bytes as fp32 rows; codes and scales take 2560.
  const auto roomy = StartEngine(Int8Kv());
  const auto tight = StartEngine(Int8Kv(
      {{"kv-cache-memory-bytes", std::to_string(24 * 2560)}, {"max-num-batched-tokens", "13"}}));
  ASSERT_TRUE(roomy != nullptr && tight != nullptr);
  std::vector<Asked> requests = Requests();
  requests.push_back(Asked(Prompt(9, 40), 24).Draws(5).Int("n", 3));
  requests.push_back(Asked(Prompt(8, 30), 12).Int("beam_width", 2).Int("n", 2));
  std::vector<Answer> alone;
  for (const Asked& request : requests) alone.push_back(Ask(*roomy, request));
  Client client(*tight);
  for (size_t i = 0; i < requests.size(); ++i)
    ASSERT_TRUE(client.Start(static_cast<int>(i), requests[i]).ok());
  std::map<int, Answer> together = client.Wait();
  for (size_t i = 0; i < requests.size(); ++i) {
    const Answer& answer = together[static_cast<int>(i)];
    ASSERT_EQ(answer.texts.size(), alone[i].texts.size()) << i;
    for (const auto& [index, text] : alone[i].texts)
      EXPECT_EQ(answer[index].tokens, text.tokens) << i << ", " << index;
  }
  EXPECT_GT(Metric(*tight, "vllm:num_preemptions_total"), 0);
  EXPECT_TRUE(ComesToRest(*tight));

  const Asked again(Prompt(3, 100), 24);
  const Answer first = Ask(*roomy, again), second = Ask(*roomy, again);
  EXPECT_EQ(first.cached, 0u);
  EXPECT_EQ(second.cached, 96u);
  EXPECT_EQ(second[0].tokens, first[0].tokens);
}

TEST(Int8KvTest, RanksHaveInstancesOfTheirOwnAndDeterministicRunsTakeIt) {
  const auto one = StartEngine(Int8Kv()),
             two = StartEngine(Int8Kv({{"tensor-parallel-size", "2"}}));
  const auto deterministic = StartEngine(Int8Kv({{"deterministic", "true"}}));
  ASSERT_TRUE(one != nullptr && two != nullptr && deterministic != nullptr);
  for (const Asked& request : Requests()) {
    const Answer expected = Ask(*one, request);
    EXPECT_EQ(Ask(*two, request)[0].tokens, expected[0].tokens);
    EXPECT_EQ(Ask(*deterministic, request)[0].tokens, expected[0].tokens);
  }
}

TEST(Int8KvTest, ACheckpointAsksForItByName) {
  const std::string model =
      Checkpoint("int8_llama", "\"model_type\"",
                 "\"_attn_implementation\": \"org.example.int8_kv\", \"model_type\"");
  const auto by_config = StartEngine({{"model", model}, {"plugin-path", kInt8Kv}});
  const auto by_flag = StartEngine(Int8Kv());
  ASSERT_TRUE(by_config != nullptr && by_flag != nullptr);
  const Asked request = Requests()[3];
  EXPECT_EQ(Difference(Ask(*by_config, request), Ask(*by_flag, request)), 0);
}

TEST(Int8KvTest, WhatItDoesNotServeIsRefusedInItsWords) {
  Options options;
  ASSERT_TRUE(options.Set("model", kTinyLlama).ok());
  for (const auto& [flag, value] : Int8Kv({{"dtype", "float16"}}))
    ASSERT_TRUE(options.Set(flag.c_str(), value).ok());
  EXPECT_THAT(std::string(Engine::Create(options).status().message()),
              HasSubstr("int8_kv: float32 and bfloat16 alone"));
}

Flags Fused(const std::string& model, const Flags& more = {}) {
  return With({{"model", model}, {"plugin-path", kFusedMlp}}, more);
}

TEST(FusedMlpTest, TheKernelEqualsTheOpsThatItReplacesAloneInChunksAndBesideOthers) {
  const std::string model = Checkpoint("fused_llama", "LlamaForCausalLM", "FusedLlamaForCausalLM");
  const auto host = StartEngine(), fused = StartEngine(Fused(model));
  const auto chunked = StartEngine(Fused(model, {{"max-num-batched-tokens", "7"}}));
  const auto two = StartEngine(Fused(model, {{"tensor-parallel-size", "2"}}));
  ASSERT_TRUE(host != nullptr && fused != nullptr && chunked != nullptr && two != nullptr);
  const std::vector<Asked> requests = Requests();
  Client client(*chunked);
  for (size_t i = 0; i < requests.size(); ++i)
    ASSERT_TRUE(client.Start(static_cast<int>(i), requests[i]).ok());
  std::map<int, Answer> together = client.Wait();
  for (size_t i = 0; i < requests.size(); ++i) {
    const Answer expected = Ask(*host, requests[i]);
    for (const Answer& answer :
         {Ask(*fused, requests[i]), together[static_cast<int>(i)], Ask(*two, requests[i])}) {
      EXPECT_LT(Difference(answer, expected), 1e-3f);
      EXPECT_EQ(answer[0].tokens, expected[0].tokens);
    }
  }
}

TEST(FusedMlpTest, InADeterministicRunItGivesTheSameBitsInAnyBatch) {
  const std::string model = Checkpoint("fused_exact", "LlamaForCausalLM", "FusedLlamaForCausalLM");
  const auto alone = StartEngine(Fused(model, {{"deterministic", "true"}}));
  const auto beside =
      StartEngine(Fused(model, {{"deterministic", "true"}, {"max-num-batched-tokens", "11"}}));
  ASSERT_TRUE(alone != nullptr && beside != nullptr);
  const std::vector<Asked> requests = Requests();
  Client client(*beside);
  for (size_t i = 0; i < requests.size(); ++i)
    ASSERT_TRUE(client.Start(static_cast<int>(i), requests[i]).ok());
  std::map<int, Answer> together = client.Wait();
  for (size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(Difference(together[static_cast<int>(i)], Ask(*alone, requests[i])), 0) << i;
}

TEST(FusedMlpTest, EagerAndShadowRunsCallTheKernelToo) {
  const std::string model = Checkpoint("fused_shadow", "LlamaForCausalLM", "FusedLlamaForCausalLM");
  const auto graph = StartEngine(Fused(model)),
             shadow = StartEngine(Fused(model, {{"exec", "shadow"}}));
  ASSERT_TRUE(graph != nullptr && shadow != nullptr);
  const Asked request = Requests()[2];
  EXPECT_EQ(Ask(*shadow, request)[0].tokens, Ask(*graph, request)[0].tokens);
}

}  // namespace
}  // namespace keel
