#include "apps/server/batch_input.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Line(const std::string& id, const std::string& model = "a",
                 const std::string& url = "/v1/completions") {
  return R"({"custom_id":")" + id + R"(","method":"POST","url":")" + url +
         R"(","body":{"prompt":"x","model":")" + model + R"("}})" + "\n";
}

BatchInput Read(const std::string& text, int64_t max_lines = 100) {
  const std::string path = ::testing::TempDir() + "/input.jsonl";
  std::ofstream(path) << text;
  auto input = ReadBatchInput(path, {.endpoint = "/v1/completions",
                                     .model_names = {"a", "b"},
                                     .max_lines = max_lines,
                                     .max_line_bytes = 1000});
  EXPECT_TRUE(input.ok()) << input.status().message();
  return *std::move(input);
}

// "line: code" of each fault.
std::vector<std::string> Faults(const BatchInput& input) {
  std::vector<std::string> faults;
  for (const BatchFault& fault : input.faults) {
    EXPECT_FALSE(fault.message.empty());
    faults.push_back(std::to_string(fault.line) + ": " + fault.code);
  }
  return faults;
}

TEST(BatchInputTest, GoodLinesAreCounted) {
  const BatchInput input = Read(Line("1", "b") + "\n" + Line("2", "b"));
  EXPECT_THAT(Faults(input), ElementsAre());
  EXPECT_EQ(input.lines, 2);
  EXPECT_EQ(input.model, "b");
  EXPECT_EQ(Read(R"({"custom_id":"1","method":"POST","url":"/v1/completions","body":{}})").model,
            "a");
}

TEST(BatchInputTest, EachFaultHasItsLineAndCode) {
  EXPECT_THAT(Faults(Read(Line("1") + "no json\n" + Line("1") + Line("4", "b") + Line("5", "c") +
                          Line("6", "a", "/v1/embeddings") + R"({"custom_id":"7","method":"GET"})" +
                          "\n" + R"({"method":"POST"})" + "\n" + std::string(2000, 'x') + "\n" +
                          R"({"custom_id":"9","method":"POST","url":"/v1/completions"})")),
              ElementsAre("2: invalid_json_line", "3: duplicate_custom_id", "4: mismatched_model",
                          "5: model_not_found", "6: invalid_url", "7: invalid_method",
                          "8: missing_custom_id", "9: invalid_json_line", "10: invalid_request"));
}

TEST(BatchInputTest, TheFileHasBoundsToo) {
  EXPECT_THAT(Faults(Read("\n \n")), ElementsAre("0: empty_file"));
  const BatchInput input = Read(Line("1") + Line("2") + Line("3"), 2);
  EXPECT_THAT(Faults(input), ElementsAre("0: too_many_requests"));
  EXPECT_THAT(input.faults[0].message, HasSubstr("has 3 lines, expected at most 2"));
  EXPECT_FALSE(ReadBatchInput("/no/such/file", {}).ok());
}

TEST(BatchInputTest, ALineThatKillsAsItIsReadHasAFault) {
  const std::string path = ::testing::TempDir() + "/input.jsonl";
  std::ofstream(path) << Line("1") << Line("2") << Line("3");
  std::filesystem::remove(path + ".attempts");
  for (int deaths = 0; deaths < 2; ++deaths)
    EXPECT_TRUE((*AttemptLog::Open(path + ".attempts", /*resume=*/true))->Read(2).ok());
  const auto log = AttemptLog::Open(path + ".attempts", /*resume=*/true);
  BatchInputRules rules = {.endpoint = "/v1/completions", .model_names = {"a"}};
  rules.attempts = log->get();
  EXPECT_THAT(Faults(*ReadBatchInput(path, rules)), ElementsAre());
  rules.max_crashes = 2;
  const BatchInput input = *ReadBatchInput(path, rules);
  EXPECT_THAT(Faults(input), ElementsAre("2: process_died"));
  EXPECT_THAT(input.faults[0].message, HasSubstr("2 processes died while they read this line"));
  EXPECT_EQ(input.lines, 3);
}

}  // namespace
}  // namespace keel::apps
