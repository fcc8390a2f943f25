#include "apps/bench/roofline.h"

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

TEST(RooflineTest, SamplesWhatTheMachineDoes) {
  Roofline roofline(Products::kF32);
  EXPECT_EQ(roofline.read_gb_per_second(), 0);
  roofline.Sample();
  EXPECT_GT(roofline.read_gb_per_second(), 0.1);
  EXPECT_GT(roofline.peak_gflop_per_second(), 0.1);
}

TEST(RooflineTest, ProductsGoByWhatIsMultiplied) {
  EXPECT_EQ(ProductsOf("none", "float32"), Products::kF32);
  EXPECT_EQ(ProductsOf("none", "bfloat16"), Products::kBF16);
  EXPECT_EQ(ProductsOf("int8", "bfloat16"), Products::kBF16);
  EXPECT_EQ(ProductsOf("w8a8", "bfloat16"), Products::kInt8);
  EXPECT_EQ(ProductsOf("int4-g64", "bfloat16"), Products::kInt8);
}

TEST(StepCostTest, ReadsWhatAnEngineSaysOfItself) {
  boost::json::object info = {
      {"packed_weight_bytes", 5000},
      {"weights", {{"token", 1000}, {"logits", 500}, {"stored", 1500}, {"has_experts", false}}}};
  EXPECT_DOUBLE_EQ(StepCostOf(info).weight_bytes, 5000);
  EXPECT_DOUBLE_EQ(StepCostOf(info).token_gflop, 2e-6);
  EXPECT_DOUBLE_EQ(StepCostOf(info).logits_gflop, 1e-6);
  info["weights"].as_object()["has_experts"] = true;
  EXPECT_DOUBLE_EQ(StepCostOf(info).weight_bytes, 0);
  EXPECT_DOUBLE_EQ(StepCostOf({{"weights", 5}}).token_gflop, 0);
}

}  // namespace
}  // namespace keel::apps
