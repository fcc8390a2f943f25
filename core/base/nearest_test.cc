#include "core/base/nearest.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(NearestNamesTest, PutsTheNearestFirstAndLeavesOutTheRest) {
  EXPECT_THAT(NearestNames("lama", {"qwen", "llama", "lamas", "transformer"}, 3),
              ElementsAre("lamas", "llama"));
}

TEST(NearestNamesTest, IgnoresCaseAndKeepsToTheLimit) {
  EXPECT_THAT(NearestNames("LLAMA", {"llama", "lama"}, 1), ElementsAre("llama"));
  EXPECT_THAT(NearestNames("anything", {}, 3), IsEmpty());
}

}  // namespace
}  // namespace keel
