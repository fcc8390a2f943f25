#include "apps/batch/line_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using ::testing::ElementsAre;
using Next = LineReader::Next;

// A pipe that a test writes into.
class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe(fds_), 0); }
  ~Pipe() {
    Close();
    close(fds_[0]);
  }
  void Write(std::string_view text) {
    EXPECT_EQ(write(fds_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void Close() {
    if (fds_[1] >= 0) close(fds_[1]);
    fds_[1] = -1;
  }
  int fd() const { return fds_[0]; }

 private:
  int fds_[2];
};

// "number:text" of all lines, "!" for those that are too long.
std::vector<std::string> ReadAll(std::string_view text, size_t max_line_bytes = 100) {
  Pipe pipe;
  pipe.Write(text);
  pipe.Close();
  LineReader reader(pipe.fd(), "input", max_line_bytes);
  std::vector<std::string> lines;
  LineReader::Line line;
  while (reader.Read(&line).value() == Next::kLine) {
    lines.push_back(std::to_string(line.number) + ":" + (line.is_too_long ? "!" : line.text));
  }
  return lines;
}

TEST(LineReaderTest, EndsOfLinesMayBeMissingOrOfWindows) {
  EXPECT_THAT(ReadAll(""), ElementsAre());
  EXPECT_THAT(ReadAll("a\nb"), ElementsAre("1:a", "2:b"));
  EXPECT_THAT(ReadAll("a\r\n\r\nb\n"), ElementsAre("1:a", "2:", "3:b"));
  EXPECT_THAT(ReadAll("\n"), ElementsAre("1:"));
  EXPECT_THAT(ReadAll("\xEF\xBB\xBF{}\n\xEF\xBB\xBF"), ElementsAre("1:{}", "2:\xEF\xBB\xBF"));
}

TEST(LineReaderTest, LinesThatAreTooLongAreMarkedAndPassed) {
  EXPECT_THAT(ReadAll("12345\n123456\n1\n", 5), ElementsAre("1:12345", "2:!", "3:1"));
  EXPECT_THAT(ReadAll("12345\r\n123456\r\n", 5), ElementsAre("1:12345", "2:!"));
  EXPECT_THAT(ReadAll(std::string(50'000, 'x'), 5), ElementsAre("1:!"));
  std::string two(50'000, 'x');
  two += "\nb";
  EXPECT_THAT(ReadAll(two, 5), ElementsAre("1:!", "2:b"));
}

TEST(LineReaderTest, LinesKnowWhereTheyBegin) {
  const std::string text = "a\r\n\n" + std::string(600'000, 'x') + "\nlast";
  const std::string path = ::testing::TempDir() + "/begins";
  std::ofstream(path, std::ios::binary) << text;
  const int fd = open(path.c_str(), O_RDONLY);
  LineReader reader(fd, "input", 1000);
  LineReader::Line line;
  std::vector<int64_t> begins;
  while (reader.Read(&line).value() == Next::kLine) begins.push_back(line.begin);
  EXPECT_THAT(begins, ElementsAre(0, 3, 4, 600'005));
  close(fd);
}

TEST(LineReaderTest, APipeIsNotWaitedFor) {
  Pipe pipe;
  LineReader reader(pipe.fd(), "input", 1 << 20);
  LineReader::Line line;
  EXPECT_EQ(reader.Read(&line).value(), Next::kWait);
  pipe.Write("beg");
  EXPECT_EQ(reader.Read(&line).value(), Next::kWait);
  pipe.Write("in\nnext");
  EXPECT_EQ(reader.Read(&line).value(), Next::kLine);
  EXPECT_EQ(line.text, "begin");
  EXPECT_EQ(reader.Read(&line).value(), Next::kWait);
  pipe.Close();
  EXPECT_EQ(reader.Read(&line).value(), Next::kLine);
  EXPECT_EQ(line.text, "next");
  EXPECT_EQ(reader.Read(&line).value(), Next::kEnd);
  EXPECT_EQ(reader.Read(&line).value(), Next::kEnd);
}

TEST(LineReaderTest, AnErrorNamesTheInput) {
  const int fd = open("/", O_RDONLY);
  LineReader reader(fd, "--input /", 100);
  LineReader::Line line;
  EXPECT_EQ(reader.Read(&line).status().message(), "--input / cannot be read: Is a directory");
  close(fd);
}

TEST(LineReaderTest, LinesOfAFileAreCounted) {
  const std::string path = ::testing::TempDir() + "/lines";
  std::ofstream(path) << "a\n\nb";
  EXPECT_EQ(CountLines(path, {}), 3);
  EXPECT_EQ(CountLines(path + ".missing", {}), 0);
}

}  // namespace
}  // namespace keel::apps
