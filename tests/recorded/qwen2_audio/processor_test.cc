// Arguments: the plugin's library and its directory. Qwen2AudioProcessor through the ABI; expected
// features are those of transformers' WhisperFeatureExtractor(feature_size=16).
#include <cmath>
#include <cstdio>
#include <numbers>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/recorded/open_processor.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string g_plugin, g_dir;

keel_media Audio(int64_t samples, double rate = 16000) {
  return TestMedia::Sizes(KEEL_MODALITY_AUDIO, 0, 0, samples, rate);
}

// A tone and a sweep.
std::vector<float> Sound(int64_t samples) {
  std::vector<float> out;
  for (int64_t i = 0; i < samples; ++i) {
    const double t = static_cast<double>(i) / 16000, turn = 2 * std::numbers::pi;
    out.push_back(
        static_cast<float>(0.3 * std::sin(turn * 440 * t) + 0.1 * std::sin(turn * 3000 * t * t)));
  }
  return out;
}

class Qwen2AudioProcessorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    KEEL_ASSERT_OK_AND_ASSIGN(
        processor_, OpenProcessor(g_plugin, "Qwen2AudioProcessor", g_dir, {{"<|AUDIO|>", 15}}));
  }
  std::unique_ptr<ProcessorUnderTest> processor_;
};

TEST_F(Qwen2AudioProcessorTest, CountsTokensOfSound) {
  struct Case {
    int64_t samples, frames, tokens;
  };
  // The convolutions halve the frames, the pooling halves them again.
  for (const Case& c : {Case{16000, 100, 25}, Case{16001, 101, 25}, Case{16480, 103, 26},
                        Case{480000, 3000, 750}, Case{960000, 3000, 750}}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const keel_media_count count, processor_->Count(Audio(c.samples)));
    EXPECT_EQ(count.patches, c.frames) << c.samples;
    EXPECT_EQ(count.tokens, c.tokens) << c.samples;
    EXPECT_EQ(count.features, c.tokens);
  }
  EXPECT_THAT(processor_->Count(Audio(16000, 44100)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected 16000")));
}

TEST_F(Qwen2AudioProcessorTest, NamesItsTokensAndReplacesThem) {
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered tokens, processor_->Tokens());
  EXPECT_EQ(tokens.texts["audio_token"], "<|AUDIO|>");
  EXPECT_THAT(tokens.ints["audio_token_id"], ElementsAre(15));
  KEEL_ASSERT_OK_AND_ASSIGN(const keel_media_count count, processor_->Count(Audio(1600)));
  EXPECT_THAT(processor_->Replacement(count, 0), testing::IsOkAndHolds("<|AUDIO|><|AUDIO|>"));
}

TEST_F(Qwen2AudioProcessorTest, LeavesTokenizingAndPositionsToTheHost) {
  EXPECT_EQ(processor_->functions().expand, nullptr);
  EXPECT_EQ(processor_->functions().positions, nullptr);
  EXPECT_EQ(processor_->functions().chat, nullptr);
}

TEST_F(Qwen2AudioProcessorTest, MakesWhispersFeatures) {
  const TestMedia second = TestMedia::Audio(Sound(16000), 16000);
  const TestMedia tenth = TestMedia::Audio(Sound(1600), 16000);
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered inputs,
                            processor_->Preprocess({second.media(), tenth.media()}));
  const Delivered::Tensor& features = inputs.tensors["input_features"];
  ASSERT_THAT(features.dims, ElementsAre(2, 16, 3000));
  const std::vector<float> values = features.As<float>();
  struct Case {
    size_t bin, frame;
    float value;
  };
  for (const Case& c :
       {Case{0, 0, 0.923423f}, Case{3, 0, 0.813241f}, Case{3, 10, 0.877658f},
        Case{7, 50, -0.791544f}, Case{15, 99, 0.658395f}, Case{10, 99, -0.707909f},
        Case{2, 100, 1.053772f}, Case{5, 101, -0.143831f}, Case{0, 2999, -0.791544f}}) {
    EXPECT_NEAR(values[c.bin * 3000 + c.frame], c.value, 1e-4) << c.bin << ", " << c.frame;
  }
  // Sound and padding of each clip apart; features of sound only.
  EXPECT_THAT(inputs.tensors["segments"].As<int32_t>(), ElementsAre(0, 50, 1500, 1505, 3000));
  const std::vector<int64_t> rows = inputs.tensors["rows"].As<int64_t>();
  ASSERT_EQ(rows.size(), 25u + 2u);
  EXPECT_EQ(rows[24], 24);
  EXPECT_EQ(rows[25], 750);
  EXPECT_EQ(rows[26], 751);
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s plugin.so directory\n", argv[0]);
    return 2;
  }
  keel::g_plugin = argv[1];
  keel::g_dir = argv[2];
  return RUN_ALL_TESTS();
}
