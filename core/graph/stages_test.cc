#include "core/graph/stages.h"

#include <string>

#include "core/base/status_matchers.h"
#include "core/graph/pp_plan.h"
#include "core/graph/sharding.h"
#include "core/graph/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::LlamasPpPlan;
using ::keel::testing::RecordTinyModel;
using ::keel::testing::StatusIs;
using ::keel::testing::TinyModel;
using ::testing::AllOf;
using ::testing::HasSubstr;

absl::Status Check(std::vector<TinyModel::PpChild> plan, TinyModel model = {}) {
  model.pp_plan = std::move(plan);
  const absl::StatusOr<RecordedModel> recorded = RecordTinyModel(model);
  return recorded.ok() ? CheckPpPlan(recorded->graph) : recorded.status();
}

TEST(StagesTest, AtEachBorderTheHiddenStatesAreAlive) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel model, RecordTinyModel());
  const std::vector<LayerBorder> borders = BordersOf(model.graph);
  ASSERT_EQ(borders.size(), 3u);
  EXPECT_EQ(borders[0].live, std::vector<uint32_t>{1});  // embeds
  EXPECT_EQ(LiveValueText(model.graph, 1), "the input embeds, MODEL[N, 64]");
  for (const int i : {1, 2}) {
    ASSERT_EQ(borders[i].live.size(), 1u);
    EXPECT_EQ(LiveValueText(model.graph, borders[i].live[0]), "the output of add, MODEL[N, 64]");
  }
}

TEST(StagesTest, EachStageHasItsLayersAndNothingElse) {
  TinyModel tiny;
  tiny.pp_plan = LlamasPpPlan();
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel model, RecordTinyModel(tiny));
  KEEL_ASSERT_OK_AND_ASSIGN(const auto stages, CutStages(model.graph, 2));
  ASSERT_EQ(stages.size(), 2u);
  for (int stage = 0; stage < 2; ++stage) {
    const std::vector<bool> used = UsedObjects(stages[stage]);
    for (int i = 0; i < model.graph.declarations_size(); ++i) {
      const std::string& name = model.graph.declarations(i).name();
      const bool of_first = name.starts_with("model.layers.0.");
      const bool of_second = name.starts_with("model.layers.1.") || name == "model.norm";
      if (of_first || of_second) {
        EXPECT_EQ(used[i], stage == (of_first ? 0 : 1)) << name;
      }
    }
  }
  const proto::Function& second = *FindFunction(stages[1], "forward");
  ASSERT_EQ(second.inputs_size(), 2);
  EXPECT_EQ(second.inputs(0).name(), "carried/0");
  EXPECT_EQ(second.inputs(1).name(), "positions");
}

TEST(PpPlanTest, TransformersPlanOfLlamaHolds) { KEEL_EXPECT_OK(Check(LlamasPpPlan())); }

TEST(PpPlanTest, NoPlanIsNoError) { KEEL_EXPECT_OK(Check({})); }

TEST(PpPlanTest, AChildThatIsNoModuleIsRefused) {
  auto plan = LlamasPpPlan();
  plan[2].child = "nrom";
  EXPECT_THAT(Check(plan), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("'nrom' is no module of the model")));
}

TEST(PpPlanTest, AnOrderThatForwardHasNotIsRefusedWithTheNode) {
  auto plan = LlamasPpPlan();
  std::swap(plan[1], plan[2]);
  plan[1].inputs = {"hidden_states"};
  EXPECT_THAT(Check(plan), StatusIs(absl::StatusCode::kInvalidArgument,
                                    AllOf(HasSubstr("norm model.norm) runs behind the layers"),
                                          HasSubstr("the plan has nothing"))));
}

TEST(PpPlanTest, AModuleThatThePlanLeavesOutIsRefusedWithTheNode) {
  auto plan = LlamasPpPlan();
  plan.pop_back();
  EXPECT_THAT(Check(plan), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("norm model.norm) runs behind the layers")));
}

TEST(PpPlanTest, NamesThatNobodyGivesAreRefused) {
  auto plan = LlamasPpPlan();
  plan[2].inputs = {"hidden"};
  EXPECT_THAT(Check(plan),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("'norm' takes hidden"), HasSubstr("hidden_states of "))));
}

TEST(PpPlanTest, LayersGoOnFromWhatTheyGive) {
  auto plan = LlamasPpPlan();
  plan[1].outputs = {"hidden_states", "residual"};
  EXPECT_THAT(Check(plan),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("takes hidden_states and gives hidden_states, residual")));
}

TEST(PpPlanTest, MoreThanThePlanSaysIsAliveAndIsListed) {
  // A second stream beside the hidden states, as it goes from layer to layer.
  static keel_tensor kept;
  TinyModel model;
  model.after_layer = [](keel_run* r, keel_tensor x, int layer) {
    if (layer == 0) kept = r->ops->affine(r, x, 2, 0);
    return layer == 0 ? x : r->ops->add(r, x, kept);
  };
  EXPECT_THAT(Check(LlamasPpPlan(), model),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("before layer 1 2 values are alive"),
                             HasSubstr("the output of affine, MODEL[N, 64]"),
                             HasSubstr("expected 1: what 'layers' gives (hidden_states)"))));
}

}  // namespace
}  // namespace keel
