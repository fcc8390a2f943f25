#include "apps/batch/output_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "apps/batch/batch_line.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Mode = OutputFile::Mode;

class OutputFileTest : public ::testing::Test {
 protected:
  OutputFileTest() { std::filesystem::remove(path_); }

  std::string Content() {
    std::ifstream file(path_);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  void SetContent(const std::string& text) { std::ofstream(path_) << text; }
  Result<std::unique_ptr<OutputFile>> Open(Mode mode) {
    earlier_ = {};
    return OutputFile::Open("--output", path_, mode, &earlier_);
  }

  const std::string path_ = ::testing::TempDir() + "/out.jsonl";
  const std::string good_ = AnsweredLine("a", "1", "{}");
  const std::string bad_ = FailedLine("b", "2", InvalidField("", "x"));
  EarlierLines earlier_;
};

TEST_F(OutputFileTest, WritesIntoANewOrAnEmptyFile) {
  for (const bool exists : {false, true}) {
    if (exists) SetContent("");
    const auto file = Open(Mode::kNew);
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_TRUE((*file)->Begin().ok());
    EXPECT_TRUE((*file)->Append("x\n").ok());
    EXPECT_TRUE((*file)->Append("y\n").ok());
    EXPECT_EQ(Content(), "x\ny\n");
  }
}

TEST_F(OutputFileTest, ContentIsNotOverwrittenUnasked) {
  SetContent(good_);
  EXPECT_THAT(Open(Mode::kNew).status().message(),
              HasSubstr("has something in it; go on with it by --resume, or drop it"));
  const auto file = Open(Mode::kOverwrite);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(Content(), good_);  // not before it is known that the job can begin
  EXPECT_TRUE((*file)->Begin().ok());
  EXPECT_EQ(Content(), "");
}

TEST_F(OutputFileTest, ResumeKeepsAnswers) {
  SetContent(good_);
  const auto file = Open(Mode::kResume);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_THAT(earlier_.answered, ElementsAre("a"));
  EXPECT_TRUE((*file)->Begin().ok());
  EXPECT_TRUE((*file)->Append("x\n").ok());
  EXPECT_EQ(Content(), good_ + "x\n");
}

TEST_F(OutputFileTest, FailuresAreDroppedToBeRunAgain) {
  SetContent(bad_ + good_ + good_.substr(0, 30));
  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  const auto file = Open(Mode::kRetryFailed);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_THAT(earlier_.answered, ElementsAre("a"));
  EXPECT_TRUE((*file)->Append("x\n").ok());
  EXPECT_EQ(Content(), good_ + "x\n");
  EXPECT_FALSE(std::filesystem::exists(path_ + ".part"));
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640U);
}

TEST_F(OutputFileTest, NothingButFailuresMayBeDropped) {
  SetContent(bad_);
  const auto file = Open(Mode::kRetryFailed);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(Content(), "");
}

TEST_F(OutputFileTest, ResumeKeepsFailuresAndCutsATornLine) {
  for (size_t n = 1; n + 2 < good_.size(); n += 3) {
    SetContent(bad_ + good_ + good_.substr(0, n));
    const auto file = Open(Mode::kResume);
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_THAT(earlier_.answered, ElementsAre("a"));
    EXPECT_THAT(earlier_.failed, ElementsAre("b"));
    EXPECT_TRUE((*file)->Append("x\n").ok());
    EXPECT_TRUE((*file)->Sync().ok());
    EXPECT_EQ(Content(), bad_ + good_ + "x\n");
  }
}

TEST_F(OutputFileTest, ResumeEndsALineThatLacksOnlyItsEnd) {
  SetContent(good_.substr(0, good_.size() - 1));
  ASSERT_TRUE(Open(Mode::kResume).ok());
  EXPECT_THAT(earlier_.answered, ElementsAre("a"));
  EXPECT_EQ(Content(), good_);
}

TEST_F(OutputFileTest, ResumeOfNothingStarts) {
  ASSERT_TRUE(Open(Mode::kResume).ok());
  EXPECT_THAT(earlier_.answered, IsEmpty());
}

// A mistyped --output must not cost a file.
TEST_F(OutputFileTest, ResumeLeavesOtherFilesAlone) {
  const std::string other = "{\"prompt\": \"precious\"}\n{\"prompt\": \"data\"}\n";
  SetContent(other);
  EXPECT_THAT(Open(Mode::kResume).status().message(),
              HasSubstr("line 1, is no output of a batch; name another file"));
  EXPECT_EQ(Content(), other);
  SetContent("a note without an end");
  EXPECT_THAT(Open(Mode::kResume).status().message(), HasSubstr("line 1, is no output of a batch"));
  EXPECT_EQ(Content(), "a note without an end");
}

TEST_F(OutputFileTest, OneJobAtATime) {
  const auto first = Open(Mode::kNew);
  ASSERT_TRUE(first.ok());
  EXPECT_THAT(Open(Mode::kNew).status().message(), HasSubstr("is being written by another batch"));
}

TEST_F(OutputFileTest, ErrorsNameTheFile) {
  EXPECT_EQ(
      OutputFile::Open("--output", "/no/such/dir/out", Mode::kNew, &earlier_).status().message(),
      "--output /no/such/dir/out cannot be written: No such file or directory");
  EXPECT_THAT(OutputFile::Open("--output", "-", Mode::kResume, &earlier_).status().message(),
              HasSubstr("--overwrite need a file, and --output is standard output"));
  const auto full = OutputFile::Open("--output", "/dev/full", Mode::kNew, &earlier_);
  ASSERT_TRUE(full.ok()) << full.status().message();
  EXPECT_EQ((*full)->Append("x\n").message(),
            "--output /dev/full cannot be written: No space left on device");
}

}  // namespace
}  // namespace keel::apps
