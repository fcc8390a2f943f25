#include "apps/server/model_flags.h"

#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

ModelFlag Parse(const std::string& text) {
  Result<ModelFlag> flag = ParseModelFlag(text);
  EXPECT_TRUE(flag.ok()) << flag.status().message();
  return flag.ok() ? *flag : ModelFlag();
}

std::string ErrorOf(const std::string& text) { return ParseModelFlag(text).status().message(); }

// Of a command line; the error's message as the only name.
std::vector<std::string> NamesOf(std::vector<const char*> arguments,
                                 const std::vector<std::string>& names = {}) {
  CommandLine flags("test", "");
  flags.AddEngineFlags();
  arguments.insert(arguments.begin(), "test");
  EXPECT_FALSE(flags.Parse(static_cast<int>(arguments.size()), arguments.data()).has_value());
  const auto configs = ReadModelFlags(flags, "/demo", names);
  if (!configs.ok()) return {configs.status().message()};
  std::vector<std::string> all;
  for (const ModelConfig& config : *configs) {
    all.insert(all.end(), config.names.begin(), config.names.end());
  }
  return all;
}

TEST(ModelFlagsTest, AModelIsAPathWithANameAndOptionsOfItsOwn) {
  EXPECT_EQ(Parse("org/model").path, "org/model");
  EXPECT_EQ(Parse("org/model").name, "");
  const ModelFlag flag = Parse("chat=/models/a,dtype=bfloat16,plugin-path=a=b,pinned");
  EXPECT_EQ(flag.name, "chat");
  EXPECT_EQ(flag.path, "/models/a");
  EXPECT_THAT(flag.options, ElementsAre(Pair("dtype", "bfloat16"), Pair("plugin-path", "a=b")));
  EXPECT_TRUE(flag.is_pinned);
}

TEST(ModelFlagsTest, WhatIsAPathOnThisMachineStaysWhole) {
  const std::string path = ::testing::TempDir() + "/a=b,c";
  std::filesystem::create_directories(path);
  EXPECT_EQ(Parse(path).path, path);
  EXPECT_EQ(Parse(path).name, "");
}

TEST(ModelFlagsTest, WhatIsWrongIsSaid) {
  EXPECT_THAT(ErrorOf("=x"), HasSubstr("the name before '=' is empty"));
  EXPECT_THAT(ErrorOf("a="), HasSubstr("the path is empty"));
  EXPECT_THAT(ErrorOf("a=x,fast"), HasSubstr("'fast' has no value"));
  EXPECT_THAT(ErrorOf("a=x,model=y"), HasSubstr("cannot have another --model"));
}

TEST(ModelFlagsTest, FlagsMakeModels) {
  EXPECT_THAT(NamesOf({}), ElementsAre("keel-demo"));
  EXPECT_THAT(NamesOf({"--model", "a", "--model", "b=c"}), ElementsAre("a", "b"));
  EXPECT_THAT(NamesOf({"--model", "a"}, {"x", "y"}), ElementsAre("x", "y"));
  EXPECT_THAT(NamesOf({"--model", "a", "--model", "b"}, {"x"}),
              ElementsAre(HasSubstr("--served-model-name names one model and there are 2")));
  EXPECT_THAT(NamesOf({"--model", "a,max-model-len=many"}),
              ElementsAre(HasSubstr("--model a: --max-model-len many: expected a whole number")));
}

}  // namespace
}  // namespace keel::apps
