#include "apps/common/command_line.h"

#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ScopedEnvironment {
 public:
  ScopedEnvironment(const char* name, const char* value) : name_(name) {
    setenv(name, value, /*overwrite=*/1);
  }
  ~ScopedEnvironment() { unsetenv(name_); }

 private:
  const char* name_;
};

std::string WriteFile(const std::string& text) {
  std::string path = ::testing::TempDir() + "/flags.yaml";
  std::ofstream(path) << text;
  return path;
}

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
  line_.SetEngineDefault("max-num-seqs", "3");
  line_.SetEngineDefault("max-model-len", "9");
  EXPECT_EQ(line_.EngineValue("max-num-seqs"), "3");
  EXPECT_EQ(line_.EngineValue("max-model-len"), "5");
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
  CommandLine line("keel-test", "Tests.");
  line.app().add_option("--port", port_)->type_name("PORT");
  line.AddEngineFlags(/*takes_model_as_word=*/true);
  const char* words[] = {"keel-test", "org/one", "--port", "80"};
  EXPECT_EQ(line.Parse(4, words), std::nullopt);
  EXPECT_EQ(line.EngineValue("model"), "org/one");
  EXPECT_EQ(port_, 80);
  const char* wrong[] = {"keel-test", "--enable-prefix-caching", "true"};
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(line.Parse(3, wrong), 2);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("unexpected argument 'true'; a switch has no value"));
}

TEST_F(CommandLineTest, OtherServersNamesAreTaken) {
  EXPECT_EQ(Parse({"--model-path", "m", "--context_length=5", "--max-running-requests", "7",
                   "--disable-radix-cache", "--device", "cpu"}),
            std::nullopt);
  EXPECT_EQ(line_.EngineValue("model"), "m");
  EXPECT_EQ(line_.EngineValue("max-model-len"), "5");
  EXPECT_EQ(line_.EngineValue("max-num-seqs"), "7");
  EXPECT_EQ(line_.EngineValue("enable-prefix-caching"), "false");
}

TEST_F(CommandLineTest, AFlagMayStandInTheEnvironment) {
  const ScopedEnvironment port("KEEL_PORT", "81"), length("KEEL_MAX_MODEL_LEN", "5"),
      caching("KEEL_ENABLE_PREFIX_CACHING", "false");
  EXPECT_EQ(Parse({"--port", "80"}), std::nullopt);
  EXPECT_EQ(port_, 80);
  EXPECT_EQ(line_.EngineValue("max-model-len"), "5");
  EXPECT_EQ(line_.EngineValue("enable-prefix-caching"), "false");
}

TEST_F(CommandLineTest, AWrongValueOfTheEnvironmentIsSaidWithItsName) {
  const ScopedEnvironment port("KEEL_PORT", "eighty");
  EXPECT_EQ(Parse({}), 2);
  EXPECT_THAT(err_, HasSubstr("environment variable KEEL_PORT: --port is 'eighty'"));
}

TEST_F(CommandLineTest, KubernetesLinksAreNoFlags) {
  const ScopedEnvironment port("KEEL_PORT", "tcp://10.0.0.1:80");
  EXPECT_EQ(Parse({}), std::nullopt);
  EXPECT_EQ(port_, 0);
}

TEST_F(CommandLineTest, AFileIsOverruledByEnvironmentAndCommandLine) {
  const std::string file = WriteFile(
      "port: 80\n"
      "context-length: 5\n"
      "max-num-seqs: 6\n"
      "plugin-path: [a, b]\n"
      "device: cpu\n"
      "enable-prefix-caching: no\n");
  const ScopedEnvironment sequences("KEEL_MAX_NUM_SEQS", "7"), config("KEEL_CONFIG", file.c_str());
  EXPECT_EQ(Parse({"--port=81"}), std::nullopt) << err_;
  EXPECT_EQ(port_, 81);
  EXPECT_EQ(line_.EngineValue("max-model-len"), "5");
  EXPECT_EQ(line_.EngineValue("max-num-seqs"), "7");
  EXPECT_EQ(line_.EngineValues("plugin-path"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(line_.EngineValue("enable-prefix-caching"), "false");
}

TEST_F(CommandLineTest, WhatIsWrongInAFileIsSaidWithItsLine) {
  const auto error_of = [&](const std::string& text) {
    EXPECT_EQ(Parse({("--config=" + WriteFile(text)).c_str()}), 2);
    return err_;
  };
  EXPECT_THAT(error_of("modle: a\n"),
              HasSubstr("flags.yaml, line 1: unknown flag --modle; did you mean --model?"));
  EXPECT_THAT(error_of("\ndevice: cuda\n"), HasSubstr("line 2: there is no flag --device here"));
  EXPECT_THAT(error_of("port: eighty\n"), HasSubstr("line 1: --port is 'eighty', expected PORT"));
  EXPECT_THAT(error_of("max-model-len: many\n"), HasSubstr("line 1: --max-model-len many"));
  EXPECT_EQ(Parse({"--config", "/no/such.yaml"}), 2);
  EXPECT_EQ(err_, "keel-test: --config /no/such.yaml cannot be read\n");
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
