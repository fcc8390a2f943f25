// Ranks and stages give what one rank gives: models whose plans split every op that can be, and cuts
// between layers.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/exec/executor.h"
#include "core/exec/tiny_executor.h"
#include "core/graph/tp_samples.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::Difference;
using ::keel::testing::LlamasPpPlan;
using ::keel::testing::StatusIs;
using ::keel::testing::TinyExecutors;
using ::keel::testing::TinyModel;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Parallel : public TinyExecutors {
 public:
  using TinyExecutors::TinyExecutors;

  // Logits of eight tokens, in two steps; another sequence runs beside the first.
  absl::StatusOr<at::Tensor> Logits(const ExecutorOptions& options) const {
    auto executor = Load(options);
    if (!executor.ok()) return executor.status();
    const size_t groups = (*executor)->cache_layout().groups.size();
    const std::vector<int32_t> num_blocks(groups, 8);
    if (absl::Status status = (*executor)->AllocateCache(num_blocks, 2); !status.ok())
      return status;
    const std::vector<std::vector<int32_t>> blocks(groups, {6, 2}), others(groups, {1});
    const Batch first{{3, 1, 4, 1, 5, 9, 7, 7}, {{0, 6, 0, blocks}, {0, 2, 1, others}}, {0, 2, 5}};
    auto logits = (*executor)->Step(first);
    if (!logits.ok()) return logits.status();
    const at::Tensor head = logits->clone();
    logits = (*executor)->Step({{2, 6}, {{6, 2, 0, blocks}}, {0, 1}});
    if (!logits.ok()) return logits.status();
    return at::cat({head, *logits});
  }
};

TEST(TensorParallelTest, EveryOpThatAPlanSplitsGivesWhatOneRankGives) {
  for (const testing::TpSample& sample : testing::TpSamples()) {
    SCOPED_TRACE(sample.name);
    const Parallel model(sample.model);
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor one, model.Logits({}));
    for (const int ranks : {2, 4}) {
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor many, model.Logits({.tensor_parallel = ranks}));
      EXPECT_LE(Difference(many, one), 1e-4) << ranks << " ranks";
      if (sample.model.ep_rules.empty()) continue;
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor apart,
                                model.Logits({.tensor_parallel = ranks, .expert_parallel = true}));
      EXPECT_LE(Difference(apart, one), 1e-4) << ranks << " ranks, experts apart";
    }
  }
}

TEST(TensorParallelTest, ExpertsApartNeedAPlanThatSaysSo) {
  const Parallel model(TinyModel{});
  EXPECT_THAT(model.Load({.tensor_parallel = 2, .expert_parallel = true}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("--enable-expert-parallel"),
                             HasSubstr("states no base_model_ep_plan"))));
}

TEST(PipelineParallelTest, StagesGiveTheBitsOfOneRank) {
  TinyModel tiny;
  tiny.pp_plan = LlamasPpPlan();
  tiny.attention_args = [](keel_run* r) {
    const int64_t dims[] = {4};
    const float slopes[] = {0.1f, 0.2f, 0.3f, 0.4f};
    return r->ops->constant(r, KEEL_F32, 1, dims, slopes);
  };
  const Parallel model(tiny);
  for (const bool deterministic : {false, true}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor one, model.Logits({.deterministic = deterministic}));
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor two, model.Logits({.pipeline_parallel = 2,
                                                                  .deterministic = deterministic}));
    EXPECT_TRUE(two.equal(one));
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor ranks,
                              model.Logits({.tensor_parallel = 2, .deterministic = deterministic}));
    KEEL_ASSERT_OK_AND_ASSIGN(
        const at::Tensor both,
        model.Logits(
            {.tensor_parallel = 2, .pipeline_parallel = 2, .deterministic = deterministic}));
    EXPECT_TRUE(both.equal(ranks));
  }
}

// A convolution behind each layer, whose last inputs are the layer's state.
TinyModel WithStates() {
  TinyModel tiny;
  tiny.pp_plan = LlamasPpPlan();
  tiny.declare = [](keel_build* b) {
    keel_state_desc d{};
    d.struct_size = sizeof(d), d.kind = KEEL_STATE_CONV, d.ndim = 2;
    d.dims[0] = 64, d.dims[1] = 1;
    b->api->state(b, {"state.0", 7}, &d);
    d.layer = 1;
    b->api->state(b, {"state.1", 7}, &d);
  };
  tiny.after_layer = [](keel_run* r, keel_tensor x, int layer) {
    const int64_t dims[] = {64, 2};
    static const float weight[128] = {0.5f, 1, 1, 2};
    const keel_arg arg{"weight", 0, r->ops->constant(r, KEEL_F32, 2, dims, weight), 0};
    return r->ops->recur(r, testing::kFirstExtraObject + static_cast<keel_object>(layer),
                         KEEL_RECUR_CAUSAL_CONV1D, x, &arg, 1);
  };
  return tiny;
}

TEST(PipelineParallelTest, StatesLiveOnTheirStage) {
  const Parallel model(WithStates());
  KEEL_ASSERT_OK_AND_ASSIGN(const auto one, model.Load({}));
  KEEL_ASSERT_OK_AND_ASSIGN(const auto two, model.Load({.pipeline_parallel = 2}));
  // Each once: both would be twice as much if a stage had the other's.
  EXPECT_GT(one->cache_layout().state_bytes, 0);
  EXPECT_EQ(two->cache_layout().state_bytes, one->cache_layout().state_bytes);
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor expected, model.Logits({}));
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, model.Logits({.pipeline_parallel = 2}));
  EXPECT_TRUE(logits.equal(expected));
}

TEST(PipelineParallelTest, VectorsAreThoseOfOneRank) {
  TinyModel tiny;
  tiny.pp_plan = LlamasPpPlan();
  const Parallel model(tiny);
  const auto vectors = [&](ExecMode mode, int stages) -> absl::StatusOr<at::Tensor> {
    ExecutorOptions options;
    options.mode = mode;
    options.pooling = true;
    options.pipeline_parallel = stages;
    auto executor = model.Load(options);
    if (!executor.ok()) return executor.status();
    const size_t groups = (*executor)->cache_layout().groups.size();
    const std::vector<int32_t> num_blocks(groups, 8);
    if (absl::Status status = (*executor)->AllocateCache(num_blocks, 1); !status.ok())
      return status;
    Batch batch{
        {3, 1, 4, 1, 5}, {{0, 5, 0, std::vector<std::vector<int32_t>>(groups, {6, 2})}}, {}};
    batch.pooled = {{0, 5}, {4, 1}};
    auto out = (*executor)->Step(batch);
    if (!out.ok()) return out.status();
    return out->clone();
  };
  for (const ExecMode mode : {ExecMode::kGraph, ExecMode::kCompiled}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor one, vectors(mode, 1));
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor two, vectors(mode, 2));
    EXPECT_TRUE(two.equal(one)) << ExecModeName(mode);
  }
}

TEST(PipelineParallelTest, WhatRunsInALayerMustBeTheLayersOwn) {
  TinyModel tiny;
  tiny.pp_plan = LlamasPpPlan();
  tiny.declare = [](keel_build* b) { b->api->linear(b, {"model.extra", 11}, 64, 64, 0); };
  tiny.after_mlp = [](keel_run* r, keel_tensor x) {
    return r->ops->linear(r, testing::kFirstExtraObject, x);
  };
  EXPECT_THAT(Parallel(tiny).Load({}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("base_model_pp_plan"),
                             HasSubstr("linear model.extra) runs in a layer"))));
}

TEST(PipelineParallelTest, AStageKeepsTheBlocksOfItsLayers) {
  TinyModel tiny;
  tiny.pp_plan = LlamasPpPlan();
  const Parallel model(tiny);
  KEEL_ASSERT_OK_AND_ASSIGN(const auto one, model.Load({}));
  for (const int ranks : {1, 2}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const auto two,
                              model.Load({.tensor_parallel = ranks, .pipeline_parallel = 2}));
    ASSERT_EQ(two->cache_layout().groups.size(), one->cache_layout().groups.size());
    EXPECT_EQ(two->cache_layout().groups[0].block_bytes, one->cache_layout().groups[0].block_bytes);
  }
}

TEST(PipelineParallelTest, LayersThatShareKeysAreNotParted) {
  TinyModel tiny;
  tiny.pp_plan = LlamasPpPlan();
  tiny.share_kv = true;
  EXPECT_THAT(Parallel(tiny).Load({.pipeline_parallel = 2}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("model.layers.1.self_attn"), HasSubstr("share keys"))));
}

TEST(PipelineParallelTest, AModelWithoutAPlanIsRefused) {
  EXPECT_THAT(
      Parallel(TinyModel{}).Load({.pipeline_parallel = 2}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("states no base_model_pp_plan")));
}

TEST(PipelineParallelTest, MoreStagesThanLayersAreRefused) {
  TinyModel tiny;
  tiny.pp_plan = LlamasPpPlan();
  EXPECT_THAT(Parallel(tiny).Load({.pipeline_parallel = 3}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("2 layers can be cut at 1")));
}

}  // namespace
}  // namespace keel
