// Arguments: GLM-4.1V's library and a checkpoint. An image beside a video, whose tokens are those of images: transformers'
// model refuses the two together, its get_rope_index has these numbers.
#include <cstdio>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/recorded/open_processor.h"

namespace keel {
namespace {

using ::testing::ElementsAre;
using Ids = std::vector<int64_t>;

constexpr int64_t kText = 7, kBegin = 20, kImage = 24, kVideo = 25, kBeginVideo = 22,
                  kEndVideo = 23, kEnd0 = 30, kEnd1 = 31;

std::string g_plugin, g_dir;

TEST(Glm4vProcessorTest, PlacesAnImageBesideAVideo) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto processor,
                            OpenProcessor(g_plugin, "Glm4vProcessor", g_dir,
                                          {{"<|image|>", kImage},
                                           {"<|video|>", kVideo},
                                           {"<|begin_of_image|>", kBegin},
                                           {"<|begin_of_video|>", kBeginVideo},
                                           {"<|end_of_video|>", kEndVideo},
                                           {"<|end_of_image|>0", kEnd0},
                                           {"<|end_of_image|>1", kEnd1}}));
  KEEL_ASSERT_OK_AND_ASSIGN(keel_media_count image,
                            processor->Count(TestMedia::Sizes(KEEL_MODALITY_IMAGE, 56, 56, 1)));
  image.grid_h = image.grid_w = 4, image.tokens = 4;
  // Three frames, two a second: the second step begins after one.
  KEEL_ASSERT_OK_AND_ASSIGN(keel_media_count video,
                            processor->Count(TestMedia::Sizes(KEEL_MODALITY_VIDEO, 56, 84, 3, 2)));
  EXPECT_EQ(video.runs, 2);
  video.grid_h = 4, video.grid_w = 6, video.tokens = 12;
  const Ids prompt = {kText, kImage, kText, kBeginVideo, kVideo, kEndVideo, kText};
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered expanded, processor->Expand(prompt, {image, video}));
  const int64_t i = kImage;
  EXPECT_EQ(expanded.ints["input_ids"],
            (Ids{kText,  i, i, i, i, kText, kBeginVideo, kBegin, i,         i,    i, i, i, i, kEnd0,
                 kBegin, i, i, i, i, i,     i,           kEnd1,  kEndVideo, kText}));
  EXPECT_EQ(expanded.ints["mm_token_type_ids"],
            (Ids{0, 1, 1, 1, 1, 0, 0, 0, 2, 2, 2, 2, 2, 2, 0, 0, 2, 2, 2, 2, 2, 2, 0, 0, 0}));
  KEEL_ASSERT_OK_AND_ASSIGN(Delivered placed,
                            processor->Positions(expanded.ints["input_ids"], {image, video}));
  EXPECT_EQ(
      placed.tensors["positions"].As<int64_t>(),
      (Ids{0, 1, 1, 1, 1, 3, 4, 5, 6, 6, 6, 6, 6, 6, 9, 10, 11, 11, 11, 11, 11, 11, 14, 15, 16,
           0, 1, 1, 2, 2, 3, 4, 5, 6, 6, 6, 7, 7, 7, 9, 10, 11, 11, 11, 12, 12, 12, 14, 15, 16,
           0, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8, 9, 10, 11, 12, 13, 11, 12, 13, 14, 15, 16}));
  EXPECT_THAT(placed.ints["delta"], ElementsAre(-8));
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
