#include "core/graph/sharding.h"

#include <string>

#include "core/base/status_matchers.h"
#include "core/graph/op_samples.h"
#include "core/graph/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::RecordTinyModel;
using ::keel::testing::StatusIs;
using ::keel::testing::TinyModel;
using ::testing::AllOf;
using ::testing::HasSubstr;

absl::StatusOr<RankGraph> Shard(int ranks, const TinyModel& options = {}) {
  absl::StatusOr<RecordedModel> model = RecordTinyModel(options);
  if (!model.ok()) return model.status();
  return ShardGraph(model->graph, {.ranks = ranks});
}

int Count(const proto::Graph& graph, proto::Op op) {
  int n = 0;
  for (const proto::Node& node : graph.functions(0).nodes()) n += node.op() == op;
  return n;
}

TEST(ShardingTest, SumsAfterEachRowwiseLinearAndNowhereElse) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RankGraph rank, Shard(2));
  EXPECT_EQ(Count(rank.graph, proto::OP_ALL_REDUCE), 4);
  EXPECT_EQ(Count(rank.graph, proto::OP_ALL_GATHER), 0);
}

TEST(ShardingTest, GivesEachRankItsPartOfHeadsAndWeights) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RankGraph rank, Shard(2));
  for (int i = 0; i < rank.graph.declarations_size(); ++i) {
    const proto::Declaration& d = rank.graph.declarations(i);
    if (d.has_attention()) {
      EXPECT_EQ(d.attention().heads(), 2);
      EXPECT_EQ(d.attention().kv_heads(), 1);
    }
    if (absl::string_view(d.name()).find("q_proj") != absl::string_view::npos) {
      EXPECT_EQ(d.linear().out(), 32);
      EXPECT_EQ(rank.weights[i].kind, WeightSplit::kRows);
    }
    if (absl::string_view(d.name()).find("down_proj") != absl::string_view::npos) {
      EXPECT_EQ(d.linear().in(), 48);
      EXPECT_EQ(rank.weights[i].kind, WeightSplit::kColumns);
    }
    if (d.has_norm()) {
      EXPECT_EQ(rank.weights[i].kind, WeightSplit::kWhole);
    }
  }
}

TEST(ShardingTest, OneRankRunsTheGlobalGraph) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel model, RecordTinyModel());
  KEEL_ASSERT_OK_AND_ASSIGN(const RankGraph rank, ShardGraph(model.graph, {.ranks = 1}));
  EXPECT_EQ(rank.graph.SerializeAsString(), model.graph.SerializeAsString());
}

TEST(ShardingTest, RefusesAColwiseOutputThatNobodyReducesAndNamesTheNode) {
  EXPECT_THAT(Shard(2, {.o_proj_style = "colwise"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("linear model.layers.0.self_attn.o_proj"),
                             HasSubstr("check base_model_tp_plan"))));
}

// A convolution over the channels of a linear in each layer; its taps are a parameter or a constant.
TinyModel Convolves(const char* taps_style) {
  TinyModel model;
  model.declare = [](keel_build* b) {
    const auto name = [](const char* text) { return keel_str{text, __builtin_strlen(text)}; };
    const int64_t dims[] = {64, 2};
    keel_state_desc d{};
    d.struct_size = sizeof(d), d.kind = KEEL_STATE_CONV, d.ndim = 2;
    d.dims[0] = 64, d.dims[1] = 1;
    for (const bool second : {false, true}) {
      d.layer = second;
      b->api->linear(b, name(second ? "model.layers.1.to" : "model.layers.0.to"), 64, 64, 0);
      b->api->param(b, name(second ? "model.layers.1.taps" : "model.layers.0.taps"), KEEL_F32, 2,
                    dims);
      b->api->state(b, name(second ? "state.1" : "state.0"), &d);
      b->api->linear(b, name(second ? "model.layers.1.from" : "model.layers.0.from"), 64, 64, 0);
    }
  };
  model.after_layer = [](keel_run* r, keel_tensor x, int layer) {
    const keel_object first = testing::kFirstExtraObject + static_cast<keel_object>(4 * layer);
    const keel_arg taps{"weight", 0, r->ops->param(r, first + 1), 0};
    const keel_tensor y = r->ops->recur(r, first + 2, KEEL_RECUR_CAUSAL_CONV1D,
                                        r->ops->linear(r, first, x), &taps, 1);
    return r->ops->linear(r, first + 3, y);
  };
  model.extra_rules = {
      {"layers.*.to", "colwise"}, {"layers.*.taps", taps_style}, {"layers.*.from", "rowwise"}};
  return model;
}

TEST(ShardingTest, ARecurrenceIsSplitByHeadsWithItsState) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RankGraph rank, Shard(2, Convolves("colwise")));
  int states = 0;
  for (const proto::Declaration& d : rank.graph.declarations()) {
    if (!d.has_state()) continue;
    ++states;
    EXPECT_EQ(d.state().type().dims(0).size(), 32);
    EXPECT_EQ(d.state().type().dims(1).size(), 1);
  }
  EXPECT_EQ(states, 2);
}

TEST(ShardingTest, WhatIsWholeBesideTheHeadsOfARecurrenceIsCut) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RankGraph rank, Shard(2, Convolves("replicate")));
  EXPECT_EQ(Count(rank.graph, proto::OP_RANK_PART), 2);  // the taps, once a layer
}

TEST(ShardingTest, RefusesAStyleThatItDoesNotKnow) {
  EXPECT_THAT(Shard(2, {.o_proj_style = "rowwize"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'rowwize'")));
}

TEST(ShardingTest, RefusesAPatternThatMatchesNothing) {
  EXPECT_THAT(Shard(1, {.extra_pattern = "layers.*.mlp.up_porj"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("layers.*.mlp.up_porj matches no layer")));
}

TEST(ShardingTest, RefusesHeadsThatTheRanksDoNotDivide) {
  EXPECT_THAT(Shard(3), StatusIs(absl::StatusCode::kFailedPrecondition,
                                 HasSubstr("num_attention_heads of 'model.layers.0.self_attn'")));
}

TEST(ShardingTest, NeighboursShareAHeadOfKeysWhereThereAreFewerThanRanks) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RankGraph rank, Shard(4));
  for (int i = 0; i < rank.graph.declarations_size(); ++i) {
    const proto::Declaration& d = rank.graph.declarations(i);
    if (d.has_attention()) {
      EXPECT_EQ(d.attention().heads(), 1);
      EXPECT_EQ(d.attention().kv_heads(), 1);
    }
    if (absl::string_view(d.name()).find("q_proj") != absl::string_view::npos) {
      EXPECT_EQ(rank.weights[i], (WeightSplit{WeightSplit::kRows, 4}));
    }
    if (absl::string_view(d.name()).find("k_proj") != absl::string_view::npos) {
      EXPECT_EQ(d.linear().out(), 16);
      EXPECT_EQ(rank.weights[i], (WeightSplit{WeightSplit::kRows, 2}));
      EXPECT_EQ(rank.weights[i].part_of(1, 4), 0);
      EXPECT_EQ(rank.weights[i].part_of(2, 4), 1);
    }
  }
}

TEST(ShardingTest, ArgumentsPerHeadAreCutWithTheHeads) {
  TinyModel model;
  model.attention_args = [](keel_run* r) {
    const int64_t dims[] = {4};
    const float slopes[] = {1, 2, 3, 4};
    return r->ops->constant(r, KEEL_F32, 1, dims, slopes);
  };
  KEEL_ASSERT_OK_AND_ASSIGN(const RankGraph rank, Shard(2, model));
  EXPECT_EQ(Count(rank.graph, proto::OP_RANK_PART), 2);  // one a layer
}

TEST(ShardingTest, BiasesOfQueriesAreSplitAsTheQueriesAre) {
  TinyModel model;
  model.query_bias = [](keel_run* r, keel_tensor q) { return r->ops->narrow(r, q, 2, 0, 5); };
  KEEL_ASSERT_OK_AND_ASSIGN(const RankGraph rank, Shard(2, model));
  EXPECT_EQ(Count(rank.graph, proto::OP_RANK_PART), 0);
}

TEST(ShardingTest, GroupsAreWholeOnEachRank) {
  TinyModel model;
  model.groups = [](keel_run*, keel_tensor input) { return input; };
  KEEL_ASSERT_OK_AND_ASSIGN(const RankGraph rank, Shard(2, model));
  EXPECT_EQ(Count(rank.graph, proto::OP_RANK_PART), 0);
}

TEST(ShardingTest, RefusesAStyleThatKeelHasNotWithTheReason) {
  TinyModel model;
  model.extra_rules = {{"layers.*.input_layernorm", "sequence_parallel"}};
  EXPECT_THAT(Shard(1, model),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("'sequence_parallel' of layers.*.input_layernorm"),
                             HasSubstr("tokens of a step are not divided among ranks"))));
}

TEST(ShardingTest, RefusesAnExpertPlanThatMatchesNothing) {
  TinyModel model;
  model.ep_rules = {{"layers.*.mlp.experts", "ep_dispatch_experts"}};
  EXPECT_THAT(Shard(1, model),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("base_model_ep_plan: layers.*.mlp.experts matches no layer")));
}

// No plan with one rule changed is sound, and each is refused at a node.
TEST(ShardingTest, RefusesEveryPlanThatOneChangedRuleMakesUnsound) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel model, RecordTinyModel());
  for (int i = 0; i < model.graph.spec().tp_plan_size(); ++i) {
    for (const char* style : {"colwise", "rowwise", "colwise_gather_output", "replicate"}) {
      proto::Graph graph = model.graph;
      proto::ModelSpec::TpRule* rule = graph.mutable_spec()->mutable_tp_plan(i);
      if (rule->style() == style) continue;
      rule->set_style(style);
      EXPECT_THAT(ShardGraph(graph, {.ranks = 2}),
                  StatusIs(absl::StatusCode::kInvalidArgument,
                           AllOf(HasSubstr("forward, node"), HasSubstr("model.layers.0."),
                                 HasSubstr("check base_model_tp_plan, 'layers.*."))))
          << rule->pattern() << " as " << style;
    }
  }
}

TEST(ShardingTest, RefusesMoeTpExpertsOfWhatIsNoMixture) {
  EXPECT_THAT(Shard(2, {.o_proj_style = "moe_tp_experts"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no mixture of experts")));
}

TEST(ShardingTest, AParameterIsSplitByItsFirstDimension) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RankGraph rank, Shard(2, testing::ScaledHeads("colwise")));
  const int scale = testing::kFirstExtraObject;  // the object behind the first extra one
  EXPECT_EQ(rank.graph.declarations(scale).name(), "model.scale");
  EXPECT_EQ(rank.graph.declarations(scale).param().type().dims(0).size(), 2);
  EXPECT_EQ(rank.graph.declarations(scale).param().type().dims(1).size(), 16);
  EXPECT_EQ(rank.weights[scale].kind, WeightSplit::kRows);
}

TEST(ShardingTest, AWholeParameterBesideSplitHeadsIsCut) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RankGraph rank, Shard(2, testing::ScaledHeads("replicate")));
  EXPECT_EQ(rank.weights[testing::kFirstExtraObject].kind, WeightSplit::kWhole);
  EXPECT_EQ(Count(rank.graph, proto::OP_RANK_PART), 2);
}

TEST(ShardingTest, RefusesAPlanThatNamesWhatItCannotSplit) {
  EXPECT_THAT(
      Shard(1, testing::ScaledHeads("rowwise")),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("scale is rowwise, expected colwise or replicate of a parameter")));
  for (const char* style : {"colwise", "rowwise", "colwise_gather_output"}) {
    TinyModel norm;
    norm.extra_rules = {{"layers.*.input_layernorm", style}};
    EXPECT_THAT(Shard(1, norm),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("layers.*.input_layernorm is " + std::string(style) +
                                   ", but it can't be split")));
  }
}

TEST(ShardingTest, FollowsHeadsThatAViewSpellsOut) {
  // The MLP's output is whole, so an explicit view of it stays as it is on every rank.
  EXPECT_TRUE(Shard(2, {.after_mlp =
                            [](keel_run* r, keel_tensor x) {
                              const int64_t heads[] = {0, 4, 16}, flat[] = {0, 64};
                              return r->ops->view(r, r->ops->view(r, x, 3, heads), 2, flat);
                            }})
                  .ok());
}

}  // namespace
}  // namespace keel
