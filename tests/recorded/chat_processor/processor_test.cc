// Arguments: the plugin's library and its directory. A plugin without a model, and what the SDK does
// with all that a processor may throw.
#include <cstdio>

#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/recorded/open_processor.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

std::string g_plugin, g_dir;

TEST(ChatProcessorTest, IsFoundByEachOfItsNamesAndChats) {
  for (const char* name : {"ChatProcessor", "OldChatProcessor"}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const auto processor, OpenProcessor(g_plugin, name, g_dir, {}));
    EXPECT_THAT(processor->Chat("[1]"), testing::IsOkAndHolds("<user>[1]</user>"));
    KEEL_ASSERT_OK_AND_ASSIGN(const Delivered tokens, processor->Tokens());
    EXPECT_TRUE(tokens.texts.empty());
  }
}

TEST(ChatProcessorTest, WhatItThrowsBecomesAStatus) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto processor,
                            OpenProcessor(g_plugin, "ChatProcessor", g_dir, {}));
  EXPECT_THAT(processor->Count({}), StatusIs(absl::StatusCode::kUnimplemented,
                                             HasSubstr("ChatProcessor.count: takes no media")));
  EXPECT_THAT(processor->Preprocess({}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("no media")));
  EXPECT_THAT(processor->Replacement({}, 0),
              StatusIs(absl::StatusCode::kUnknown, HasSubstr("unknown exception")));
}

TEST(ChatProcessorTest, SaysWhichFileItLacks) {
  const testing::ScratchDir dir;
  dir.Write("config.json", "{}");
  EXPECT_THAT(OpenProcessor(g_plugin, "ChatProcessor", dir.path(), {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("frame.txt: not found")));
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
