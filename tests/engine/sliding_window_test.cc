// Models whose layers see a window: blocks behind it go, and the text is the same.
#include <filesystem>

#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

namespace fs = std::filesystem;

constexpr int kVocab = 112;  // of the tiny checkpoints with a window
constexpr char kTokenizer[] = "plugins/llama/testdata/default";

// The checkpoint with the tiny llama's tokenizer, as it brings none.
std::string Servable(const std::string& family) {
  const fs::path dir = fs::path(::testing::TempDir()) / ("servable_" + family);
  fs::create_directories(dir);
  const fs::path checkpoint = fs::path("plugins") / family / "testdata/default";
  const auto link = [&](const fs::path& file) {
    fs::remove(dir / file.filename());
    fs::create_symlink(fs::absolute(file), dir / file.filename());
  };
  for (const char* name : {"config.json", "generation_config.json", "model.safetensors"})
    link(checkpoint / name);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    link(fs::path(kTokenizer) / name);
  return dir.string();
}

struct Windowed {
  const char* family;
  const char* kv_cache_bytes;  // one sequence of full length fits beside a part of another
};

class SlidingWindowTest : public ::testing::TestWithParam<Windowed> {};

TEST_P(SlidingWindowTest, LongTextsInFewBlocksAreWhatTheyAreInMany) {
  const std::string model = Servable(GetParam().family);
  const std::unique_ptr<Engine> roomy = StartEngine({{"model", model}});
  ASSERT_NE(roomy, nullptr);
  const std::unique_ptr<Engine> tight =
      StartEngine({{"model", model},
                   {"kv-cache-memory-bytes", GetParam().kv_cache_bytes},
                   {"max-num-batched-tokens", "48"},
                   {"block-size", "8"}});
  ASSERT_NE(tight, nullptr);
  std::vector<Asked> asked;
  Client client(*tight);
  for (int i = 0; i < 8; ++i) {
    // Prompts that begin alike, shorter and longer than the window.
    asked.push_back(Asked(Prompt(i / 2, 10 + 45 * i, kVocab), 150));
    asked.back().Int("logprobs", 0);
    if (i % 4 == 3) asked.back().Draws(i).Int("n", 2);
    ASSERT_TRUE(client.Start(i, asked.back()).ok());
  }
  std::map<int, Answer> answers = client.Wait();
  for (int i = 0; i < 8; ++i) {
    const Answer alone = Ask(*roomy, asked[i]);
    for (const auto& [index, text] : alone.texts) {
      EXPECT_EQ(text.tokens.size(), 150u);
      EXPECT_EQ(text.tokens, answers[i][index].tokens) << i << " " << index;
    }
  }
  EXPECT_GT(Metric(*tight, "vllm:num_preemptions_total"), 0);
  EXPECT_TRUE(ComesToRest(*tight));
}

TEST_P(SlidingWindowTest, ACachedPrefixGivesTheSameText) {
  const std::unique_ptr<Engine> engine = StartEngine({{"model", Servable(GetParam().family)}});
  ASSERT_NE(engine, nullptr);
  const Asked request(Prompt(3, 300, kVocab), 40);
  const Answer first = Ask(*engine, request), second = Ask(*engine, request);
  EXPECT_EQ(first.cached, 0u);
  EXPECT_GT(second.cached, 200u);
  EXPECT_EQ(first[0].tokens, second[0].tokens);
}

INSTANTIATE_TEST_SUITE_P(Models, SlidingWindowTest,
                         ::testing::Values(Windowed{"mistral", "200000"},
                                           Windowed{"qwen2", "600000"}),
                         [](const auto& info) { return std::string(info.param.family); });

}  // namespace
}  // namespace keel
