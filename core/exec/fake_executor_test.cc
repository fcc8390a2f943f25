#include "core/exec/fake_executor.h"

#include <ATen/core/Tensor.h>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::testing {
namespace {

using ::testing::HasSubstr;

// The logit of token t is how often it has occurred.
void Count(absl::Span<const int32_t> tokens, absl::Span<float> logits) {
  for (const int32_t token : tokens) ++logits[static_cast<size_t>(token)];
}

TEST(FakeExecutorTest, AnswersFromWhatTheBlocksHold) {
  FakeExecutor executor(8, 2, Count);
  KEEL_ASSERT_OK(executor.AllocateCache({4}, 0));
  Batch prompt;
  prompt.token_ids = {5, 6, 5};
  prompt.sequences = {{.num_computed = 0, .num_tokens = 3, .blocks = {{3, 1}}}};
  prompt.logit_rows = {0, 2};
  const auto first = executor.Step(prompt);
  KEEL_ASSERT_OK(first.status());
  EXPECT_EQ((*first)[0][5].item<float>(), 1);
  EXPECT_EQ((*first)[1][5].item<float>(), 2);

  KEEL_ASSERT_OK(executor.Do({.blocks = {{.from = 1, .to = 0}}, .states = {}}));
  Batch next;
  next.token_ids = {7};
  next.sequences = {{.num_computed = 3, .num_tokens = 1, .blocks = {{3, 0}}}};
  next.logit_rows = {0};
  const auto second = executor.Step(next);
  KEEL_ASSERT_OK(second.status());
  EXPECT_EQ((*second)[0][5].item<float>(), 2);
  EXPECT_EQ((*second)[0][7].item<float>(), 1);
  EXPECT_EQ(executor.num_steps(), 2);
  EXPECT_EQ(executor.num_tokens(), 4);
}

TEST(FakeExecutorTest, NamesABlockThatNobodyWrote) {
  FakeExecutor executor(8, 2, Count);
  KEEL_ASSERT_OK(executor.AllocateCache({4}, 0));
  Batch batch;
  batch.token_ids = {7};
  batch.sequences = {{.num_computed = 1, .num_tokens = 1, .blocks = {{2}}}};
  batch.logit_rows = {0};
  EXPECT_THAT(executor.Step(batch),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("block 2 is read at token 0")));
}

TEST(FakeExecutorTest, FailsOnceWhenAsked) {
  FakeExecutor executor(8, 2, Count);
  KEEL_ASSERT_OK(executor.AllocateCache({4}, 0));
  executor.FailOnce(absl::InternalError("out of luck"));
  EXPECT_THAT(executor.Step({}), StatusIs(absl::StatusCode::kInternal, HasSubstr("luck")));
  KEEL_EXPECT_OK(executor.Step({}).status());
}

}  // namespace
}  // namespace keel::testing
