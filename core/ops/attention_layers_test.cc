// Attentions of one rank: who keeps what, who shares a plan, and who may share a cache.
#include "core/ops/attention_layers.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/graph/op_attributes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Log {
  std::vector<std::string> calls;
  int instances = 0;
};

// Keeps what it is told to; says what is called.
class Fake : public AttentionImplementation {
 public:
  Fake(AttentionCache cache, Log* log) : cache_(std::move(cache)), log_(log) {}
  absl::Status Supports(const AttentionUse&) const override { return absl::OkStatus(); }
  absl::StatusOr<std::unique_ptr<AttentionInstance>> Prepare(
      const AttentionUse& use) const override {
    return std::make_unique<Instance>(*this, use.desc->layer);
  }

 private:
  class Instance : public AttentionInstance {
   public:
    Instance(const Fake& fake, int32_t layer) : fake_(fake), name_(std::to_string(layer)) {
      ++fake_.log_->instances;
    }
    ~Instance() override { --fake_.log_->instances; }
    AttentionCache cache() const override { return fake_.cache_; }
    absl::Status Write(const AttentionCall& call) override {
      Say("write");
      EXPECT_EQ(call.own_caches.size(), fake_.cache_.own.size());
      return absl::OkStatus();
    }
    absl::StatusOr<at::Tensor> Plan(const AttentionCall&) override {
      Say("plan");
      return at::full({1}, 1);
    }
    absl::Status Run(const AttentionCall& call) override {
      Say("run");
      EXPECT_TRUE(call.plan.defined());
      EXPECT_EQ(call.k_cache.defined(), fake_.cache_.has_rows);
      call.out.fill_(0);
      return absl::OkStatus();
    }

   private:
    void Say(const std::string& what) { fake_.log_->calls.push_back(what + name_); }

    const Fake& fake_;
    const std::string name_;
  };

  const AttentionCache cache_;
  Log* const log_;
};

// Layers of one head of 4; `shares`: the layer whose keys each reads, -1 its own.
proto::Graph Graph(const std::vector<int>& shares) {
  proto::Graph graph;
  proto::Function* forward = graph.add_functions();
  forward->set_name("forward");
  for (size_t i = 0; i < shares.size(); ++i) {
    proto::Declaration* d = graph.add_declarations();
    d->set_name("layer" + std::to_string(i));
    proto::Attention* a = d->mutable_attention();
    a->set_layer(static_cast<int32_t>(i));
    a->set_kv_share_layer(shares[i]);
    a->set_heads(1), a->set_kv_heads(1), a->set_qk_dim(4), a->set_v_dim(4), a->set_scale(1);
    *forward->add_nodes() = op::MakeNode(proto::OP_ATTENTION, static_cast<uint32_t>(i + 1));
  }
  return graph;
}

AttentionChoice Choice(std::shared_ptr<const AttentionImplementation> implementation) {
  return {"fake", "", "", std::move(implementation)};
}

const AttentionCache kOwn = {false, {{DType::kI8, {2, 4}}, {DType::kF32, {2}}}};

TEST(AttentionLayersTest, OwnTensorsAreCountedAllocatedAndWrittenAndAPlanIsMadeOnceAStep) {
  c10::InferenceMode guard;  // as the cache is allocated in it
  Log log;
  const auto fake = std::make_shared<Fake>(kOwn, &log);
  proto::Graph graph = Graph({-1, -1, 0, -1});
  graph.mutable_declarations(3)->mutable_attention()->set_window(2);  // a group and a plan apart
  {
    KEEL_ASSERT_OK_AND_ASSIGN(
        AttentionLayers layers,
        AttentionLayers::Create(graph, Weights(),
                                {Choice(fake), Choice(fake), Choice(fake), Choice(fake)},
                                DType::kF32, {DType::kF32, 2}, Numerics::kFastest));
    EXPECT_EQ(log.instances, 4);
    KEEL_ASSERT_OK_AND_ASSIGN(KvCache cache, KvCache::Create(layers.kv_layers(), 2, DType::kF32));
    ASSERT_EQ(cache.groups().size(), 2u);
    EXPECT_EQ(cache.groups()[0].block_bytes, 2 * (8 + 8));
    EXPECT_EQ(cache.groups()[1].block_bytes, 8 + 8);
    KEEL_ASSERT_OK(cache.Allocate({3, 3}));
    EXPECT_FALSE(cache.keys(0).defined());
    ASSERT_EQ(cache.own(1).size(), 2u);
    EXPECT_EQ(cache.own(1)[0].sizes(), at::IntArrayRef({3, 2, 4}));

    cache.own(1)[1].fill_(0);
    cache.own(1)[1].select(0, 2).fill_(5);
    KEEL_ASSERT_OK(cache.CopyBlock(0, 2, 1));  // a fork
    EXPECT_EQ(cache.own(1)[1].select(0, 1).sum().item<float>(), 10);

    StepContext step;
    step.metadata.resize(2);
    const at::Tensor rows = at::zeros({1, 1, 4});
    for (int round = 0; round < 2; ++round) {
      log.calls.clear();
      layers.BeginStep();
      for (uint32_t object : {1u, 2u, 3u, 4u}) {
        const bool shares = object == 3;
        const at::Tensor inputs[] = {rows, shares ? at::Tensor() : rows,
                                     shares ? at::Tensor() : rows};
        KEEL_ASSERT_OK(
            layers.Run(op::MakeNode(proto::OP_ATTENTION, object), inputs, &step, cache).status());
      }
      EXPECT_THAT(log.calls, ElementsAre("plan0", "write0", "run0", "write1", "run1", "run2",
                                         "plan3", "write3", "run3"));
    }
  }
  EXPECT_EQ(log.instances, 0);
}

TEST(AttentionLayersTest, AnotherWayOfKeepingIsNotShared) {
  Log log;
  const proto::Graph graph = Graph({-1, 0});
  const auto own = std::make_shared<Fake>(kOwn, &log), like = std::make_shared<Fake>(kOwn, &log);
  const auto rows = std::make_shared<Fake>(AttentionCache(), &log);
  const auto other_rows = std::make_shared<Fake>(AttentionCache(), &log);
  const auto create = [&](const auto& first, const auto& second) {
    return AttentionLayers::Create(graph, Weights(), {Choice(first), Choice(second)}, DType::kF32,
                                   {DType::kF32, 2}, Numerics::kFastest)
        .status();
  };
  KEEL_EXPECT_OK(create(own, own));
  KEEL_EXPECT_OK(create(rows, other_rows));
  for (const auto& [first, second] : {std::pair{own, rows}, {rows, own}, {own, like}}) {
    EXPECT_THAT(create(first, second), StatusIs(absl::StatusCode::kInvalidArgument,
                                                HasSubstr("layer1: shares keys and values of")));
  }
}

}  // namespace
}  // namespace keel
