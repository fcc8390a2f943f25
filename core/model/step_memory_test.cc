#include "core/model/step_memory.h"

#include "core/base/status_matchers.h"
#include "core/graph/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

TEST(StepMemoryTest, GrowsWithTheTokensAndWithWhatTheGraphHolds) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel plain, testing::RecordTinyModel());
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel wide,
                            testing::RecordTinyModel({.after_mlp = [](keel_run* r, keel_tensor x) {
                              x = r->ops->repeat(r, x, 1, 1 << 14);
                              return r->ops->narrow(r, x, 1, 0, 64);
                            }}));
  KEEL_ASSERT_OK_AND_ASSIGN(const int64_t one, StepBytes(plain.graph, 1));
  KEEL_ASSERT_OK_AND_ASSIGN(const int64_t many, StepBytes(plain.graph, 2048));
  KEEL_ASSERT_OK_AND_ASSIGN(const int64_t much, StepBytes(wide.graph, 2048));
  EXPECT_GE(one, 4 * 64);
  EXPECT_LT(many, 64 << 20);
  EXPECT_GE(much, int64_t{4} * 2048 << 20);  // 2^20 elements a token
}

TEST(StepMemoryTest, WhatDoesNotFitIsRefusedByTheFlagThatWouldLowerIt) {
  KEEL_EXPECT_OK(CheckStepMemory(1 << 20, 2048, 1 << 20));
  EXPECT_THAT(CheckStepMemory((1 << 20) + 1, 2048, 1 << 20),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("--max-num-batched-tokens: a step of 2048 tokens")));
}

}  // namespace
}  // namespace keel
