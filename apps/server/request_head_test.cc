#include "apps/server/request_head.h"

#include <string>

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736", kSpan = "00f067aa0ba902b7";

std::string TraceOf(const std::string& given) {
  const TraceContext context = ReadTraceParent(given);
  EXPECT_EQ(context.trace_id.empty(), context.span_id.empty());
  return context.trace_id;
}

TEST(RequestHeadTest, ATraceParentSaysTraceAndSpan) {
  const TraceContext context = ReadTraceParent("00-" + kTrace + "-" + kSpan + "-01");
  EXPECT_EQ(context.trace_id, kTrace);
  EXPECT_EQ(context.span_id, kSpan);
  // Of a later version, what is known of it.
  EXPECT_EQ(TraceOf("01-" + kTrace + "-" + kSpan + "-01-more"), kTrace);
}

TEST(RequestHeadTest, WhatIsNoTraceParentIsNone) {
  const std::string zeros(32, '0');
  EXPECT_EQ(TraceOf(""), "");
  EXPECT_EQ(TraceOf("00-" + kTrace), "");
  EXPECT_EQ(TraceOf("ff-" + kTrace + "-" + kSpan + "-01"), "");
  EXPECT_EQ(TraceOf("00-" + kTrace + "-" + kSpan + "-01-more"), "");
  EXPECT_EQ(TraceOf("00-" + kTrace + "-" + kSpan + "-012"), "");
  EXPECT_EQ(TraceOf("00-" + kTrace + "_" + kSpan + "-01"), "");
  EXPECT_EQ(TraceOf("00-" + zeros + "-" + kSpan + "-01"), "");
  EXPECT_EQ(TraceOf("00-" + kTrace + "-" + zeros.substr(16) + "-01"), "");
  EXPECT_EQ(TraceOf("00-" + kTrace.substr(1) + "\n-" + kSpan + "-01"), "");
  EXPECT_EQ(TraceOf("00-4BF92F3577B34DA6A3CE929D0E0E4736-" + kSpan + "-01"), "");
}

}  // namespace
}  // namespace keel::apps
