#include "core/base/trace.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::StatusIs;

namespace json = boost::json;

std::string TempPath(const std::string& name) { return JoinPath(::testing::TempDir(), name); }

// Fails the test if `text` is not a JSON array.
json::array Events(const std::string& text) {
  const absl::StatusOr<json::value> value = ParseJson(text, "trace");
  EXPECT_TRUE(value.ok() && value->is_array()) << value.status() << "\n" << text.substr(0, 1000);
  return value.ok() && value->is_array() ? value->get_array() : json::array();
}

json::array EventsOf(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  return Events(text.value_or(""));
}

// The member `key` as text: a string without quotes, anything else as JSON; "" if there is none.
std::string Text(const json::object& event, const char* key) {
  const json::value* const value = event.if_contains(key);
  if (value == nullptr) return "";
  if (value->is_string()) return std::string(std::string_view(value->get_string()));
  return json::serialize(*value);
}

std::vector<json::object> Named(const json::array& events, const std::string& name) {
  std::vector<json::object> found;
  for (const json::value& event : events) {
    if (Text(event.as_object(), "name") == name) found.push_back(event.as_object());
  }
  return found;
}

std::string Phases(const std::vector<json::object>& events) {
  std::string phases;
  for (const json::object& event : events) phases += Text(event, "ph");
  return phases;
}

int64_t DroppedAtEnd(const json::array& events) {
  if (events.empty() || Text(events.back().as_object(), "name") != "end of trace") return -1;
  return events.back().at("args").at("dropped").as_int64();
}

double Begin(const json::object& event) { return event.at("ts").to_number<double>(); }
double End(const json::object& event) { return Begin(event) + event.at("dur").to_number<double>(); }

TEST(TraceTest, SpansNestOnTheirNamedThread) {
  const std::string path = TempPath("spans");
  {
    KEEL_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Trace> trace, Trace::Open(path));
    TraceNameThread(trace.get(), "engine");
    TraceSpan step(trace.get(), "step");
    {
      TraceSpan forward(trace.get(), "forward");
      forward.Arg("tokens", 17);
      forward.Arg("share", 0.25);
      absl::SleepFor(absl::Milliseconds(2));
    }
    TraceSpan sample(trace.get(), "sample");
    sample.End();
  }
  const json::array events = EventsOf(path);
  const json::object name = Named(events, "thread_name").at(0);
  const json::object step = Named(events, "step").at(0);
  const json::object forward = Named(events, "forward").at(0);
  const json::object sample = Named(events, "sample").at(0);
  EXPECT_EQ(Text(name, "args"), R"({"name":"engine"})");
  for (const json::object* event : {&step, &forward, &sample}) {
    EXPECT_EQ(Text(*event, "ph"), "X");
    EXPECT_EQ(Text(*event, "tid"), Text(name, "tid"));
    EXPECT_EQ(Text(*event, "pid"), absl::StrCat(getpid()));
  }
  EXPECT_EQ(Text(forward, "args"), R"({"tokens":17,"share":2.5E-1})");
  EXPECT_EQ(Text(step, "args"), "");
  EXPECT_GE(End(forward) - Begin(forward), 2000);
  EXPECT_LE(Begin(step), Begin(forward));
  EXPECT_LE(End(forward), Begin(sample));
  EXPECT_LE(End(sample), End(step));
  EXPECT_EQ(DroppedAtEnd(events), 0);
}

TEST(TraceTest, WritesCountersInstantsAndLives) {
  const std::string path = TempPath("kinds");
  {
    KEEL_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Trace> trace, Trace::Open(path));
    TraceCounter(trace.get(), "sequences", {{"running", 3}, {"waiting", size_t{1}}});
    TraceInstant(trace.get(), "preempted", {{"request", 7}});
    TraceBegin(trace.get(), "request", 7);
    TraceBegin(trace.get(), "queued", 7);
    TraceEnd(trace.get(), "queued", 7);
    TraceMark(trace.get(), "first token", 7);
    TraceEnd(trace.get(), "request", 7, {{"generated", 64}});
    trace->Span("timed elsewhere", Trace::Now() - 5000, Trace::Now());
    trace->Span("before the trace", 0, 1);
  }
  const json::array events = EventsOf(path);
  const json::object counter = Named(events, "sequences").at(0);
  EXPECT_EQ(Text(counter, "ph"), "C");
  EXPECT_EQ(Text(counter, "args"), R"({"running":3,"waiting":1})");
  const json::object instant = Named(events, "preempted").at(0);
  EXPECT_EQ(Text(instant, "ph"), "i");
  EXPECT_EQ(Text(instant, "s"), "t");
  EXPECT_EQ(Phases(Named(events, "request")), "be");
  EXPECT_EQ(Phases(Named(events, "queued")), "be");
  const json::object mark = Named(events, "first token").at(0);
  EXPECT_EQ(Text(mark, "ph"), "n");
  EXPECT_EQ(Text(mark, "id"), "7");
  EXPECT_EQ(Text(Named(events, "request").at(1), "args"), R"({"generated":64})");
  EXPECT_EQ(Text(Named(events, "request").at(1), "cat"), Text(mark, "cat"));
  EXPECT_GE(End(Named(events, "timed elsewhere").at(0)), 5);
  EXPECT_EQ(Begin(Named(events, "before the trace").at(0)), 0);
}

TEST(TraceTest, KeepsTheFirstArgumentsAndOddNumbersLegal) {
  const std::string path = TempPath("numbers");
  {
    KEEL_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Trace> trace, Trace::Open(path));
    TraceInstant(trace.get(), "odd",
                 {{"a", std::numeric_limits<double>::quiet_NaN()},
                  {"b", -std::numeric_limits<double>::infinity()},
                  {"c", 1e300},
                  {"d", -5},
                  {"e", 6}});
  }
  EXPECT_EQ(Text(Named(EventsOf(path), "odd").at(0), "args"),
            R"({"a":null,"b":null,"c":1E300,"d":-5})");
}

TEST(TraceTest, IsOffWhereItIsNull) {
  TraceSpan span(nullptr, "forward");
  span.Arg("tokens", 17);
  TraceNameThread(nullptr, "engine");
  TraceCounter(nullptr, "sequences", {{"running", 3}});
  TraceInstant(nullptr, "preempted");
  TraceBegin(nullptr, "request", 7);
  TraceMark(nullptr, "first token", 7);
  TraceEnd(nullptr, "request", 7);
}

TEST(TraceTest, TakesEventsOfManyThreads) {
  constexpr int kThreads = 8;
  constexpr int kSpans = 1000;
  const std::string path = TempPath("threads");
  {
    KEEL_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Trace> trace, Trace::Open(path));
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&trace] {
        for (int j = 0; j < kSpans; ++j) TraceSpan(trace.get(), "work").Arg("j", j);
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(trace->dropped(), 0);
  }
  const std::vector<json::object> spans = Named(EventsOf(path), "work");
  EXPECT_EQ(spans.size(), kThreads * kSpans);
  std::set<int64_t> ids;
  for (const json::object& span : spans) ids.insert(span.at("tid").as_int64());
  EXPECT_EQ(ids.size(), kThreads);
}

TEST(TraceTest, IsReadableBeforeItsEnd) {
  const std::string path = TempPath("crash");
  KEEL_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Trace> trace, Trace::Open(path));
  TraceInstant(trace.get(), "seen");
  std::string text;
  for (int i = 0; i < 1000 && text.find("seen") == std::string::npos; ++i) {
    absl::SleepFor(absl::Milliseconds(10));
    KEEL_ASSERT_OK_AND_ASSIGN(text, ReadFile(path));
  }
  // What the viewers do with a file that a crash has left.
  EXPECT_EQ(Named(Events(text + "]"), "seen").size(), 1);
}

// A pipe that nobody empties stands for a disk that does not answer.
TEST(TraceTest, DropsAndCountsWhatAFullBufferDoesNotTake) {
  constexpr int kEvents = 20000;
  const std::string path = TempPath("stalled");
  unlink(path.c_str());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  KEEL_ASSERT_OK_AND_ASSIGN(std::unique_ptr<Trace> trace, Trace::Open(path, 1000));
  for (int i = 0; i < kEvents; ++i) TraceInstant(trace.get(), "event");
  const auto dropped = static_cast<int64_t>(trace->dropped());
  EXPECT_GT(dropped, 0);

  std::string text;
  std::thread closer([&trace] { trace.reset(); });
  fcntl(reader, F_SETFL, 0);
  char part[4096];
  for (ssize_t n; (n = read(reader, part, sizeof part)) > 0;)
    text.append(part, static_cast<size_t>(n));
  closer.join();
  close(reader);
  const json::array events = Events(text);
  EXPECT_EQ(DroppedAtEnd(events), dropped);
  EXPECT_EQ(static_cast<int64_t>(Named(events, "event").size()), kEvents - dropped);
}

TEST(TraceTest, AFailedWriteTurnsItOff) {
  ::testing::internal::CaptureStderr();
  {
    KEEL_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Trace> trace, Trace::Open("/dev/full"));
    uint64_t emitted = 0;
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    while (trace->dropped() == 0 && absl::Now() < deadline) {
      TraceInstant(trace.get(), "lost");
      ++emitted;
      absl::SleepFor(absl::Milliseconds(10));
    }
    // One may have come while the first write was failing: the writer counts it on its next round.
    while (trace->dropped() < emitted && absl::Now() < deadline)
      absl::SleepFor(absl::Milliseconds(10));
    EXPECT_EQ(trace->dropped(), emitted);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "--trace /dev/full: cannot write: No space left on device; the trace ends here\n");
}

TEST(TraceTest, AFileThatMayNotGrowKeepsWholeEvents) {
  const std::string path = TempPath("limited");
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit limit = {10000, before.rlim_max};
  ::testing::internal::CaptureStderr();
  {
    KEEL_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Trace> trace, Trace::Open(path));
    TraceInstant(trace.get(), "seen");
    for (int i = 0; i < 1000 && RegularFileSize(path).value_or(0) == 0; ++i)
      absl::SleepFor(absl::Milliseconds(10));
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int i = 0; i < 1000; ++i) TraceInstant(trace.get(), "more");
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("File too large"));
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(path));
  EXPECT_FALSE(Events(text + "]").empty());
}

TEST(TraceTest, AReaderThatLeavesDoesNotEndTheProcess) {
  const std::string path = TempPath("left");
  unlink(path.c_str());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  ::testing::internal::CaptureStderr();
  {
    KEEL_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Trace> trace, Trace::Open(path));
    close(reader);
  }
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("Broken pipe"));
}

TEST(TraceTest, AnErrorNamesTheFlagAndThePath) {
  EXPECT_THAT(Trace::Open("/nonexistent/trace.json"),
              StatusIs(absl::StatusCode::kNotFound,
                       "--trace /nonexistent/trace.json: cannot open for writing: No such file or "
                       "directory"));
  EXPECT_THAT(Trace::Open(::testing::TempDir()).status().ToString(),
              AllOf(HasSubstr("--trace " + ::testing::TempDir()), HasSubstr("Is a directory")));
  const std::string path = TempPath("unread");
  unlink(path.c_str());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(Trace::Open(path).status().ToString(), HasSubstr(path));
}

}  // namespace
}  // namespace keel
