// Outputs of many requests taken by one thread, as programs with an event loop do.
#include <poll.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/testing.h"

namespace keel {
namespace {

bool Readable(int fd, int timeout_ms) {
  pollfd watched{.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&watched, 1, timeout_ms) == 1;
}

TEST(DrainTest, GivesTheOutputsOfAllRequestsToOneThread) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const auto ask = [](int i) { return Asked(Prompt(i, 5 + i), 8 + i % 7).Draws(i, 1.3); };
  const Result<int> fd = engine->EventFd();
  ASSERT_TRUE(fd.ok()) << fd.status().message();
  EXPECT_FALSE(Readable(*fd, 0));
  EXPECT_EQ(engine->Drain(0).status().code(), Code::kDeadlineExceeded);

  std::map<uint64_t, int> asked;
  for (int i = 0; i < 64; ++i) {
    const Result<uint64_t> id = engine->Submit(ask(i));
    ASSERT_TRUE(id.ok()) << id.status().message();
    asked[*id] = i;
  }
  std::map<int, Answer> answers;
  for (size_t ended = 0; ended < asked.size();) {
    ASSERT_TRUE(Readable(*fd, 10000));
    const Result<std::vector<Output>> outputs = engine->Drain(0, 5);
    ASSERT_TRUE(outputs.ok()) << outputs.status().message();
    EXPECT_LE(outputs->size(), 5u);
    for (const Output& output : *outputs) {
      Add(output, answers[asked.at(output.request())]);
      if (output.is_last()) ++ended;
    }
  }
  EXPECT_FALSE(Readable(*fd, 0));
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(answers[i].num_last, 1) << i;
    EXPECT_EQ(answers[i][0].tokens.size(), static_cast<size_t>(8 + i % 7)) << i;
    // A callback keeps its own outputs.
    if (i % 16 == 0) {
      const Answer alone = Ask(*engine, ask(i));
      EXPECT_EQ(answers[i][0].tokens, alone[0].tokens) << i;
      EXPECT_EQ(answers[i][0].text, alone[0].text) << i;
    }
  }
  EXPECT_FALSE(Readable(*fd, 0));
}

TEST(DrainTest, ARequestIsDrainedOrPolledByWhenItWasSubmitted) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Result<uint64_t> polled = engine->Submit(Asked(Prompt(1, 9), 4));
  const Result<int> fd = engine->EventFd();
  const Result<uint64_t> drained = engine->Submit(Asked(Prompt(1, 9), 4));
  ASSERT_TRUE(polled.ok() && fd.ok() && drained.ok());

  EXPECT_EQ(engine->Poll(*drained, 0).status().code(), Code::kNotFound);
  Answer by_poll, by_drain;
  while (by_poll.num_last == 0) Add(*engine->Poll(*polled), by_poll);
  while (by_drain.num_last == 0) {
    const Result<std::vector<Output>> outputs = engine->Drain();
    ASSERT_TRUE(outputs.ok());
    for (const Output& output : *outputs) {
      EXPECT_EQ(output.request(), *drained);
      Add(output, by_drain);
    }
  }
  EXPECT_EQ(by_drain[0].tokens, by_poll[0].tokens);
}

TEST(DrainTest, AnEngineGoesWithOutputsThatNobodyTook) {
  const std::unique_ptr<Engine> engine = StartEngine();
  const Result<int> fd = engine->EventFd();
  ASSERT_TRUE(fd.ok());
  // More than a reader may be behind: the request has paused when the engine goes.
  ASSERT_TRUE(engine->Submit(Asked(Prompt(1, 20), 480).Draws(7).Int("n", 16)).ok());
  EXPECT_TRUE(Readable(*fd, 10000));
}

}  // namespace
}  // namespace keel
