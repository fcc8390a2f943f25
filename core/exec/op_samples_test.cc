// Every op that a graph may hold is run, as a graph and op by op, and gives the types that inference
// says (eager.h checks each).
#include "core/graph/op_samples.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/isfinite.h>

#include <memory>
#include <vector>

#include "core/attention/registry.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/exec/executor.h"
#include "core/weights/testing.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

// Of every token of one sequence, whatever stands beside it in the step.
absl::StatusOr<at::Tensor> Logits(const RecordedModel& model, ExecMode mode, int ranks = 1,
                                  const std::vector<int32_t>& beside = {}) {
  const testing::ScratchDir dir;
  auto checkpoint = testing::WriteCheckpoint(dir.path(), testing::RandomTensors(model.graph, 3));
  if (!checkpoint.ok()) return checkpoint.status();
  const AttentionRegistry registry;
  ExecutorOptions options;
  options.mode = mode;
  options.tensor_parallel = ranks;
  options.block_size = 4;
  options.live = {model.model_class, model.model.get()};
  auto executor = Executor::Create(model.graph, *std::move(checkpoint), registry, options);
  if (!executor.ok()) return executor.status();
  const size_t groups = (*executor)->cache_layout().groups.size();
  const std::vector<int32_t> num_blocks(groups, 8);
  if (absl::Status status = (*executor)->AllocateCache(num_blocks, 1); !status.ok()) return status;
  const std::vector<std::vector<int32_t>> blocks(groups, {6, 2});
  Batch batch{{3, 1, 4, 1, 5, 9}, {{0, 6, 0, blocks}}, {0, 1, 2, 3, 4, 5}};
  if (!beside.empty()) {
    batch.token_ids.insert(batch.token_ids.end(), beside.begin(), beside.end());
    batch.sequences.push_back({0, static_cast<int32_t>(beside.size()), 0,
                               std::vector<std::vector<int32_t>>(groups, {3, 5})});
  }
  absl::StatusOr<at::Tensor> logits = (*executor)->Step(batch);
  if (!logits.ok()) return logits.status();
  return logits->clone();
}

TEST(OpSamplesTest, EveryOpRunsAsAGraphAndOpByOpAlike) {
  for (const testing::OpSample& sample : testing::OpSamples()) {
    SCOPED_TRACE(sample.name);
    KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel recorded, testing::RecordTinyModel(sample.model));
    const absl::StatusOr<at::Tensor> graph = Logits(recorded, ExecMode::kGraph);
    const absl::StatusOr<at::Tensor> eager = Logits(recorded, ExecMode::kEager);
    ASSERT_TRUE(graph.ok()) << graph.status();
    ASSERT_TRUE(eager.ok()) << eager.status();
    EXPECT_TRUE(at::isfinite(*graph).all().item<bool>());
    EXPECT_TRUE(graph->equal(*eager));
  }
}

// A step holds the tokens of others too.
TEST(OpSamplesTest, IndicesThatDoNotExistFailNoStep) {
  testing::TinyModel model;
  model.declare = [](keel_build* b) {
    b->api->embedding(b, {"table", 5}, 64, 64, 0);
    keel_moe_desc d{};
    d.struct_size = sizeof(d), d.act = KEEL_ACT_SILU;
    d.experts = 4, d.top_k = 2, d.hidden_size = 64, d.intermediate_size = 8;
    d.gate = "experts.{e}.gate", d.up = "experts.{e}.up", d.down = "experts.{e}.down";
    b->api->moe(b, {"moe", 3}, &d);
  };
  model.after_mlp = [](keel_run* r, keel_tensor x) {
    keel_tensor values = 0, indices = 0;
    r->ops->topk(r, x, 2, &values, &indices);
    const keel_tensor wild = r->ops->affine(r, indices, 1000, -20000);  // -20000 to 43000
    const int64_t flat[] = {-1};
    const keel_tensor ids = r->ops->view(r, r->ops->narrow(r, wild, 1, 0, 1), 1, flat);
    const keel_tensor rows = r->ops->embed(r, testing::kFirstExtraObject, ids);
    const keel_tensor experts =
        r->ops->moe_routed(r, testing::kFirstExtraObject + 1, x, wild, values);
    return r->ops->add(r, rows, experts);
  };
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel recorded, testing::RecordTinyModel(model));
  for (const ExecMode mode : {ExecMode::kGraph, ExecMode::kEager}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor logits, Logits(recorded, mode));
    EXPECT_TRUE(at::isfinite(logits).all().item<bool>());
  }
}

// Bidirectional attention in forward: the host bounds it, for a model can't know the sequences.
TEST(OpSamplesTest, AnEncodersAttentionInForwardDoesNotReachTheNextSequence) {
  testing::TinyModel model;
  model.declare = [](keel_build* b) {
    keel_attention_desc d{};
    d.struct_size = sizeof(d), d.kind = KEEL_ATTENTION_ENCODER;
    d.heads = d.kv_heads = 4, d.qk_dim = d.v_dim = 16;
    b->api->attention(b, {"encoder", 7}, &d);
  };
  model.after_mlp = [](keel_run* r, keel_tensor x) {
    const int64_t heads[] = {0, 4, 16}, flat[] = {0, 64};
    const keel_tensor h = r->ops->view(r, x, 3, heads);
    const keel_tensor a = r->ops->attention(r, testing::kFirstExtraObject, h, h, h, nullptr, 0);
    return r->ops->view(r, a, 2, flat);
  };
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel recorded, testing::RecordTinyModel(model));
  for (const ExecMode mode : {ExecMode::kGraph, ExecMode::kEager}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor alone, Logits(recorded, mode));
    for (const std::vector<int32_t>& beside : {std::vector<int32_t>{7}, {90, 25, 3, 11, 2}}) {
      KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor together, Logits(recorded, mode, 1, beside));
      EXPECT_LE(at::abs(alone - together).max().item<double>(),
                1e-5 * at::abs(alone).max().item<double>());
    }
  }
}

TEST(OpSamplesTest, RanksHaveTheirHeadsOfAParameter) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel recorded,
                            testing::RecordTinyModel(testing::ScaledHeads("colwise")));
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor one, Logits(recorded, ExecMode::kGraph));
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor two, Logits(recorded, ExecMode::kGraph, 2));
  EXPECT_LE(at::abs(one - two).max().item<double>(), 1e-4 * at::abs(one).max().item<double>());
}

}  // namespace
}  // namespace keel
