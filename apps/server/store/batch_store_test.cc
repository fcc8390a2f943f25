#include "apps/server/store/batch_store.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Batch NewBatch(const std::string& name) {
  Batch batch{.id = {},
              .endpoint = "/v1/completions",
              .input_file_id = "file-1",
              .completion_window = "24h",
              .metadata = {{"name", name}}};
  batch.Enter(BatchStatus::kValidating, 1000);
  batch.expires_at = 1000 + 24 * 3600;
  return batch;
}

std::vector<std::string> Names(const Result<std::vector<Batch>>& batches) {
  std::vector<std::string> names;
  for (const Batch& batch : batches.value())
    names.emplace_back(batch.metadata.at("name").as_string());
  return names;
}

class BatchStoreTest : public ::testing::Test {
 protected:
  std::string Add(const std::string& name) {
    Batch batch = NewBatch(name);
    EXPECT_TRUE(batches_->Add(&batch).ok());
    return batch.id;
  }

  const std::unique_ptr<Database> database_ = std::move(Database::Open(":memory:")).value();
  const std::unique_ptr<BatchStore> batches_ = std::move(BatchStore::Create(*database_)).value();
};

TEST_F(BatchStoreTest, ClientsGetOpenAisObject) {
  Batch batch = NewBatch("x");
  batch.id = "batch_1";
  EXPECT_EQ(ToJson(batch), boost::json::parse(R"({
    "id": "batch_1", "object": "batch", "endpoint": "/v1/completions", "model": null,
    "errors": null, "input_file_id": "file-1", "completion_window": "24h", "status": "validating",
    "output_file_id": null, "error_file_id": null, "created_at": 1000, "in_progress_at": null,
    "expires_at": 87400, "finalizing_at": null, "completed_at": null, "failed_at": null,
    "expired_at": null, "cancelling_at": null, "cancelled_at": null,
    "request_counts": {"total": 0, "completed": 0, "failed": 0}, "usage": null,
    "metadata": {"name": "x"}})"));
  batch.faults = {{.code = "duplicate_custom_id", .message = "m", .param = "custom_id", .line = 3}};
  EXPECT_EQ(ToJson(batch).at("errors"), boost::json::parse(R"({"object": "list", "data": [
    {"code": "duplicate_custom_id", "message": "m", "param": "custom_id", "line": 3}]})"));
}

TEST_F(BatchStoreTest, ABatchStaysAsItWas) {
  Batch batch = NewBatch("x");
  batch.model = "demo";
  batch.Enter(BatchStatus::kFinalizing, 2000);
  batch.counts = {.total = 9, .completed = 7, .failed = 2};
  batch.faults = {{.code = "c", .message = "m"}};
  batch.output_id = "file-o";
  batch.errors_id = "file-e";
  batch.has_errors = true;
  batch.output_expires_after = 3600;
  ASSERT_TRUE(batches_->Add(&batch).ok());
  const Batch same = batches_->Find(batch.id).value();
  EXPECT_EQ(SaveBatch(same), SaveBatch(batch));
  EXPECT_EQ(same.output_expires_after, 3600);
  EXPECT_EQ(ToJson(same).at("error_file_id"), "file-e");
  EXPECT_TRUE(ToJson(same).at("output_file_id").is_null());
  EXPECT_THAT(batches_->Find("batch_0").status().message(), HasSubstr("no batch 'batch_0'"));
  EXPECT_THAT(LoadBatch("{}").status().message(), HasSubstr("cannot be read"));
}

TEST_F(BatchStoreTest, AChangeIsWholeOrNone) {
  const std::string id = Add("x");
  const auto failed = batches_->Change(id, [&](Batch& batch) {
    batch.model = "other";
    EXPECT_TRUE(database_->Run("CREATE TABLE t (a)").ok());
    return Status(Code::kInternal, "no");
  });
  EXPECT_EQ(failed.status().message(), "no");
  EXPECT_EQ(batches_->Find(id)->model, "");
  EXPECT_FALSE(database_->Run("SELECT * FROM t").ok());
  const auto changed = batches_->Change(id, [](Batch& batch) {
    batch.Enter(BatchStatus::kFailed, 1);
    return Status();
  });
  EXPECT_EQ(changed->status, BatchStatus::kFailed);
  EXPECT_EQ(batches_->Find(id)->times.at(BatchStatus::kFailed), 1);
}

TEST_F(BatchStoreTest, ListsComeInPagesAndThoseThatRunInOrder) {
  std::vector<std::string> ids;
  for (const char* name : {"a", "b", "c"}) ids.push_back(Add(name));
  EXPECT_THAT(Names(batches_->List({.limit = 1})), ElementsAre("c", "b"));
  EXPECT_THAT(Names(batches_->List({.limit = 5, .after = ids[1]})), ElementsAre("a"));
  ASSERT_TRUE(batches_
                  ->Change(ids[0],
                           [](Batch& batch) {
                             batch.Enter(BatchStatus::kCompleted, 1);
                             return Status();
                           })
                  .ok());
  EXPECT_THAT(Names(batches_->Unfinished()), ElementsAre("b", "c"));
}

}  // namespace
}  // namespace keel::apps
