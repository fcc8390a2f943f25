#include "apps/server/store/file_store.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FileStoreTest : public ::testing::Test {
 protected:
  FileStoreTest() {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    Open();
  }
  void Open(int64_t max_bytes = 0) {
    files_ = nullptr;
    database_ = nullptr;
    database_ = std::move(Database::Open(folder_ + "/test.sqlite")).value();
    files_ = std::move(FileStore::Create(*database_, folder_, max_bytes)).value();
  }
  std::string Add(const std::string& name, const std::string& content,
                  std::optional<int64_t> expires_after = std::nullopt) {
    const auto file = files_->Add(name, "batch", content, expires_after);
    EXPECT_TRUE(file.ok()) << file.status().message();
    return file->id;
  }
  std::string Content(const std::string& id) {
    std::ifstream file(files_->PathOf(id));
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  std::vector<std::string> Names(const Page& page, const std::string& purpose = "") {
    std::vector<std::string> names;
    const Result<std::vector<StoredFile>> files = files_->List(purpose, page);
    for (const StoredFile& file : files.value()) names.push_back(file.name);
    return names;
  }

  const std::string folder_ = ::testing::TempDir() + "/files";
  std::unique_ptr<Database> database_;
  std::unique_ptr<FileStore> files_;
};

TEST_F(FileStoreTest, AFileStaysAsItWas) {
  const std::string id = Add("a.jsonl", "content");
  EXPECT_TRUE(id.starts_with("file-"));
  Open();
  const auto file = files_->Find(id);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->name, "a.jsonl");
  EXPECT_EQ(file->purpose, "batch");
  EXPECT_EQ(file->bytes, 7);
  EXPECT_EQ(file->expires_at, std::nullopt);
  EXPECT_EQ(Content(id), "content");
  EXPECT_TRUE(files_->Remove(id).ok());
  EXPECT_THAT(files_->Find(id).status().message(), HasSubstr("there is no file 'file-"));
  EXPECT_FALSE(fs::exists(files_->PathOf(id)));
}

TEST_F(FileStoreTest, ListsComeInPages) {
  std::vector<std::string> ids;
  for (const char* name : {"a", "b", "c", "d"}) ids.push_back(Add(name, name));
  EXPECT_THAT(Names({.limit = 2}), ElementsAre("d", "c", "b"));  // and one that says there is more
  EXPECT_THAT(Names({.limit = 2, .after = ids[2]}), ElementsAre("b", "a"));
  EXPECT_THAT(Names({.limit = 9, .after = ids[0], .is_descending = false}),
              ElementsAre("b", "c", "d"));
  EXPECT_THAT(Names({}, "batch_output"), ElementsAre());
}

TEST_F(FileStoreTest, AllTogetherHaveALimit) {
  Open(/*max_bytes=*/10);
  Add("a", "123456");
  EXPECT_THAT(files_->Add("b", "batch", "12345", std::nullopt).status().message(),
              HasSubstr("the file has 5 bytes and the others 6, together more than"));
  Add("c", "1234");
}

TEST_F(FileStoreTest, FilesExpire) {
  const std::string gone = Add("a", "a", 0), used = Add("b", "b", 0), later = Add("c", "c", 3600);
  EXPECT_FALSE(files_->Find(gone).ok());
  EXPECT_THAT(Names({}), ElementsAre("c"));
  EXPECT_TRUE(files_->RemoveExpired({used}).ok());
  EXPECT_FALSE(fs::exists(files_->PathOf(gone)));
  EXPECT_TRUE(fs::exists(files_->PathOf(used)));
  EXPECT_TRUE(fs::exists(files_->PathOf(later)));
}

TEST_F(FileStoreTest, WhatAKillLeavesIsRemoved) {
  const std::string kept = Add("a", "a"), running = FileStore::NewId(), stray = FileStore::NewId();
  for (const std::string& name : {running, stray, stray + ".part", std::string("note")})
    std::ofstream(folder_ + "/" + name) << "x";
  EXPECT_TRUE(files_->RemoveStrays({running}).ok());
  for (const std::string& name : {kept, running, std::string("note")})
    EXPECT_TRUE(fs::exists(folder_ + "/" + name)) << name;
  EXPECT_FALSE(fs::exists(folder_ + "/" + stray));
  EXPECT_FALSE(fs::exists(folder_ + "/" + stray + ".part"));
}

TEST_F(FileStoreTest, AFileOfABatchIsTakenOver) {
  const std::string id = FileStore::NewId();
  std::ofstream(files_->PathOf(id)) << "four";
  const auto file = files_->Adopt(id, "out", "batch_output", 60);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->bytes, 4);
  EXPECT_EQ(file->expires_at, file->created_at + 60);
  EXPECT_THAT(Names({}, "batch_output"), ElementsAre("out"));
}

}  // namespace
}  // namespace keel::apps
