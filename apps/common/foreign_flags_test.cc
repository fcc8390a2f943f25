#include "apps/common/foreign_flags.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Translate(const std::vector<std::string>& arguments) {
  return TranslateForeignFlags(arguments, [](const std::string& flag) {
    return flag == "--model-impl" || flag == "--mine";
  });
}

TEST(ForeignFlagsTest, AnotherWordForTheSameIsTranslated) {
  EXPECT_THAT(Translate({"m", "--task", "generate", "--port", "1"}),
              ElementsAre("m", "--runner=generate", "--port", "1"));
  EXPECT_THAT(Translate({"--task=embed"}), ElementsAre("--runner=pooling"));
  EXPECT_THAT(Translate({"--is-embedding", "m"}), ElementsAre("--runner=pooling", "m"));
  EXPECT_THAT(Translate({"--model-impl", "vllm"}), ElementsAre("--model-impl=native"));
  EXPECT_THAT(Translate({"--model-impl", "native"}), ElementsAre("--model-impl", "native"));
  EXPECT_THAT(Translate({"-tp", "2", "-t", "2"}), ElementsAre("--tp", "2", "-t", "2"));
}

TEST(ForeignFlagsTest, WhatIsDoneAnywayIsLeftOut) {
  EXPECT_THAT(Translate({"--device", "cpu", "--enable-chunked-prefill", "--load-format=auto"}),
              IsEmpty());
  EXPECT_THAT(Translate({"--enable-metrics=false"}), IsEmpty());
  EXPECT_THAT(Translate({"--device", "cuda"}), ElementsAre("--device", "cuda"));
  EXPECT_THAT(Translate({"--device"}), ElementsAre("--device"));
}

TEST(ForeignFlagsTest, TheRestIsRefusedWithAReason) {
  EXPECT_THAT(std::string(HintForForeignFlag("--device")), HasSubstr("CPU"));
  EXPECT_EQ(HintForForeignFlag("--mine"), "");
  EXPECT_EQ(AliasesOf("model"), "--model-id,--model-path");
  EXPECT_EQ(AliasesOf("mine"), "");
}

}  // namespace
}  // namespace keel::apps
