#include "apps/bench/flags.h"

#include <algorithm>
#include <optional>

#include "apps/common/command_line.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FlagsTest : public ::testing::Test {
 protected:
  // What is wrong with the arguments; "" if nothing is.
  std::string Parse(std::vector<const char*> arguments) {
    CommandLine line("keel-bench", "Tests.");
    flags_ = BenchFlags();
    AddBenchFlags(line.app(), &flags_);
    line.AddEngineFlags();
    arguments.insert(arguments.begin(), "keel-bench");
    ::testing::internal::CaptureStderr();
    const auto code = line.Parse(static_cast<int>(arguments.size()), arguments.data());
    const std::string message = ::testing::internal::GetCapturedStderr();
    if (code.has_value()) return message.empty() ? "no message" : message;
    return CheckBenchFlags(line.app(), flags_).message();
  }

  BenchFlags flags_;
};

TEST_F(FlagsTest, SpeedIsTheScenarioWithoutOne) {
  EXPECT_EQ(Parse({"--batch", "1", "8", "--prompt-tokens", "16", "--repeats=2", "--model", "m"}),
            "");
  EXPECT_EQ(flags_.scenario, "speed");
  EXPECT_THAT(flags_.batches, ElementsAre(1, 8));
  EXPECT_EQ(flags_.prompt_tokens, (TokenRange{16, 16}));
  EXPECT_EQ(flags_.repeats, 2U);
}

TEST_F(FlagsTest, AShapeStandsForAModel) {
  EXPECT_EQ(Parse({"--shape", "qwen2.5-0.5b"}), "");
  EXPECT_EQ(flags_.shape, "qwen2.5-0.5b");
  EXPECT_THAT(Parse({"--shape", "qwen9"}), HasSubstr("--shape"));
  EXPECT_THAT(Parse({"--shape", "qwen2.5-0.5b", "--model", "m"}), HasSubstr("give one"));
}

TEST_F(FlagsTest, ListsAndRanges) {
  EXPECT_EQ(Parse({"throughput", "--concurrency", "1,4", "--new-tokens", "8-16"}), "");
  EXPECT_THAT(flags_.concurrency, ElementsAre(1, 4));
  EXPECT_EQ(flags_.new_tokens, (TokenRange{8, 16}));
  EXPECT_EQ(Parse({"throughput", "--concurrency", "2", "3"}), "");
  EXPECT_THAT(flags_.concurrency, ElementsAre(2, 3));
}

TEST_F(FlagsTest, WrongOnesAreExplained) {
  EXPECT_THAT(Parse({"througput"}),
              HasSubstr("SCENARIO is 'througput', expected speed|throughput"));
  EXPECT_THAT(Parse({"speed", "prefix"}), HasSubstr("unexpected argument 'prefix'"));
  EXPECT_THAT(Parse({"throughput", "--streams", "4"}),
              HasSubstr("--streams is for interference, not for throughput"));
  EXPECT_THAT(Parse({"--requests", "4"}),
              HasSubstr("--requests is for throughput and serve, not for speed"));
  EXPECT_THAT(
      Parse({"prefix", "--new-tokens", "4"}),
      HasSubstr("--new-tokens is for speed, throughput, interference and serve, not for prefix"));
  EXPECT_THAT(Parse({"speed", "--base-url", "http://h:1"}),
              HasSubstr("--base-url is for serve, not for speed"));
  EXPECT_THAT(Parse({"kernels"}), HasSubstr("kernels needs --shape"));
  EXPECT_THAT(Parse({"speed", "--rows", "1"}), HasSubstr("--rows is for kernels, not for speed"));
  EXPECT_THAT(Parse({"serve", "--base-url", "ftp://h"}), HasSubstr("expected http://HOST:PORT"));
  EXPECT_THAT(Parse({"serve", "--burstiness", "0"}), HasSubstr("--burstiness is '0'"));
  EXPECT_THAT(Parse({"--prompt-tokens", "8-9"}),
              HasSubstr("--prompt-tokens is '8-9', expected one number for speed"));
  EXPECT_THAT(Parse({"interference", "--new-tokens", "8-9"}),
              HasSubstr("--new-tokens is '8-9', expected one number for interference"));
  EXPECT_THAT(Parse({"throughput", "--prompt-tokens", "9-8"}),
              HasSubstr("--prompt-tokens is '9-8', expected N"));
  EXPECT_THAT(Parse({"throughput", "--concurrency", "1,x"}), HasSubstr("--concurrency is "));
  EXPECT_THAT(Parse({"throughput", "--concurrency", "0"}), HasSubstr("--concurrency is '0'"));
}

}  // namespace
}  // namespace keel::apps
