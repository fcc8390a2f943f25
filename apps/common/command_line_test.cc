#include "apps/common/command_line.h"

#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The engine's flags are the fake engine's.
class CommandLineTest : public ::testing::Test {
 protected:
  CommandLineTest() {
    line_.app().add_option("--port", port_, "The port. And more of it.")->type_name("PORT");
    line_.AddEngineFlags();
  }
  // What Parse returned: nullopt is to go on. out_ and err_ are what it said.
  std::optional<int> Parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "keel-test");
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const std::optional<int> code =
        line_.Parse(static_cast<int>(arguments.size()), arguments.data());
    out_ = ::testing::internal::GetCapturedStdout();
    err_ = ::testing::internal::GetCapturedStderr();
    return code;
  }

  CommandLine line_{"keel-test", "Tests."};
  int port_ = 0;
  std::string out_, err_;
};

TEST_F(CommandLineTest, FlagsOfTheAppAndOfTheEngine) {
  EXPECT_EQ(
      Parse({"--port", "80", "--model", "m", "--max_model_len=5", "--no-enable-prefix-caching"}),
      std::nullopt);
  EXPECT_EQ(port_, 80);
  EXPECT_EQ(line_.EngineValue("model"), "m");
  EXPECT_EQ(line_.EngineValue("max-model-len"), "5");
  EXPECT_EQ(line_.EngineValue("enable-prefix-caching"), "false");
  EXPECT_EQ(line_.EngineValue("max-num-seqs"), std::nullopt);
  EXPECT_EQ(line_.EngineValue("no-such-option"), std::nullopt);
  EXPECT_TRUE(line_.EngineOptions("unused").ok());
}

TEST_F(CommandLineTest, ValuesKeepTheirUnderscores) {
  EXPECT_EQ(Parse({"--model=a_b", "--plugin_path", "x_y"}), std::nullopt);
  EXPECT_EQ(line_.EngineValue("model"), "a_b");
  EXPECT_EQ(line_.EngineValue("plugin-path"), "x_y");
}

TEST_F(CommandLineTest, ATrustNeedsNoValue) {
  EXPECT_EQ(Parse({"--trust-remote-code", "--model=m"}), std::nullopt);
  EXPECT_EQ(line_.EngineValue("trust-remote-code"), "true");
  EXPECT_EQ(line_.EngineValue("model"), "m");
}

TEST_F(CommandLineTest, WrongFlagsAreExplained) {
  EXPECT_EQ(Parse({"--modle", "m"}), 2);
  EXPECT_EQ(err_, "keel-test: unknown flag --modle; did you mean --model?\n");
  EXPECT_EQ(Parse({"--zzzzzzzzzz"}), 2);
  EXPECT_EQ(err_, "keel-test: unknown flag --zzzzzzzzzz; -h lists them\n");
  EXPECT_EQ(Parse({"model"}), 2);
  EXPECT_EQ(err_, "keel-test: unexpected argument 'model'; flags begin with --\n");
  EXPECT_EQ(Parse({"--port", "eighty"}), 2);
  EXPECT_THAT(err_, HasSubstr("--port"));
}

TEST_F(CommandLineTest, AMisspeltRequiredFlagIsNamed) {
  line_.app().get_option("--port")->required();
  EXPECT_EQ(Parse({"--prot=80"}), 2);
  EXPECT_EQ(err_, "keel-test: unknown flag --prot; did you mean --port?\n");
  EXPECT_EQ(Parse({"--model=m"}), 2);
  EXPECT_EQ(err_, "keel-test: --port is required\n");
}

TEST_F(CommandLineTest, AWordIsAModelWhereThatIsTaken) {
  line_.AddPositionalModel();
  EXPECT_EQ(Parse({"org/one", "--port", "80"}), std::nullopt);
  EXPECT_EQ(line_.EngineValue("model"), "org/one");
  EXPECT_EQ(Parse({"--enable-prefix-caching", "true"}), 2);
  EXPECT_THAT(err_, HasSubstr("unexpected argument 'true'; a switch has no value"));
}

TEST_F(CommandLineTest, FlagsOfOtherServersAreTranslated) {
  EXPECT_EQ(Parse({"--gpu-memory-utilization", "0.9"}), 2);
  EXPECT_EQ(err_,
            "keel-test: there is no flag --gpu-memory-utilization here; --kv-cache-memory-share or "
            "--kv-cache-memory-bytes do that\n");
  EXPECT_EQ(Parse({"-ngl", "99"}), 2);
  EXPECT_THAT(err_, HasSubstr("-ngl here; all runs on the CPU"));
}

TEST_F(CommandLineTest, ANumberIsAsGivenOrTheDefault) {
  EXPECT_EQ(Parse({"--max-num-seqs", "7"}), std::nullopt);
  EXPECT_EQ(line_.EngineNumber("max-num-seqs"), 7);
  EXPECT_EQ(line_.EngineNumber("max-model-len"), 4096);
  EXPECT_EQ(line_.EngineNumber("no-such-option"), 0);
}

TEST_F(CommandLineTest, AllValuesOfARepeatedFlagAreKept) {
  EXPECT_EQ(Parse({"--model", "a", "--model", "b"}), std::nullopt);
  EXPECT_EQ(line_.EngineValues("model"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(line_.EngineValues("max-num-seqs").empty());
}

TEST_F(CommandLineTest, TheEngineRefusesItsOwnValues) {
  EXPECT_EQ(Parse({"--max-model-len", "many"}), 2);
  EXPECT_THAT(err_, HasSubstr("--max-model-len many: expected a whole number"));
}

TEST_F(CommandLineTest, HelpIsShortOrLong) {
  EXPECT_EQ(Parse({"-h"}), 0);
  EXPECT_THAT(out_, HasSubstr("--port PORT                     The port\n"));
  EXPECT_THAT(out_, HasSubstr("--max-num-seqs N"));
  EXPECT_EQ(err_, "");
  CommandLine long_line("keel-test", "Tests.");
  long_line.app().add_option("--port", port_, "The port. And more of it.")->type_name("PORT");
  ::testing::internal::CaptureStdout();
  const char* arguments[] = {"keel-test", "--help"};
  EXPECT_EQ(long_line.Parse(2, arguments), 0);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), HasSubstr("The port. And more of it.\n"));
}

}  // namespace
}  // namespace keel::apps
