#include "core/base/child_process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kShell[] = "/bin/sh";

absl::StatusOr<ChildResult> Script(const std::string& script, const std::string& input = "",
                                   absl::Duration wall_limit = absl::Seconds(30)) {
  return RunChild(kShell, {"-c", script}, input, wall_limit);
}

TEST(ChildProcessTest, GivesTheInputAndTakesWhatIsWritten) {
  KEEL_ASSERT_OK_AND_ASSIGN(const ChildResult result,
                            Script("cat <&3; echo to stderr >&2; exit 7", "the input\n"));
  EXPECT_EQ(result.output, "the input\nto stderr\n");
  EXPECT_FALSE(result.timed_out);
  EXPECT_TRUE(WIFEXITED(result.wait_status));
  EXPECT_EQ(WEXITSTATUS(result.wait_status), 7);
}

TEST(ChildProcessTest, AnInputMayBeLarge) {
  KEEL_ASSERT_OK_AND_ASSIGN(const ChildResult result,
                            Script("wc -c <&3", std::string(8 << 20, 'x')));
  EXPECT_THAT(result.output, HasSubstr("8388608"));
}

TEST(ChildProcessTest, KeepsTheEndOfALongOutput) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const ChildResult result,
      Script("i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; "
             "i=$((i+1)); done; echo end"));
  EXPECT_LE(result.output.size(), 64u << 10);
  EXPECT_THAT(result.output, ::testing::EndsWith("end\n"));
}

TEST(ChildProcessTest, KillsWhatTakesTooLong) {
  KEEL_ASSERT_OK_AND_ASSIGN(const ChildResult result,
                            Script("echo begun; exec sleep 60", "", absl::Milliseconds(300)));
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.output, "begun\n");
  EXPECT_TRUE(WIFSIGNALED(result.wait_status));
  EXPECT_EQ(WTERMSIG(result.wait_status), SIGKILL);
}

TEST(ChildProcessTest, NothingElseOfThisProcessReachesTheChild) {
  ::setenv("KEEL_CHILD_PROCESS_TEST", "secret", 1);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  KEEL_ASSERT_OK_AND_ASSIGN(const ChildResult result,
                            Script("ls /proc/self/fd | wc -l; echo [$KEEL_CHILD_PROCESS_TEST]"));
  close(ends[0]);
  close(ends[1]);
  // 0 to 3, and the one that ls reads the folder through.
  EXPECT_THAT(result.output, HasSubstr("5\n[]"));
}

TEST(ChildProcessTest, WorksFromManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      const std::string input = std::to_string(t);
      const auto result = Script("cat <&3", input);
      KEEL_ASSERT_OK(result);
      EXPECT_EQ(result->output, input);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ChildProcessTest, AProgramThatIsNotThereIsAnError) {
  EXPECT_THAT(RunChild("/no/such/program", {}, "", absl::Seconds(1)),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("/no/such/program")));
}

TEST(ChildProcessTest, KillsWhatClosesItsOutputAndRunsOn) {
  KEEL_ASSERT_OK_AND_ASSIGN(const ChildResult result, Script("exec >/dev/null 2>&1; exec sleep 60",
                                                             "", absl::Milliseconds(300)));
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(WTERMSIG(result.wait_status), SIGKILL);
}

TEST(ChildProcessTest, RunsBesideThisOneWithTheDescriptorsItIsGiven) {
  int to_child[2], from_child[2];
  ASSERT_EQ(pipe(to_child), 0);
  ASSERT_EQ(pipe(from_child), 0);
  KEEL_ASSERT_OK_AND_ASSIGN(
      ChildProcess child, ChildProcess::Start(kShell, {"-c", "read x <&3; echo got $x >&4; exit 5"},
                                              {to_child[0], from_child[1]}));
  ASSERT_EQ(write(to_child[1], "it\n", 3), 3);
  char answer[16] = {};
  ASSERT_GT(read(from_child[0], answer, sizeof(answer) - 1), 0);
  EXPECT_STREQ(answer, "got it\n");
  const ChildResult result = child.Finish(absl::Now() + absl::Seconds(30));
  EXPECT_EQ(WEXITSTATUS(result.wait_status), 5);
  for (const int fd : {to_child[0], to_child[1], from_child[0], from_child[1]}) close(fd);
}

TEST(ChildProcessTest, IsKilledWhenItsObjectEnds) {
  pid_t pid = 0;
  {
    KEEL_ASSERT_OK_AND_ASSIGN(const ChildProcess child,
                              ChildProcess::Start("/bin/sleep", {"600"}, {}));
    pid = child.pid();
  }
  EXPECT_EQ(kill(pid, 0), -1);
}

}  // namespace
}  // namespace keel
