#include "apps/batch/batch_job.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

std::string Chat(const std::string& id, const std::string& text) {
  return json::serialize(
             json::object{{"custom_id", id},
                          {"method", "POST"},
                          {"url", "/v1/chat/completions"},
                          {"body", {{"messages", {{{"role", "user"}, {"content", text}}}}}}}) +
         "\n";
}

class BatchJobTest : public ::testing::Test {
 protected:
  // Runs `input`; what it wrote is in lines_.
  Status Run(const std::string& input, BatchOptions options = {}) {
    std::ofstream(input_path_) << input;
    std::filesystem::remove(output_path_);
    auto engine = Engine::Create(engine_options_);
    EXPECT_TRUE(engine.ok());
    const int fd = open(input_path_.c_str(), O_RDONLY);
    LineReader reader(fd, "--input in", 100'000);
    EarlierLines none;
    auto output = OutputFile::Open("--output", output_path_, OutputFile::Mode::kNew, &none);
    EXPECT_TRUE(output.ok());
    std::filesystem::remove(errors_path_);
    auto errors = OutputFile::Open("--errors", errors_path_, OutputFile::Mode::kNew, &none);
    EXPECT_TRUE(errors.ok());
    BatchJob job(*engine, {"fake"}, reader, **output, separate_errors_ ? **errors : **output,
                 std::move(options), earlier_);
    job_ = &job;
    std::jthread stopper;
    if (stop_after_.count() > 0) {
      stopper = std::jthread([&job, wait = stop_after_] {
        std::this_thread::sleep_for(wait);
        job.Stop();
      });
    }
    Status status = job.Run();
    counts_ = job.counts();
    is_interrupted_ = job.is_interrupted();
    close(fd);
    lines_ = ReadLines(output_path_);
    error_lines_ = ReadLines(errors_path_);
    return status;
  }
  static std::vector<json::value> ReadLines(const std::string& path) {
    std::vector<json::value> lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) lines.push_back(json::parse(line));
    return lines;
  }
  // "custom_id: text" or "custom_id: status message" of each line.
  std::vector<std::string> Summary() { return Summary(lines_); }
  static std::vector<std::string> Summary(const std::vector<json::value>& lines) {
    std::vector<std::string> all;
    for (const json::value& line : lines) {
      std::string text = std::string(line.at("custom_id").as_string()) + ": ";
      const json::value& response = line.at("response");
      if (response.is_null()) {
        all.push_back(text + std::string(line.at("error").at("code").as_string()));
        continue;
      }
      const json::value& body = response.at("body");
      if (line.at("error").is_null()) {
        EXPECT_EQ(response.at("status_code"), 200);
        const json::value& choice = body.at("choices").at(0);
        text += choice.as_object().contains("text")
                    ? choice.at("text").as_string()
                    : choice.at("message").at("content").as_string();
      } else {
        text += json::serialize(response.at("status_code")) + " ";
        text += line.at("error").at("message").as_string();
      }
      all.push_back(std::move(text));
    }
    return all;
  }

  const std::string input_path_ = ::testing::TempDir() + "/in.jsonl";
  const std::string output_path_ = ::testing::TempDir() + "/out.jsonl";
  Options engine_options_;
  const std::string errors_path_ = ::testing::TempDir() + "/errors.jsonl";
  bool separate_errors_ = false;
  EarlierLines earlier_;
  BatchJob* job_ = nullptr;  // while it runs
  std::chrono::milliseconds stop_after_{0};
  std::vector<json::value> lines_, error_lines_;
  BatchCounts counts_;
  bool is_interrupted_ = false;
};

TEST_F(BatchJobTest, EveryLineGetsItsAnswer) {
  const Status status =
      Run(Chat("a", "one") +
          R"({"custom_id":"b","method":"POST","url":"/v1/completions","body":{"prompt":"two"}})"
          "\n\n" +
          Chat("c", "three"));
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_THAT(Summary(), UnorderedElementsAre("a: one", "b: two", "c: three"));
  EXPECT_EQ(counts_.lines, 3);
  EXPECT_EQ(counts_.answered, 3);
  EXPECT_EQ(counts_.output_tokens, 3U + 3 + 5 + 3);  // and an end for each
  EXPECT_FALSE(is_interrupted_);
  for (const json::value& line : lines_) {
    const json::value& body = line.at("response").at("body");
    EXPECT_EQ(body.at("model"), "fake");
    const bool is_chat = line.at("custom_id") != "b";
    EXPECT_EQ(body.at("object"), is_chat ? "chat.completion" : "text_completion");
  }
}

TEST_F(BatchJobTest, ABadLineIsAnsweredWithItsNumberAndStopsNothing) {
  const Status status =
      Run("nonsense\n" + Chat("a", "one") +
          R"({"custom_id":"x","method":"POST"})"
          "\n" +
          Chat("a", "again") + Chat("f", "[fail] at the third token") + std::string(200'000, ' ') +
          "\n" + Chat("long", std::string(5000, 'x')) + Chat("z", "last"));
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_THAT(
      Summary(),
      UnorderedElementsAre(
          HasSubstr("line-1: 400 line 1: the line is no valid JSON"), "a: one",
          HasSubstr("x: 400 line 3: url is missing"),
          HasSubstr("line-4: 400 line 4: custom_id 'a' is that of line 2 too"),
          "f: 500 line 5: the step failed",
          "line-6: 400 line 6: the line is longer than --max-line-bytes allows (100000 bytes)",
          HasSubstr("long: 400 line 7: the prompt has 50"), "z: last"));
  EXPECT_EQ(counts_.failed, 6);
  ASSERT_EQ(counts_.reasons.size(), 3U);
  EXPECT_THAT(counts_.reasons[0], HasSubstr("line 1: the line is no valid JSON"));
  EXPECT_EQ(counts_.answered, 2);
}

TEST_F(BatchJobTest, WritesAsLinesFinishOrInOrder) {
  ASSERT_TRUE(engine_options_.Set("step-ms", "1").ok());
  const std::string input = Chat("slow", std::string(60, 's')) + Chat("quick", "q");
  EXPECT_TRUE(Run(input).ok());
  EXPECT_THAT(Summary(), ElementsAre("quick: q", "slow: " + std::string(60, 's')));
  EXPECT_TRUE(Run("bad\n" + input + "bad\n", {.keep_order = true}).ok());
  EXPECT_THAT(Summary(), ElementsAre(HasSubstr("line 1"), "slow: " + std::string(60, 's'),
                                     "quick: q", HasSubstr("line 4")));
}

TEST_F(BatchJobTest, ManyMoreLinesThanRunAtOnce) {
  std::string input;
  for (int i = 0; i < 1000; ++i) input += Chat(std::to_string(i), "text");
  EXPECT_TRUE(Run(input, {.max_in_flight = 7}).ok());
  EXPECT_EQ(counts_.answered, 1000);
  EXPECT_EQ(lines_.size(), 1000U);
}

// A line may hold more prompts than the engine takes beside the others.
TEST_F(BatchJobTest, WaitsForRoomInTheEngine) {
  ASSERT_TRUE(engine_options_.Set("max-waiting", "5").ok());
  ASSERT_TRUE(engine_options_.Set("step-ms", "1").ok());
  const Status status = Run(Chat("a", "one") + Chat("b", "two") +
                            R"({"custom_id":"c","method":"POST","url":"/v1/completions",)"
                            R"("body":{"prompt":["1","2","3","4"]}})"
                            "\n" +
                            Chat("d", "four"));
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_THAT(Summary(), UnorderedElementsAre("a: one", "b: two", "c: 1", "d: four"));
}

TEST_F(BatchJobTest, WhatAnEarlierRunAnsweredIsSkipped) {
  earlier_ = {.answered = {"a"}, .failed = {"line-3"}};
  EXPECT_TRUE(Run(Chat("a", "one") + Chat("b", "two") + "no json\n").ok());
  EXPECT_THAT(Summary(), ElementsAre("b: two"));
  EXPECT_EQ(counts_.answered_before, 1);
  EXPECT_EQ(counts_.failed_before, 1);
  EXPECT_EQ(counts_.lines, 3);
}

// The error of a line must not stand for the line whose name it repeats: that one may not be answered
// yet when the process is killed.
TEST_F(BatchJobTest, ARepeatedNameIsNotTakenForItsFirstLine) {
  earlier_ = {.answered = {}, .failed = {"line-2"}};
  EXPECT_TRUE(Run(Chat("a", "one") + Chat("a", "again")).ok());
  EXPECT_THAT(Summary(), ElementsAre("a: one"));
  EXPECT_EQ(counts_.failed_before, 1);
}

TEST_F(BatchJobTest, FailuresGoToAFileOfTheirOwn) {
  separate_errors_ = true;
  EXPECT_TRUE(Run(Chat("a", "one") + "no json\n" + Chat("b", "two"), {.keep_order = true}).ok());
  EXPECT_THAT(Summary(), ElementsAre("a: one", "b: two"));
  EXPECT_THAT(Summary(error_lines_), ElementsAre(HasSubstr("line-2: 400")));
}

TEST_F(BatchJobTest, AShardIsEveryNthLine) {
  std::string input;
  for (int i = 1; i <= 7; ++i) input += Chat(std::to_string(i), "x");
  EXPECT_TRUE(Run(input, {.keep_order = true, .shard = {.index = 1, .count = 3}}).ok());
  EXPECT_THAT(Summary(), ElementsAre("2: x", "5: x"));
  EXPECT_EQ(counts_.lines, 2);
}

TEST_F(BatchJobTest, WhatTheEngineFailedIsRunAgain) {
  const std::string input = Chat("a", "[fail] always") + Chat("b", "[fail once] two");
  EXPECT_TRUE(Run(input, {.retries = 1}).ok());
  EXPECT_THAT(Summary(),
              UnorderedElementsAre("a: 500 line 1: the step failed", "b: [fail once] two"));
  EXPECT_TRUE(Run(input, {.keep_order = true, .retries = 3}).ok());
  EXPECT_THAT(Summary(), ElementsAre("a: 500 line 1: the step failed", "b: [fail once] two"));
}

TEST_F(BatchJobTest, TheRestCanBeRefused) {
  ASSERT_TRUE(engine_options_.Set("step-ms", "5").ok());
  separate_errors_ = true;
  const std::string input =
      Chat("quick", "q") + Chat("slow", std::string(3000, 's')) + Chat("c", "three") + "no json\n";
  BatchOptions options{.max_in_flight = 2};
  options.on_progress = [this](const BatchCounts& counts) {
    if (counts.answered == 1) job_->RefuseRest("batch_expired", "too late");
  };
  EXPECT_TRUE(Run(input, std::move(options)).ok());
  EXPECT_THAT(Summary(), ElementsAre("quick: q"));
  EXPECT_THAT(Summary(error_lines_), UnorderedElementsAre("slow: batch_expired", "c: batch_expired",
                                                          "line-4: batch_expired"));
  EXPECT_EQ(counts_.failed, 3);
}

TEST_F(BatchJobTest, WhatRunsCanBeDropped) {
  ASSERT_TRUE(engine_options_.Set("step-ms", "5").ok());
  BatchOptions options{.max_in_flight = 2};
  options.on_progress = [this](const BatchCounts& counts) {
    if (counts.answered == 1) job_->Drop();
  };
  EXPECT_TRUE(Run(Chat("quick", "q") + Chat("slow", std::string(3000, 's')), options).ok());
  EXPECT_THAT(Summary(), ElementsAre("quick: q"));
  EXPECT_TRUE(is_interrupted_);
}

// One line goes on, whatever the others do.
TEST_F(BatchJobTest, LeavesRoomToOthers) {
  std::string input;
  for (int i = 0; i < 20; ++i) input += Chat(std::to_string(i), "text");
  EXPECT_TRUE(Run(input, {.max_in_flight = 8, .num_others = [] { return size_t{100}; }}).ok());
  EXPECT_EQ(counts_.answered, 20);
}

TEST_F(BatchJobTest, StopFinishesWhatRuns) {
  ASSERT_TRUE(engine_options_.Set("step-ms", "5").ok());
  std::string input;
  for (int i = 0; i < 1000; ++i) input += Chat(std::to_string(i), "twenty tokens or so.");
  stop_after_ = std::chrono::milliseconds(150);
  EXPECT_TRUE(Run(input, {.max_in_flight = 2}).ok());
  EXPECT_TRUE(is_interrupted_);
  EXPECT_GE(lines_.size(), 2U);
  EXPECT_LT(lines_.size(), 500U);
  for (const std::string& line : Summary()) EXPECT_THAT(line, HasSubstr(": twenty tokens or so."));
}

TEST_F(BatchJobTest, ALineThatKillsAsItIsReadIsReadNoMore) {
  const std::string path = output_path_ + ".attempts";
  std::filesystem::remove(path);
  for (int deaths = 0; deaths < 3; ++deaths) {
    const auto log = AttemptLog::Open(path, /*resume=*/true);
    ASSERT_TRUE(log.ok());
    EXPECT_TRUE((*log)->Read(2).ok());
  }
  const std::string input = Chat("a", "one") + Chat("b", "two") + Chat("c", "three");
  const auto log = AttemptLog::Open(path, /*resume=*/true);
  EXPECT_TRUE(Run(input, {.attempts = log->get(), .max_crashes = 4}).ok());
  EXPECT_THAT(Summary(), UnorderedElementsAre("a: one", "b: two", "c: three"));
  EXPECT_TRUE(Run(input, {.attempts = log->get(), .max_crashes = 3}).ok());
  EXPECT_THAT(Summary(), UnorderedElementsAre("a: one", "line-2: process_died", "c: three"));
}

TEST_F(BatchJobTest, AnEngineThatFailsEndsTheJob) {
  std::string input = Chat("a", "one") + Chat("b", "[die]");
  for (int i = 0; i < 200; ++i) input += Chat(std::to_string(i), "text");
  const Status status = Run(input, {.max_in_flight = 1});
  EXPECT_THAT(status.message(), HasSubstr("the engine's thread failed"));
  EXPECT_THAT(Summary()[0], "a: one");
  EXPECT_LT(lines_.size(), 10U);
}

TEST_F(BatchJobTest, NoInputIsNoError) {
  EXPECT_TRUE(Run("").ok());
  EXPECT_EQ(counts_.lines, 0);
}

}  // namespace
}  // namespace keel::apps
