#include "apps/server/served_models.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::apps {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The fake's budget is a number of models.
std::unique_ptr<ServedModels> NewModels(const std::vector<std::vector<std::string>>& names,
                                        int64_t budget = 0) {
  auto models = ServedModels::Create(budget);
  EXPECT_TRUE(models.ok());
  for (const std::vector<std::string>& of_one : names) {
    EXPECT_TRUE(
        (*models)->Add({.names = of_one, .root = "/models/" + of_one.front(), .options = {}}).ok());
  }
  return *std::move(models);
}

std::vector<std::string> States(const ServedModels& models) {
  std::vector<std::string> states;
  for (const ServedModels::State& model : models.List()) {
    states.push_back(model.names.front() + " " + model.state);
  }
  return states;
}

TEST(ServedModelsTest, ModelsAreLoadedWhenTheyAreNeeded) {
  const auto models = NewModels({{"a", "alias"}, {"b"}});
  EXPECT_THAT(models->names(), ElementsAre("a", "alias", "b"));
  EXPECT_THAT(States(*models), ElementsAre("a registered", "b registered"));
  EXPECT_FALSE(models->IsReady("alias"));
  {
    const auto engine = models->Acquire("alias");
    ASSERT_TRUE(engine.ok());
    EXPECT_EQ(models->Unload("a", milliseconds(0)).code(), Code::kFailedPrecondition);
  }
  EXPECT_THAT(States(*models), ElementsAre("a ready", "b registered"));
  const ServedModels::State state = models->Describe("alias");
  EXPECT_EQ(state.root, "/models/a");
  EXPECT_EQ(state.info.at("architecture"), "FakeForCausalLM");
  EXPECT_TRUE(models->Unload("a", milliseconds(0)).ok());
  EXPECT_THAT(States(*models), ElementsAre("a registered", "b registered"));
  EXPECT_TRUE(models->Describe("a").info.empty());
}

TEST(ServedModelsTest, OneGoesForAnotherWhenThereIsNoRoom) {
  const auto models = NewModels({{"a"}, {"b"}, {"c"}}, /*budget=*/2);
  for (const char* name : {"a", "b", "a"}) EXPECT_TRUE(models->Acquire(name).ok());
  EXPECT_TRUE(models->Load("c").ok());
  EXPECT_THAT(States(*models), ElementsAre("a ready", "b registered", "c ready"));
}

// By a look at all, which counts as use, a model does not become one that was used lately.
TEST(ServedModelsTest, ALookAtAllKeepsTheOrderInWhichTheyGo) {
  const auto models = NewModels({{"a"}, {"b"}, {"c"}}, /*budget=*/2);
  for (const char* name : {"b", "a"}) EXPECT_TRUE(models->Acquire(name).ok());
  std::vector<std::string> seen;
  models->ForEachReady([&](const std::string& id, Engine&) { seen.push_back(id); });
  EXPECT_THAT(seen, ElementsAre("b", "a"));
  EXPECT_TRUE(models->Load("c").ok());
  EXPECT_THAT(States(*models), ElementsAre("a ready", "b registered", "c ready"));
}

TEST(ServedModelsTest, ANameIsOneModels) {
  const auto models = NewModels({{"a", "x"}});
  const Status status = models->Add({.names = {"x"}, .root = "", .options = {}});
  EXPECT_EQ(status.code(), Code::kAlreadyExists);
  EXPECT_THAT(status.message(), HasSubstr("two models are called 'x'"));
}

TEST(ServedModelsTest, WhatCannotBeLoadedSaysWhyAndMayBeTriedAgain) {
  const auto models = NewModels({});
  Options options;
  ASSERT_TRUE(options.Set("load-error", "config.json: broken").ok());
  ASSERT_TRUE(models->Add({.names = {"a"}, .root = "", .options = std::move(options)}).ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(models->Acquire("a").status().message(), "config.json: broken");
  }
  EXPECT_THAT(States(*models), ElementsAre("a failed"));
}

TEST(ServedModelsTest, CloseWaitsForLeases) {
  const auto models = NewModels({{"a"}});
  {
    const auto engine = models->Acquire("a");
    EXPECT_FALSE(models->Close(milliseconds(1)));
  }
  EXPECT_TRUE(models->Close(milliseconds(1)));
}

}  // namespace
}  // namespace keel::apps
