// Models with recurrent layers, alone (Mamba, Mamba-2), beside attention and by kernels of their plugin's own (RWKV):
// their texts are the same however they are scheduled.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

struct Recurrent {
  const char* folder;  // of the family
  const char* architecture;
  const char* tight_bytes;  // a cache of so many bytes has states for three, or keys for few
  bool preempts;            // then, as keys grow
  const char* plugin = "";  // of a family that is not in the tree
};

class RecurrentTest : public ::testing::TestWithParam<Recurrent> {
 protected:
  static std::string Checkpoint() { return std::string(GetParam().folder) + "/testdata/default"; }
  static Flags Model() {
    Flags flags = {{"model", Checkpoint()}};
    // Otherwise a draw near a tie may fall another way in a step of another shape. A plugin's own
    // kernels make no such promise.
    if (*GetParam().plugin == '\0') {
      flags["deterministic"] = "true";
    } else {
      flags["plugin-path"] = GetParam().plugin;
    }
    return flags;
  }
  static std::unique_ptr<Engine> Roomy() { return StartEngine(Model()); }
  static std::unique_ptr<Engine> Tight(const char* tokens_a_step) {
    Flags flags = Model();
    flags["kv-cache-memory-bytes"] = GetParam().tight_bytes;
    flags["max-num-batched-tokens"] = tokens_a_step;
    return StartEngine(flags);
  }
};

std::vector<Asked> Requests() {
  std::vector<Asked> out;
  for (int i = 0; i < 8; ++i) {
    out.push_back(Asked(Prompt(i / 2, 3 + 40 * i), 60));  // some begin alike
    if (i % 3 == 1) out.back().Draws(i).Int("n", 2);
    if (i % 3 == 2) out.back().Int("prompt_logprobs", 0);
  }
  return out;
}

void ExpectTheSame(const Answer& answer, const Answer& expected) {
  ASSERT_EQ(answer.texts.size(), expected.texts.size());
  for (const auto& [index, text] : expected.texts) {
    EXPECT_EQ(text.tokens.size(), 60u);
    EXPECT_EQ(answer[index].tokens, text.tokens) << index;
  }
}

TEST_P(RecurrentTest, TextsInChunksBesideOthersWithFewStatesAreWhatTheyAreAlone) {
  const std::unique_ptr<Engine> roomy = Roomy(), tight = Tight("11");
  ASSERT_TRUE(roomy != nullptr && tight != nullptr);
  const std::vector<Asked> requests = Requests();
  Client client(*tight);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(client.Start(i, requests[i]).ok());
  std::map<int, Answer> answers = client.Wait();
  for (int i = 0; i < 8; ++i) {
    SCOPED_TRACE(i);
    ExpectTheSame(answers[i], Ask(*roomy, requests[i]));
  }
  EXPECT_EQ(Metric(*tight, "vllm:num_preemptions_total") > 0, GetParam().preempts);
  EXPECT_TRUE(ComesToRest(*tight));
}

TEST_P(RecurrentTest, NothingIsTakenFromAPrefixWhoseStateIsGone) {
  const std::unique_ptr<Engine> engine = Roomy();
  ASSERT_NE(engine, nullptr);
  const Asked request(Prompt(1, 200), 60);
  const Answer first = Ask(*engine, request), second = Ask(*engine, request);
  EXPECT_EQ(second.cached, 0u);
  ExpectTheSame(second, first);
}

TEST_P(RecurrentTest, AfterAPauseTheStateIsComputedAgain) {
  const std::unique_ptr<Engine> engine = Roomy();
  ASSERT_NE(engine, nullptr);
  const Asked request(Prompt(2, 50), 60);
  const Answer expected = Ask(*engine, request);
  Client client(*engine);
  ASSERT_TRUE(client
                  .Start(0, request,
                         [&, outputs = 0](const Output& output) mutable {
                           if (++outputs != 10) return;
                           (void)engine->Pause(output.request());
                           (void)engine->Resume(output.request());
                         })
                  .ok());
  ExpectTheSame(client.Wait()[0], expected);
}

TEST_P(RecurrentTest, BeamsForkTheirStates) {
  const std::unique_ptr<Engine> roomy = Roomy(), tight = Tight("7");
  ASSERT_TRUE(roomy != nullptr && tight != nullptr);
  const Asked request = Asked(Prompt(4, 30), 20).Int("beam_width", 2).Int("n", 2);
  const Answer one = Ask(*roomy, request), other = Ask(*tight, request);
  ASSERT_EQ(one.texts.size(), 2u);
  EXPECT_NE(one[0].tokens, one[1].tokens);
  for (const uint32_t i : {0u, 1u}) EXPECT_EQ(one[i].tokens, other[i].tokens);
}

TEST_P(RecurrentTest, GuessesThatCannotBeTakenBackAreRefused) {
  Options options;
  for (const auto& [flag, value] : Model()) ASSERT_TRUE(options.Set(flag.c_str(), value).ok());
  ASSERT_TRUE(options.Set("spec-method", "ngram").ok());
  ASSERT_TRUE(options.Set("spec-tokens", "3").ok());
  EXPECT_THAT(std::string(Engine::Create(options).status().message()),
              ::testing::HasSubstr(std::string(GetParam().architecture) + " has recurrent layers"));
}

INSTANTIATE_TEST_SUITE_P(
    Models, RecurrentTest,
    ::testing::Values(Recurrent{"plugins/mamba2", "Mamba2ForCausalLM", "75000", false},
                      Recurrent{"plugins/bamba", "BambaForCausalLM", "200000", true},
                      Recurrent{"plugins/mamba", "MambaForCausalLM", "31000", false},
                      Recurrent{"plugins/qwen3_next", "Qwen3NextForCausalLM", "320000", true},
                      Recurrent{"plugins/recurrent_gemma", "RecurrentGemmaForCausalLM", "80000",
                                true},
                      Recurrent{"sdk/examples/rwkv", "RwkvForCausalLM", "6000", false,
                                "sdk/examples/rwkv/librwkv.so"}),
    [](const auto& info) { return std::string(info.param.architecture); });

}  // namespace
}  // namespace keel
