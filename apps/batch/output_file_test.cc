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
    answered_.clear();
    return OutputFile::Open(path_, mode, &answered_);
  }

  const std::string path_ = ::testing::TempDir() + "/out.jsonl";
  const std::string good_ = AnsweredLine("a", "1", "{}");
  const std::string bad_ = FailedLine("b", "2", InvalidField("", "x"));
  std::vector<std::string> answered_;
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
  EXPECT_THAT(answered_, ElementsAre("a"));
  EXPECT_TRUE((*file)->Begin().ok());
  EXPECT_TRUE((*file)->Append("x\n").ok());
  EXPECT_EQ(Content(), good_ + "x\n");
}

TEST_F(OutputFileTest, ResumeDropsFailuresAndATornLine) {
  SetContent(bad_ + good_ + good_.substr(0, 30));
  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  const auto file = Open(Mode::kResume);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_THAT(answered_, ElementsAre("a"));
  EXPECT_TRUE((*file)->Append("x\n").ok());
  EXPECT_EQ(Content(), good_ + "x\n");
  EXPECT_FALSE(std::filesystem::exists(path_ + ".part"));
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640U);
}

TEST_F(OutputFileTest, ResumeEndsALineThatLacksOnlyItsEnd) {
  SetContent(good_.substr(0, good_.size() - 1));
  ASSERT_TRUE(Open(Mode::kResume).ok());
  EXPECT_THAT(answered_, ElementsAre("a"));
  EXPECT_EQ(Content(), good_);
}

TEST_F(OutputFileTest, ResumeOfNothingStarts) {
  ASSERT_TRUE(Open(Mode::kResume).ok());
  EXPECT_THAT(answered_, IsEmpty());
}

// A mistyped --output must not cost a file.
TEST_F(OutputFileTest, ResumeLeavesOtherFilesAlone) {
  const std::string other = "{\"prompt\": \"precious\"}\n{\"prompt\": \"data\"}\n";
  SetContent(other);
  EXPECT_THAT(Open(Mode::kResume).status().message(),
              HasSubstr("line 1, is no output of a batch; name another file"));
  EXPECT_EQ(Content(), other);
}

TEST_F(OutputFileTest, OneJobAtATime) {
  const auto first = Open(Mode::kNew);
  ASSERT_TRUE(first.ok());
  EXPECT_THAT(Open(Mode::kNew).status().message(), HasSubstr("is being written by another batch"));
}

TEST_F(OutputFileTest, ErrorsNameTheFile) {
  EXPECT_EQ(OutputFile::Open("/no/such/dir/out", Mode::kNew, &answered_).status().message(),
            "--output /no/such/dir/out cannot be written: No such file or directory");
  EXPECT_THAT(OutputFile::Open("-", Mode::kResume, &answered_).status().message(),
              HasSubstr("--resume and --overwrite need a file"));
  const auto full = OutputFile::Open("/dev/full", Mode::kNew, &answered_);
  ASSERT_TRUE(full.ok()) << full.status().message();
  EXPECT_EQ((*full)->Append("x\n").message(),
            "--output /dev/full cannot be written: No space left on device");
}

}  // namespace
}  // namespace keel::apps
