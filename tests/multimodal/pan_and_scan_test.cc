// Arguments: Gemma 3's library, its checkpoint that sees, and the one whose settings turn pan and scan on. A request says
// otherwise than either.
#include <cstdio>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/engine/engine.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/multimodal/counts.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

constexpr int64_t kTokens = 16;  // of a view of an image
constexpr char kOn[] = R"({"do_pan_and_scan": true, "pan_and_scan_min_crop_size": 40,
                           "pan_and_scan_max_num_crops": 3, "pan_and_scan_min_ratio_to_activate": 1.4})";
constexpr char kOff[] = R"({"do_pan_and_scan": false})";

std::string g_plugin, g_images, g_crops;

absl::StatusOr<Model> Load(const std::string& dir) {
  EngineOptions options;
  options.model.name = dir;
  options.model.plugin_paths = {g_plugin};
  options.model.weight_cache = "";
  return LoadModel(options);
}

MediaItem Image(int64_t height, int64_t width) {
  MediaItem item;
  item.height = height;
  item.width = width;
  item.rgb.assign(static_cast<size_t>(height * width * 3), 100);
  return item;
}

TEST(PanAndScanTest, ARequestTurnsItOnAndOff) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Model images, Load(g_images));
  KEEL_ASSERT_OK_AND_ASSIGN(const Model crops, Load(g_crops));
  KEEL_ASSERT_OK_AND_ASSIGN(const auto counts, testing::ReadCounts(g_crops, KEEL_MODALITY_IMAGE));
  int64_t cut = 0;
  for (const auto& [item, tokens] : counts) {
    if (tokens < 0) continue;  // refused, as vision_test sees
    cut += tokens > kTokens;
    const MediaItem* items[] = {&item};
    KEEL_ASSERT_OK_AND_ASSIGN(const MediaCounts on, images.processor->Count(items, kOn));
    EXPECT_EQ(on[0].tokens, tokens) << item.height << "x" << item.width;
    EXPECT_EQ(on[0].runs, tokens / kTokens);
    KEEL_ASSERT_OK_AND_ASSIGN(const MediaCounts off, crops.processor->Count(items, kOff));
    EXPECT_EQ(off[0].tokens, kTokens);
  }
  EXPECT_GT(cut, 50);
}

TEST(PanAndScanTest, PartsAreViewsOfTheirOwn) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Model model, Load(g_images));
  KEEL_ASSERT_OK_AND_ASSIGN(const NamedTensors inputs,
                            model.processor->Preprocess(Image(56, 84), kOn));
  EXPECT_EQ(inputs.at("pixel_values").dims[0], 3);
  KEEL_ASSERT_OK_AND_ASSIGN(const NamedTensors whole,
                            model.processor->Preprocess(Image(56, 84), kOff));
  EXPECT_EQ(whole.at("pixel_values").dims[0], 1);
}

TEST(PanAndScanTest, RefusesSizesThatCutNothing) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Model model, Load(g_images));
  const MediaItem image = Image(56, 84);
  const MediaItem* items[] = {&image};
  EXPECT_THAT(model.processor->Count(items, R"({"pan_and_scan_min_crop_size": 0})").status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("pan_and_scan_min_crop_size is 0, expected at least 1")));
  const MediaItem small = Image(1, 9);
  items[0] = &small;
  EXPECT_THAT(model.processor
                  ->Count(items, R"({"do_pan_and_scan": true, "pan_and_scan_min_crop_size": 1,
                                     "pan_and_scan_max_num_crops": 7})")
                  .status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too small for 7 parts")));
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s plugin.so images-dir crops-dir\n", argv[0]);
    return 2;
  }
  keel::g_plugin = argv[1];
  keel::g_images = argv[2];
  keel::g_crops = argv[3];
  return RUN_ALL_TESTS();
}
