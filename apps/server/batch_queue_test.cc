#include "apps/server/batch_queue.h"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace json = boost::json;
namespace fs = std::filesystem;
namespace {

using std::chrono::milliseconds;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string Line(const std::string& id, const std::string& prompt) {
  return R"({"custom_id":")" + id +
         R"(","method":"POST","url":"/v1/completions","body":{"max_tokens":4000,"prompt":")" +
         prompt + R"("}})" + "\n";
}

class BatchQueueTest : public ::testing::Test {
 protected:
  BatchQueueTest() {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~BatchQueueTest() override { Stop(); }

  // A server's life.
  void Start() {
    database_ = std::move(Database::Open(folder_ + "/test.sqlite")).value();
    files_ = std::move(FileStore::Create(*database_, folder_, 0)).value();
    batches_ = std::move(BatchStore::Create(*database_)).value();
    engine_ = std::make_shared<Engine>(std::move(Engine::Create(engine_options_)).value());
    BatchQueueOptions options{.model_names = {"fake"},
                              .acquire = [this](const std::string&) { return Acquire(); },
                              .num_calls = [] { return size_t{0}; },
                              .max_in_flight = 4,
                              .try_again = milliseconds(20)};
    queue_ = std::make_unique<BatchQueue>(*files_, *batches_, std::move(options));
    queue_->Start();
  }
  void Stop() {
    queue_ = nullptr;
    engine_ = nullptr;
    batches_ = nullptr;
    files_ = nullptr;
    database_ = nullptr;
  }
  Result<std::shared_ptr<Engine>> Acquire() {
    if (refusals_.empty()) return engine_;
    Status status = refusals_.back();
    refusals_.pop_back();
    return status;
  }

  std::string Add(const std::string& lines, int64_t seconds = 3600) {
    Batch batch{.id = {},
                .endpoint = "/v1/completions",
                .input_file_id = files_->Add("in.jsonl", "batch", lines, std::nullopt)->id,
                .completion_window = "1h"};
    batch.Enter(BatchStatus::kValidating, Now());
    batch.expires_at = Now() + seconds;
    EXPECT_TRUE(batches_->Add(&batch).ok());
    queue_->Wake();
    return batch.id;
  }
  Batch Find(const std::string& id) { return batches_->Find(id).value(); }
  template <typename Condition>
  void WaitUntil(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition() && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(milliseconds(2));
    ASSERT_TRUE(condition());
  }
  Batch WaitForEnd(const std::string& id) {
    WaitUntil([&] { return HasEnded(Find(id).status); });
    return Find(id);
  }
  // custom_ids of a file's lines, or their error codes.
  std::vector<std::string> Lines(const std::string& id, const char* what = "custom_id") {
    std::ifstream file(files_->PathOf(id));
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) {
      const json::value value = json::parse(line);
      const json::object& from =
          std::string(what) == "code" ? value.at("error").as_object() : value.as_object();
      all.emplace_back(from.at(what).as_string());
    }
    return all;
  }

  const std::string folder_ = ::testing::TempDir() + "/queue";
  keel::Options engine_options_;
  std::vector<Status> refusals_;  // of Acquire, the last one first
  std::unique_ptr<Database> database_;
  std::unique_ptr<FileStore> files_;
  std::unique_ptr<BatchStore> batches_;
  std::shared_ptr<Engine> engine_;
  std::unique_ptr<BatchQueue> queue_;
};

TEST_F(BatchQueueTest, ABatchBecomesTwoFiles) {
  Start();
  const std::string id = Add(Line("a", "one") + Line("b", "[fail]") + Line("c", "two"));
  const Batch batch = WaitForEnd(id);
  EXPECT_EQ(batch.status, BatchStatus::kCompleted);
  EXPECT_EQ(batch.model, "fake");
  EXPECT_EQ(batch.counts, (RequestCounts{.total = 3, .completed = 2, .failed = 1}));
  ASSERT_TRUE(batch.usage.has_value());
  EXPECT_EQ(batch.usage->output, 8);  // "one" and "two", a letter a token, and their ends
  EXPECT_EQ(LoadBatch(SaveBatch(batch))->usage, batch.usage);
  EXPECT_EQ(batch.times.count(BatchStatus::kInProgress), 1u);
  EXPECT_THAT(Lines(batch.output_id), ::testing::UnorderedElementsAre("a", "c"));
  EXPECT_THAT(Lines(batch.errors_id), ElementsAre("b"));
  EXPECT_EQ(files_->Find(batch.output_id)->purpose, "batch_output");
  EXPECT_EQ(files_->Find(batch.errors_id)->name, id + "_error.jsonl");
  EXPECT_THAT(queue_->FilesInUse().value(), SizeIs(0));
}

TEST_F(BatchQueueTest, AFileWithNothingInItIsNone) {
  Start();
  const Batch batch = WaitForEnd(Add(Line("a", "one")));
  EXPECT_TRUE(batch.has_output);
  EXPECT_FALSE(batch.has_errors);
  EXPECT_FALSE(fs::exists(files_->PathOf(batch.errors_id)));
}

TEST_F(BatchQueueTest, ABadInputFailsTheBatch) {
  Start();
  const Batch batch = WaitForEnd(Add(Line("a", "one") + Line("a", "two")));
  EXPECT_EQ(batch.status, BatchStatus::kFailed);
  ASSERT_THAT(batch.faults, SizeIs(1));
  EXPECT_EQ(batch.faults[0].code, "duplicate_custom_id");
  EXPECT_EQ(batch.faults[0].line, 2);
}

TEST_F(BatchQueueTest, TheNextProcessGoesOn) {
  ASSERT_TRUE(engine_options_.Set("step-ms", "1").ok());
  Start();
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += Line(std::to_string(i), "ten tokens");
  const std::string id = Add(lines);
  for (const uintmax_t bytes : {1000, 20000}) {
    WaitUntil([&] {
      std::error_code error;
      const auto size = fs::file_size(files_->PathOf(Find(id).output_id), error);
      return !error && size > bytes;
    });
    Stop();
    Start();
    EXPECT_EQ(Find(id).status, BatchStatus::kInProgress);
  }
  const Batch batch = WaitForEnd(id);
  EXPECT_EQ(batch.counts, (RequestCounts{.total = 200, .completed = 200, .failed = 0}));
  const std::vector<std::string> written = Lines(batch.output_id);
  EXPECT_THAT(written, SizeIs(200));
  EXPECT_THAT(std::set<std::string>(written.begin(), written.end()), SizeIs(200));
}

TEST_F(BatchQueueTest, ABatchCanBeCancelled) {
  ASSERT_TRUE(engine_options_.Set("step-ms", "5").ok());
  Start();
  const std::string id = Add(Line("quick", "q") + Line("slow", std::string(3000, 's')));
  const std::string next = Add(Line("a", "one"));
  WaitUntil([&] { return Find(id).status == BatchStatus::kInProgress; });
  EXPECT_EQ(queue_->Cancel(next)->status, BatchStatus::kCancelled);
  WaitUntil([&] { return !Lines(Find(id).output_id).empty(); });
  EXPECT_EQ(queue_->Cancel(id)->status, BatchStatus::kCancelling);
  const Batch batch = WaitForEnd(id);
  EXPECT_EQ(batch.status, BatchStatus::kCancelled);
  EXPECT_THAT(Lines(batch.output_id), ElementsAre("quick"));
  EXPECT_THAT(Lines(batch.errors_id, "code"), ElementsAre("batch_cancelled"));
  EXPECT_EQ(batch.counts, (RequestCounts{.total = 2, .completed = 1, .failed = 1}));
  EXPECT_THAT(queue_->Cancel(id).status().message(), HasSubstr("is cancelled, so it cannot be"));
}

TEST_F(BatchQueueTest, ABatchExpires) {
  ASSERT_TRUE(engine_options_.Set("step-ms", "5").ok());
  Start();
  const std::string id = Add(Line("quick", "q") + Line("slow", std::string(3000, 's')), 2);
  const std::string behind = Add(Line("a", "one"), 0);
  const Batch batch = WaitForEnd(id);
  EXPECT_EQ(batch.status, BatchStatus::kExpired);
  EXPECT_THAT(Lines(batch.output_id), ElementsAre("quick"));
  EXPECT_THAT(Lines(batch.errors_id, "code"), ElementsAre("batch_expired"));
  EXPECT_EQ(WaitForEnd(behind).status, BatchStatus::kExpired);
}

TEST_F(BatchQueueTest, AModelThatCannotBeLoadedFailsTheBatchUnlessThatMayGo) {
  refusals_ = {Status(Code::kInvalidArgument, "no such model"),
               Status(Code::kResourceExhausted, "no memory")};
  Start();
  const Batch batch = WaitForEnd(Add(Line("a", "one")));
  EXPECT_EQ(batch.status, BatchStatus::kFailed);
  ASSERT_THAT(batch.faults, SizeIs(1));
  EXPECT_EQ(batch.faults[0].message, "no such model");
  EXPECT_EQ(WaitForEnd(Add(Line("b", "two"))).status, BatchStatus::kCompleted);
}

}  // namespace
}  // namespace keel::apps
