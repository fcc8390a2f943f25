#include "core/kernels/router.h"

#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::Pointwise;

struct Routed {
  std::vector<int64_t> chosen;
  std::vector<float> weights;
};

Routed Route(const Router& router, const std::vector<float>& logits) {
  const int64_t rows = static_cast<int64_t>(logits.size()) / router.experts;
  Routed out{std::vector<int64_t>(rows * router.top_k), std::vector<float>(rows * router.top_k)};
  RunRouter(router, {KernelType::kF32, logits.data(), rows, router.experts, out.chosen.data(),
                     out.weights.data()});
  return out;
}

float Sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

testing::Matcher<std::vector<float>> Near(std::vector<float> expected) {
  return Pointwise(testing::FloatNear(1e-6), expected);
}

TEST(RouterTest, SoftmaxIsOverAllExpertsBeforeTheBestAreChosen) {
  const float e0 = std::exp(0.0f), e1 = std::exp(1.0f), e2 = std::exp(2.0f), e3 = std::exp(3.0f);
  const float all = e0 + e1 + e2 + e3;
  Router router{.scoring = RouterScoring::kSoftmax, .experts = 4, .top_k = 2};
  Routed routed = Route(router, {1, 3, 0, 2, 3, 2, 1, 0});
  EXPECT_THAT(routed.chosen, ElementsAre(1, 3, 0, 1));
  EXPECT_THAT(routed.weights, Near({e3 / all, e2 / all, e3 / all, e2 / all}));
  router.normalize = true;
  router.scale = 2.5f;
  routed = Route(router, {1, 3, 0, 2});
  EXPECT_THAT(routed.weights, Near({2.5f * e3 / (e2 + e3), 2.5f * e2 / (e2 + e3)}));
}

TEST(RouterTest, SoftmaxIsOverTheBestAlone) {
  const Router router{.scoring = RouterScoring::kTopkSoftmax, .experts = 3, .top_k = 2};
  const Routed routed = Route(router, {0.5f, -1, 2});
  EXPECT_THAT(routed.chosen, ElementsAre(2, 0));
  EXPECT_THAT(routed.weights, Near({Sigmoid(1.5f), Sigmoid(-1.5f)}));
}

TEST(RouterTest, ABiasHasASayInTheChoiceAlone) {
  const std::vector<float> bias = {0, 5, 0};
  const Router router{
      .scoring = RouterScoring::kSigmoid, .experts = 3, .top_k = 2, .bias = bias.data()};
  const Routed routed = Route(router, {1, -3, 0});
  EXPECT_THAT(routed.chosen, ElementsAre(1, 0));
  EXPECT_THAT(routed.weights, Near({Sigmoid(-3), Sigmoid(1)}));
}

TEST(RouterTest, ExpertsOfOtherGroupsAreNotChosen) {
  // The best expert is in a group whose two best are less together than the other's.
  const std::vector<float> logits = {3, -9, -9, 1, 2, -9};
  Router router{
      .scoring = RouterScoring::kSigmoid, .experts = 6, .top_k = 2, .groups = 2, .top_groups = 1};
  EXPECT_THAT(Route(router, logits).chosen, ElementsAre(4, 3));
  router.scoring = RouterScoring::kSoftmax;  // a group's best is its score
  EXPECT_THAT(Route(router, logits).chosen[0], 0);
  router.top_groups = 2;
  EXPECT_THAT(Route(router, logits).chosen, ElementsAre(0, 4));
  router.groups = 6, router.top_groups = 6, router.scoring = RouterScoring::kSigmoid;
  EXPECT_THAT(Route(router, logits).chosen, ElementsAre(0, 4));
}

TEST(RouterTest, OfEqualOnesTheFirstIsChosen) {
  const Router router{.scoring = RouterScoring::kSoftmax, .experts = 5, .top_k = 3};
  EXPECT_THAT(Route(router, {1, 2, 2, 1, 1}).chosen, ElementsAre(1, 2, 0));
}

TEST(RouterTest, WhateverTheLogitsAreDifferentExpertsAreChosen) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kOdd[] = {NAN, kInf, -kInf, 3e38f, -3e38f, 0};
  std::mt19937 random(7);
  std::vector<float> logits(600 * 7);
  for (float& x : logits) x = kOdd[random() % 6];
  for (const RouterScoring scoring :
       {RouterScoring::kSoftmax, RouterScoring::kSigmoid, RouterScoring::kTopkSoftmax}) {
    Router router{.scoring = scoring, .experts = 7, .top_k = 5};
    const Routed routed = Route(router, logits);
    for (int row = 0; row < 600; ++row) {
      const std::set<int64_t> chosen(routed.chosen.begin() + row * 5,
                                     routed.chosen.begin() + row * 5 + 5);
      EXPECT_EQ(chosen.size(), 5u);
      EXPECT_GE(*chosen.begin(), 0);
      EXPECT_LT(*chosen.rbegin(), 7);
    }
  }
}

TEST(RouterTest, ARowOfManyIsWhatItIsAlone) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  const Router router{.experts = 130, .top_k = 9, .normalize = true};
  std::vector<float> logits(301 * router.experts);
  for (float& x : logits) x = normal(random);
  const Routed all = Route(router, logits);
  for (const int64_t row : {0, 7, 150, 300}) {
    const auto begin = logits.begin() + row * router.experts;
    const Routed one = Route(router, {begin, begin + router.experts});
    for (int i = 0; i < 9; ++i) {
      EXPECT_EQ(one.chosen[i], all.chosen[row * 9 + i]);
      EXPECT_EQ(one.weights[i], all.weights[row * 9 + i]);
    }
  }
}

}  // namespace
}  // namespace keel
