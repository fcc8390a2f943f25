#include "core/base/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::StatusIs;

std::string TempPath(const std::string& name) { return JoinPath(::testing::TempDir(), name); }

std::string WriteTemp(const std::string& name, const std::string& text) {
  const std::string path = TempPath(name);
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

TEST(FileTest, ReadsAWholeFile) {
  const std::string path = WriteTemp("whole", std::string("a\0b", 3));
  EXPECT_THAT(ReadFile(path), IsOkAndHolds(std::string("a\0b", 3)));
  EXPECT_THAT(RegularFileSize(path), IsOkAndHolds(3));
}

TEST(FileTest, ErrorsNameThePath) {
  EXPECT_THAT(ReadFile(TempPath("none")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(TempPath("none"))));
  EXPECT_THAT(ReadFile("/"), StatusIs(absl::StatusCode::kInvalidArgument,
                                      "/ is a directory, expected a regular file"));
  EXPECT_THAT(MappedFile::Open("/dev/null"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("device or pipe")));
  const std::string path = WriteTemp("large", "123456");
  EXPECT_THAT(ReadFile(path, 5), StatusIs(absl::StatusCode::kResourceExhausted,
                                          path + " has 6 bytes, the limit is 5"));
}

TEST(FileTest, RefusesAPipeWithoutWaitingForAWriter) {
  const std::string path = TempPath("pipe");
  unlink(path.c_str());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(ReadFile(path), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_FALSE(IsRegularFile(path));
}

TEST(FileTest, MappedBytesStayInPlaceWhenTheObjectMoves) {
  KEEL_ASSERT_OK_AND_ASSIGN(MappedFile first, MappedFile::Open(WriteTemp("map", "weights")));
  const uint8_t* data = first.bytes().data();
  MappedFile second = std::move(first);
  first = MappedFile();
  DropPages(second.bytes());
  PrefetchPages(second.bytes());
  EXPECT_EQ(second.bytes().data(), data);
  EXPECT_EQ(std::string(second.bytes().begin(), second.bytes().end()), "weights");
}

TEST(FileTest, MapsAnEmptyFileAsNoBytes) {
  KEEL_ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::Open(WriteTemp("empty", "")));
  EXPECT_TRUE(file.bytes().empty());
}

TEST(FileTest, JoinsPaths) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("a", "/b"), "/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
}

}  // namespace
}  // namespace keel
