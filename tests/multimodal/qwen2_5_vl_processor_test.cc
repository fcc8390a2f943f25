// Arguments: the plugin's library and its directory. Qwen2_5_VLProcessor through the ABI; expected
// numbers are transformers' (smart_resize, get_rope_index) or worked out by hand from its formulas.
#include <boost/json/value.hpp>
#include <cstdio>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "core/config/config_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/recorded/open_processor.h"
#include "tests/recorded/recording.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int64_t>;

std::string g_plugin, g_dir;

keel_media Image(int64_t height, int64_t width) {
  return TestMedia::Sizes(KEEL_MODALITY_IMAGE, height, width, 1);
}

class Qwen2_5_VLProcessorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    KEEL_ASSERT_OK_AND_ASSIGN(processor_,
                              OpenProcessor(g_plugin, "Qwen2_5_VLProcessor", g_dir,
                                            {{"<|image_pad|>", 13}, {"<|video_pad|>", 14}}));
  }
  keel_media_count Count(const keel_media& sizes) {
    absl::StatusOr<keel_media_count> count = processor_->Count(sizes);
    EXPECT_TRUE(count.ok()) << count.status();
    return count.value_or(keel_media_count{});
  }
  std::unique_ptr<ProcessorUnderTest> processor_;
};

TEST_F(Qwen2_5_VLProcessorTest, CountsByTransformersSmartResize) {
  struct Case {
    int64_t height, width, resized_height, resized_width;
  };
  for (const Case& c : {Case{1000, 700, 1008, 700}, Case{56, 56, 56, 56}, Case{30, 40, 56, 84},
                        Case{70, 42, 56, 56}, Case{4000, 3000, 4004, 2996},
                        Case{28, 5600, 28, 5600}, Case{20, 20, 56, 56}, Case{3000, 40, 2996, 28}}) {
    const keel_media_count count = Count(Image(c.height, c.width));
    EXPECT_EQ(count.modality, KEEL_MODALITY_IMAGE);
    EXPECT_EQ(count.grid_t, 1);
    EXPECT_EQ(count.grid_h * 14, c.resized_height) << c.height << "x" << c.width;
    EXPECT_EQ(count.grid_w * 14, c.resized_width) << c.height << "x" << c.width;
    EXPECT_EQ(count.patches, count.grid_h * count.grid_w);
    EXPECT_EQ(count.tokens, count.patches / 4);
    EXPECT_EQ(count.features, count.tokens);
  }
}

TEST_F(Qwen2_5_VLProcessorTest, TakesLimitsOfTheRequest) {
  const boost::json::value json = {{"max_pixels", 28 * 28 * 1280}};
  ConfigDocument options(json, "mm_processor_kwargs");
  keel_media image = Image(4000, 3000);
  image.options = options.root();
  const keel_media_count count = Count(image);
  EXPECT_EQ(count.grid_h * 14, 1148);
  EXPECT_EQ(count.grid_w * 14, 840);
}

TEST_F(Qwen2_5_VLProcessorTest, CountsAVideoInPairsOfFrames) {
  const keel_media_count count = Count(TestMedia::Sizes(KEEL_MODALITY_VIDEO, 112, 84, 5, 2));
  EXPECT_EQ(count.modality, KEEL_MODALITY_VIDEO);
  EXPECT_EQ(count.grid_t, 3);  // the last frame is repeated
  EXPECT_EQ(count.tokens, 3 * 4 * 3);
  EXPECT_EQ(count.seconds_per_grid, 1);
}

TEST_F(Qwen2_5_VLProcessorTest, RefusesWhatCannotBeResized) {
  EXPECT_THAT(processor_->Count(Image(28, 5601)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("Qwen2_5_VLProcessor.count: an image is 28x5601")));
  EXPECT_THAT(processor_->Count(TestMedia::Sizes(KEEL_MODALITY_AUDIO, 0, 0, 100, 16000)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected an image or")));
}

TEST_F(Qwen2_5_VLProcessorTest, NamesItsTokens) {
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered tokens, processor_->Tokens());
  EXPECT_EQ(tokens.texts["image_token"], "<|image_pad|>");
  EXPECT_THAT(tokens.ints["image_token_id"], ElementsAre(13));
  EXPECT_THAT(tokens.ints["image_token_ids"], ElementsAre(13));
  EXPECT_EQ(tokens.texts["video_token"], "<|video_pad|>");
  EXPECT_THAT(tokens.ints["video_token_ids"], ElementsAre(14));
  EXPECT_EQ(tokens.texts.count("audio_token"), 0u);
}

TEST_F(Qwen2_5_VLProcessorTest, RefusesATokenizerWithoutItsTokens) {
  EXPECT_THAT(OpenProcessor(g_plugin, "Qwen2_5_VLProcessor", g_dir, {{"<|image_pad|>", 13}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("<|video_pad|>")));
}

uint8_t Pixel(int64_t y, int64_t x, int64_t c) {
  return static_cast<uint8_t>(y * 7 + x * 3 + c * 50);
}

TEST_F(Qwen2_5_VLProcessorTest, PutsEachPixelWhereTheTowerReadsIt) {
  const TestMedia image = TestMedia::Image(56, 84, Pixel);
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered inputs, processor_->Preprocess({image.media()}));
  const Delivered::Tensor& pixels = inputs.tensors["pixel_values"];
  EXPECT_EQ(pixels.dtype, KEEL_F32);
  ASSERT_THAT(pixels.dims, ElementsAre(4 * 6, 3 * 2 * 14 * 14));
  EXPECT_THAT(processor_->resized(), ElementsAre());
  const std::vector<float> values = pixels.As<float>();
  constexpr double kMean[] = {0.48145466, 0.4578275, 0.40821073};
  constexpr double kStd[] = {0.26862954, 0.26130258, 0.27577711};
  for (int64_t y = 0; y < 56; ++y) {
    for (int64_t x = 0; x < 84; ++x) {
      // Cells of 2x2 patches of 14x14 pixels, three in a row.
      const int64_t patch = (y / 28 * 3 + x / 28) * 4 + y % 28 / 14 * 2 + x % 28 / 14;
      for (int64_t c = 0; c < 3; ++c) {
        const double expected = (Pixel(y, x, c) / 255.0 - kMean[c]) / kStd[c];
        for (int64_t t = 0; t < 2; ++t) {  // an image is two equal frames
          const int64_t at = patch * 1176 + c * 392 + t * 196 + y % 14 * 14 + x % 14;
          ASSERT_NEAR(values[static_cast<size_t>(at)], expected, 1e-5) << y << " " << x;
        }
      }
    }
  }
}

TEST_F(Qwen2_5_VLProcessorTest, HasTheHostResize) {
  const TestMedia image = TestMedia::Image(30, 40, Pixel);
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered inputs, processor_->Preprocess({image.media()}));
  EXPECT_THAT(inputs.tensors["pixel_values"].dims, ElementsAre(4 * 6, 1176));
  // Both frames of the pair; bicubic.
  EXPECT_THAT(processor_->resized(),
              ElementsAre("30x40 -> 56x84, filter 3", "30x40 -> 56x84, filter 3"));
}

TEST_F(Qwen2_5_VLProcessorTest, OrdersCellsByWindow) {
  // 5 x 7 cells in windows of 4 x 4, then 2 x 4 cells in one window.
  const TestMedia large = TestMedia::Image(140, 196, Pixel);
  const TestMedia small = TestMedia::Image(56, 112, Pixel);
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered inputs,
                            processor_->Preprocess({large.media(), small.media()}));
  EXPECT_THAT(inputs.tensors["cu_seqlens"].As<int32_t>(), ElementsAre(0, 140, 172));
  EXPECT_THAT(inputs.tensors["cu_window_seqlens"].As<int32_t>(),
              ElementsAre(0, 64, 112, 128, 140, 172));
  const Ids index = inputs.tensors["window_index"].As<int64_t>();
  EXPECT_EQ(index, (Ids{0,  1,  2,  3,  7,  8,  9,  10, 14, 15, 16, 17, 21, 22, 23,
                        24, 4,  5,  6,  11, 12, 13, 18, 19, 20, 25, 26, 27, 28, 29,
                        30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42}));
  const Ids reverse = inputs.tensors["reverse_indices"].As<int64_t>();
  ASSERT_EQ(reverse.size(), index.size());
  for (size_t i = 0; i < index.size(); ++i)
    EXPECT_EQ(reverse[static_cast<size_t>(index[i])], static_cast<int64_t>(i));
  const Delivered::Tensor& positions = inputs.tensors["positions"];
  ASSERT_THAT(positions.dims, ElementsAre(2, 172));
  const Ids at = positions.As<int64_t>();
  const auto rows = [&](size_t begin) { return Ids(at.begin() + begin, at.begin() + begin + 4); };
  EXPECT_EQ(rows(0), (Ids{0, 0, 1, 1}));       // heights of the first cell's patches
  EXPECT_EQ(rows(172), (Ids{0, 1, 0, 1}));     // and widths
  EXPECT_EQ(rows(16 * 4), (Ids{0, 0, 1, 1}));  // cell 4: the first of the second window
  EXPECT_EQ(rows(172 + 16 * 4), (Ids{8, 9, 8, 9}));
  EXPECT_EQ(rows(34 * 4), (Ids{8, 8, 9, 9}));  // cell 34: the last
  EXPECT_EQ(rows(172 + 34 * 4), (Ids{12, 13, 12, 13}));
}

TEST_F(Qwen2_5_VLProcessorTest, ReplacesAPlaceholderByItsTokens) {
  const keel_media_count item = Count(Image(56, 84));
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string text, processor_->Replacement(item, 0));
  std::string expected;
  for (int i = 0; i < 6; ++i) expected += "<|image_pad|>";
  EXPECT_EQ(text, expected);
}

TEST_F(Qwen2_5_VLProcessorTest, ExpandsAndPlacesAnImage) {
  const keel_media_count item = Count(Image(56, 84));
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered prompt, processor_->Expand({1, 10, 13, 11, 5, 6}, {item}));
  const Ids ids = prompt.ints["input_ids"];
  EXPECT_EQ(ids, (Ids{1, 10, 13, 13, 13, 13, 13, 13, 11, 5, 6}));
  EXPECT_EQ(prompt.ints["mm_token_type_ids"], (Ids{0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0}));
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered placed, processor_->Positions(ids, {item}));
  EXPECT_THAT(placed.tensors["positions"].dims, ElementsAre(3, 11));
  EXPECT_EQ(placed.tensors["positions"].As<int64_t>(),
            (Ids{0, 1, 2, 2, 2, 2, 2, 2, 5, 6, 7,     // time
                 0, 1, 2, 2, 2, 3, 3, 3, 5, 6, 7,     // height
                 0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 7}));  // width
  EXPECT_THAT(placed.ints["delta"], ElementsAre(-3));
}

TEST_F(Qwen2_5_VLProcessorTest, PlacesAVideoBySeconds) {
  keel_media_count item = Count(TestMedia::Sizes(KEEL_MODALITY_VIDEO, 56, 56, 4, 1));
  item.grid_h = item.grid_w = 2, item.tokens = 2;  // one cell a step, two seconds apart
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered prompt, processor_->Expand({5, 14, 6}, {item}));
  EXPECT_EQ(prompt.ints["input_ids"], (Ids{5, 14, 14, 6}));
  EXPECT_EQ(prompt.ints["mm_token_type_ids"], (Ids{0, 2, 2, 0}));
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered placed,
                            processor_->Positions(prompt.ints["input_ids"], {item}));
  EXPECT_EQ(placed.tensors["positions"].As<int64_t>(), (Ids{0, 1, 5, 2, 0, 1, 1, 2, 0, 1, 1, 2}));
  EXPECT_THAT(placed.ints["delta"], ElementsAre(2));
}

TEST_F(Qwen2_5_VLProcessorTest, CountsAnImageAndAVideoApart) {
  const keel_media_count image = Count(Image(56, 56));
  const keel_media_count video = Count(TestMedia::Sizes(KEEL_MODALITY_VIDEO, 56, 84, 2, 1));
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered prompt, processor_->Expand({14, 1, 13}, {image, video}));
  EXPECT_EQ(prompt.ints["mm_token_type_ids"], (Ids{2, 2, 2, 2, 2, 2, 0, 1, 1, 1, 1}));
}

TEST_F(Qwen2_5_VLProcessorTest, RefusesPromptsAndItemsThatDoNotMatch) {
  const keel_media_count item = Count(Image(56, 56));
  EXPECT_THAT(processor_->Expand({13, 1, 13}, {item}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more placeholders")));
  EXPECT_THAT(
      processor_->Expand({1, 2}, {item}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0 placeholders, expected 1")));
  EXPECT_THAT(processor_->Positions({13, 13}, {item}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ends within an image")));
}

// ---- the model's config ----------------------------------------------------------------------

// The same model as newer files say it: the decoder's keys in text_config, rope_parameters.
boost::json::object Nested(const boost::json::object& flat) {
  boost::json::object out, text = flat;
  for (const char* key : {"architectures", "vision_config", "tie_word_embeddings"}) {
    out[key] = flat.at(key);
    text.erase(key);
  }
  text["rope_parameters"] = {{"rope_type", "default"},
                             {"rope_theta", flat.at("rope_theta")},
                             {"mrope_section", flat.at("rope_scaling").at("mrope_section")}};
  text.erase("rope_theta");
  text.erase("rope_scaling");
  out["text_config"] = text;
  return out;
}

// Without the name of the rope's type, which the two files say in different words.
std::string GraphTextOf(const Recording& recording) {
  proto::Graph graph = recording.model.graph;
  for (proto::Declaration& d : *graph.mutable_declarations()) {
    if (d.has_rope()) d.mutable_rope()->clear_rope_type();
  }
  return GraphText(graph);
}

TEST(Qwen2_5_VLConfigTest, OldAndNewFilesRecordTheSameGraph) {
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(JoinPath(g_dir, "config.json")));
  KEEL_ASSERT_OK_AND_ASSIGN(const boost::json::value flat, ParseJson(text, "config.json"));
  KEEL_ASSERT_OK_AND_ASSIGN(const Recording old_file, RecordPlugin(g_plugin, flat));
  KEEL_ASSERT_OK_AND_ASSIGN(const Recording new_file,
                            RecordPlugin(g_plugin, Nested(flat.get_object())));
  EXPECT_EQ(GraphTextOf(old_file), GraphTextOf(new_file));
}

TEST(Qwen2_5_VLConfigTest, RefusesSectionsThatAreNotThree) {
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(JoinPath(g_dir, "config.json")));
  KEEL_ASSERT_OK_AND_ASSIGN(boost::json::value config, ParseJson(text, "config.json"));
  config.as_object()["rope_scaling"].as_object()["mrope_section"] = {4, 4};
  EXPECT_THAT(RecordPlugin(g_plugin, config).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("mrope_section has 2 numbers, expected 3")));
}

TEST(Qwen2_5_VLConfigTest, RefusesAFileWithoutATower) {
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(JoinPath(g_dir, "config.json")));
  KEEL_ASSERT_OK_AND_ASSIGN(boost::json::value config, ParseJson(text, "config.json"));
  config.as_object().erase("vision_config");
  EXPECT_THAT(RecordPlugin(g_plugin, config).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("vision_config is missing, expected an object")));
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
