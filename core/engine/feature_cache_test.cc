#include "core/engine/feature_cache.h"

#include <ATen/ops/zeros.h>

#include "gtest/gtest.h"

namespace keel {
namespace {

// Of 4 bytes a row.
std::shared_ptr<const Features> Rows(int64_t rows) {
  return std::make_shared<const Features>(at::zeros({rows, 1}, at::kFloat));
}

TEST(FeatureCacheTest, KeepsWhatWasUsedLastWithinItsBytes) {
  FeatureCache cache(40);
  cache.Insert("a", Rows(4));
  cache.Insert("b", Rows(4));
  EXPECT_NE(cache.Find("a"), nullptr);
  cache.Insert("c", Rows(4));
  EXPECT_EQ(cache.Find("b"), nullptr);
  EXPECT_NE(cache.Find("a"), nullptr);
  EXPECT_NE(cache.Find("c"), nullptr);
  EXPECT_EQ(cache.bytes(), 32);
  EXPECT_EQ(cache.usage().queries, 4);
  EXPECT_EQ(cache.usage().hits, 3);
}

TEST(FeatureCacheTest, LeavesOutWhatIsLargerThanItself) {
  FeatureCache cache(40);
  cache.Insert("a", Rows(4));
  cache.Insert("large", Rows(11));
  EXPECT_EQ(cache.Find("large"), nullptr);
  EXPECT_NE(cache.Find("a"), nullptr);
}

TEST(FeatureCacheTest, CountsAnItemOnce) {
  FeatureCache cache(40);
  cache.Insert("a", Rows(4));
  cache.Insert("a", Rows(4));
  EXPECT_EQ(cache.bytes(), 16);
  EXPECT_EQ(cache.size(), 1u);
}

}  // namespace
}  // namespace keel
