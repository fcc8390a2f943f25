#include "apps/common/config_file.h"

#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<std::vector<Setting>> Read(const std::string& text) {
  std::istringstream file(text);
  return ReadConfigFile(file, "keel.yaml");
}

std::string ErrorOf(const std::string& text) { return Read(text).status().message(); }

TEST(ConfigFileTest, AFlagHasAValueOrAList) {
  const auto settings = Read(
      "# what we serve\n"
      "model: /models/a\n"
      "max_model_len: 32k\n"
      "--enable-prefix-caching: no\n"
      "pooler-config: '{\"pooling_type\": \"CLS\"}'\n"
      "api-key: [a, b]\n"
      "quantize:\n"
      "plugin-path: []\n");
  ASSERT_TRUE(settings.ok()) << settings.status().message();
  ASSERT_EQ(settings->size(), 5U);
  EXPECT_EQ((*settings)[0].flag, "--model");
  EXPECT_EQ((*settings)[1].flag, "--max-model-len");
  EXPECT_THAT((*settings)[1].values, ElementsAre("32k"));
  EXPECT_EQ((*settings)[1].where, "keel.yaml, line 3");
  EXPECT_EQ((*settings)[2].flag, "--enable-prefix-caching");
  EXPECT_THAT((*settings)[2].values, ElementsAre("no"));
  EXPECT_THAT((*settings)[3].values, ElementsAre("{\"pooling_type\": \"CLS\"}"));
  EXPECT_THAT((*settings)[4].values, ElementsAre("a", "b"));
  EXPECT_TRUE(Read("")->empty());
}

TEST(ConfigFileTest, WhatIsWrongIsSaidWithItsLine) {
  EXPECT_EQ(ErrorOf("a: 1\nb: {c: 2}\n"),
            "keel.yaml, line 2: b is a mapping, expected a value or a list; write a JSON object "
            "between single quotes");
  EXPECT_THAT(ErrorOf("a: 1\nb: [[1]]\n"), HasSubstr("keel.yaml, line 2: b has something else"));
  EXPECT_THAT(ErrorOf("- a\n- b\n"), HasSubstr("keel.yaml, line 1: expected a flag's name"));
  EXPECT_THAT(ErrorOf("a: 1\nb: [1\n"), HasSubstr("keel.yaml, line 3: no valid YAML: "));
  EXPECT_THAT(ErrorOf("just words"), HasSubstr("expected a flag's name and its value"));
}

}  // namespace
}  // namespace keel::apps
