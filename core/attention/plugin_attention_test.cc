// A plugin's attention class as the host calls it: what it is told, what it may keep, what is
// refused.
#include "core/attention/plugin_attention.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/attention/registry.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What the class below does and has seen.
struct Plugin {
  keel_status prepares = 0;
  keel_attention_cache cache = {};
  uint64_t workspace_bytes = 100;
  int instances = 0;
  std::vector<std::string> arg_names;
  std::vector<std::string> calls;
};

keel_status Prepare(void* self, const keel_attention_use* use, keel_attention_cache* cache,
                    void** instance) {
  auto* plugin = static_cast<Plugin*>(self);
  if (plugin->prepares != 0) return plugin->prepares;
  ++plugin->instances;
  plugin->arg_names.assign(use->arg_names, use->arg_names + use->num_args);
  *cache = plugin->cache;
  *instance = plugin;
  return 0;
}
// Marks the slots of its one own tensor, [blocks, block_size].
keel_status Write(void* self, const keel_kernel_context*, const keel_attention_call* call) {
  static_cast<Plugin*>(self)->calls.push_back("write");
  if (call->num_caches != 1 || call->k_cache != nullptr || call->out != nullptr) return 3;
  const auto* slots = static_cast<const int64_t*>(call->slots->data);
  for (int64_t i = 0; i < call->num_tokens; ++i)
    static_cast<int8_t*>(call->caches[0]->data)[slots[i]] = 7;
  return 0;
}
uint64_t PlanBytes(void*, const keel_attention_call* call) { return 4 * call->num_sequences; }
keel_status MakePlan(void* self, const keel_attention_call* call, void* plan) {
  static_cast<Plugin*>(self)->calls.push_back("plan");
  for (int64_t i = 0; i < call->num_sequences; ++i)
    static_cast<int32_t*>(plan)[i] = call->host_seq_lens[i];
  return 0;
}
uint64_t Workspace(void* self, const keel_attention_call*) {
  return static_cast<Plugin*>(self)->workspace_bytes;
}
// Fills `out` with the first argument's first entry, the second's number and the plan's first.
keel_status RunSum(void* self, const keel_kernel_context* context,
                   const keel_attention_call* call) {
  static_cast<Plugin*>(self)->calls.push_back("run");
  if (context->workspace == nullptr || reinterpret_cast<uintptr_t>(context->workspace) % 64 != 0)
    return 13;
  if (call->num_args != 2 || call->arg_tensors[1] != nullptr) return 3;
  struct Fill {
    float* out;
    float value;
  } fill{static_cast<float*>(call->out->data),
         static_cast<const float*>(call->arg_tensors[0]->data)[0] +
             static_cast<float>(call->arg_numbers[1]) +
             static_cast<float>(static_cast<const int32_t*>(call->plan)[0])};
  context->parallel_for(
      context->pool, call->out->shape[0] * call->out->strides[0], 1,
      [](void* arg, int64_t begin, int64_t end) {
        const Fill& f = *static_cast<Fill*>(arg);
        std::fill(f.out + begin, f.out + end, f.value);
      },
      &fill);
  return 0;
}
void Release(void* self) { --static_cast<Plugin*>(self)->instances; }

class PluginAttentionTest : public ::testing::Test {
 protected:
  PluginAttentionTest() {
    class_.struct_size = sizeof(class_);
    class_.name = "org.example.sum";
    class_.args = kArgs;
    class_.prepare = Prepare, class_.write = Write, class_.plan_bytes = PlanBytes;
    class_.plan = MakePlan, class_.workspace = Workspace, class_.run = RunSum;
    class_.release = Release;
    desc_.struct_size = sizeof(desc_);
    desc_.heads = desc_.kv_heads = 2, desc_.qk_dim = desc_.v_dim = 4, desc_.scale = 0.5;
  }
  ~PluginAttentionTest() override { EXPECT_EQ(plugin_.instances, 0); }

  AttentionUse Use(std::vector<std::string> args = {}) const {
    return {&desc_, DType::kF32, 4, std::move(args)};
  }
  // One own tensor, [block_size] I8.
  static keel_attention_cache Own(uint32_t layout = KEEL_KV_OWN) {
    keel_attention_cache cache = {};
    cache.struct_size = sizeof(cache);
    cache.layout = layout;
    cache.num_tensors = 1;
    cache.tensors[0] = {KEEL_I8, 1, {4}};
    return cache;
  }

  static constexpr const char* kArgs[] = {"table", "offset", nullptr};
  Plugin plugin_;
  keel_attention_class class_ = {};
  keel_attention_desc desc_ = {};
};

TEST_F(PluginAttentionTest, AStepIsPlannedWrittenAndRunOverItsOwnTensors) {
  plugin_.cache = Own();
  const PluginAttention attention(&class_, &plugin_, nullptr);
  const AttentionUse use = Use({"table", "offset"});
  KEEL_ASSERT_OK(attention.Supports(use));
  EXPECT_EQ(plugin_.instances, 0);  // one that was only asked
  KEEL_ASSERT_OK_AND_ASSIGN(const auto instance, attention.Prepare(use));
  EXPECT_EQ(instance->cache(), (AttentionCache{false, {{DType::kI8, {4}}}}));
  EXPECT_THAT(plugin_.arg_names, ElementsAre("table", "offset"));

  AttentionMetadata metadata;
  metadata.block_table = at::zeros({1, 1}, at::kInt);
  metadata.seq_lens = at::full({1}, 3, at::kInt);
  metadata.cu_q = at::zeros({2}, at::kInt);
  metadata.cu_q.select(0, 1).fill_(2);
  metadata.slots = at::zeros({2}, at::kLong);
  metadata.slots.select(0, 0).fill_(5), metadata.slots.select(0, 1).fill_(6);
  metadata.positions = at::full({2}, 1, at::kLong);
  const std::vector<at::Tensor> own = {at::zeros({2, 4}, at::kChar)};
  const std::vector<NamedArg> args = {{"table", at::full({1}, 4.0), 0}, {"offset", {}, 0.5}};
  AttentionCall call;
  call.desc = &desc_;
  call.q = call.k = call.v = at::zeros({2, 2, 4});
  call.metadata = &metadata;
  call.own_caches = own;
  call.args = args;
  KEEL_ASSERT_OK_AND_ASSIGN(call.plan, instance->Plan(call));
  KEEL_ASSERT_OK(instance->Write(call));
  call.out = at::zeros({2, 2, 4});
  KEEL_ASSERT_OK(instance->Run(call));
  EXPECT_THAT(plugin_.calls, ElementsAre("plan", "write", "run"));
  EXPECT_TRUE(call.out.eq(7.5).all().item<bool>());
  const int8_t* kept = own[0].const_data_ptr<int8_t>();
  EXPECT_THAT(std::vector<int>(kept, kept + 8), ElementsAre(0, 0, 0, 0, 0, 7, 7, 0));
}

TEST_F(PluginAttentionTest, WhatItCannotKeepIsRefusedSayingWhy) {
  const PluginAttention attention(&class_, &plugin_, nullptr);
  const auto refused = [&](const keel_attention_cache& cache, const char* why) {
    plugin_.cache = cache;
    EXPECT_THAT(attention.Prepare(Use()).status(),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr("org.example.sum"), HasSubstr(why))));
  };
  refused(Own(7), "layout is 7");
  refused(Own(KEEL_KV_ROWS), "num_tensors is 1");
  keel_attention_cache cache = Own();
  cache.num_tensors = 0;
  refused(cache, "num_tensors is 0");
  cache.num_tensors = 9;
  refused(cache, "num_tensors is 9");
  cache = Own();
  cache.tensors[0].dtype = 4711;
  refused(cache, "data type 4711");
  cache = Own();
  cache.tensors[0].ndim = 8;
  refused(cache, "8 dimensions");
  class_.write = nullptr;
  refused(Own(), "write is NULL");
}

TEST_F(PluginAttentionTest, AnArgumentThatItDoesNotTakeIsRefusedForIt) {
  const PluginAttention attention(&class_, &plugin_, nullptr);
  EXPECT_THAT(attention.Supports(Use({"sinks"})),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("no argument \"sinks\""), HasSubstr("table, offset"))));
  desc_.kind = KEEL_ATTENTION_ENCODER;
  EXPECT_THAT(attention.Supports(Use()),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("text=org.example.sum")));
}

TEST_F(PluginAttentionTest, ACacheOfAnotherTypeIsNotForIt) {
  const PluginAttention attention(&class_, &plugin_, nullptr);
  AttentionUse use = Use({"table", "offset"});
  use.kv_dtype = DType::kF32;
  KEEL_EXPECT_OK(attention.Supports(use));
  use.kv_dtype = DType::kF8E4M3FN;
  EXPECT_THAT(attention.Supports(use),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("org.example.sum"), HasSubstr("float8_e4m3fn"),
                             HasSubstr("--kv-cache-dtype"))));
}

TEST_F(PluginAttentionTest, AWorkspaceBeyondReasonFailsTheCall) {
  plugin_.workspace_bytes = uint64_t{1} << 40;
  const PluginAttention attention(&class_, &plugin_, nullptr);
  KEEL_ASSERT_OK_AND_ASSIGN(const auto instance, attention.Prepare(Use()));
  AttentionMetadata metadata;
  metadata.block_table = at::zeros({1, 1}, at::kInt), metadata.seq_lens = at::zeros({1}, at::kInt);
  metadata.cu_q = at::zeros({2}, at::kInt), metadata.slots = at::zeros({0}, at::kLong);
  metadata.positions = metadata.slots;
  AttentionCall call;
  call.desc = &desc_;
  call.q = call.k = call.v = call.out = at::zeros({0, 2, 4});
  call.metadata = &metadata;
  EXPECT_THAT(instance->Run(call),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1099511627776 bytes")));
}

TEST_F(PluginAttentionTest, ItIsCalledByTheWayThatKnowsItsMessages) {
  plugin_.prepares = 12;
  std::vector<std::string> calls;
  const PluginCall call = [&](absl::string_view what, absl::FunctionRef<keel_status()> f) {
    calls.emplace_back(what);
    return absl::Status(static_cast<absl::StatusCode>(f()), "what the plugin set");
  };
  const PluginAttention attention(&class_, &plugin_, call);
  EXPECT_THAT(attention.Supports(Use()),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("what the plugin set")));
  EXPECT_THAT(calls, ElementsAre("attention org.example.sum.prepare"));
}

TEST_F(PluginAttentionTest, AClassIsRegisteredOnceAndWhole) {
  AttentionRegistry registry;
  KEEL_ASSERT_OK(registry.RegisterPlugin(&class_, &plugin_, nullptr));
  EXPECT_THAT(registry.RegisterPlugin(&class_, &plugin_, nullptr),
              StatusIs(absl::StatusCode::kAlreadyExists));
  class_.release = nullptr;
  EXPECT_THAT(registry.RegisterPlugin(&class_, &plugin_, nullptr),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("release")));
}

}  // namespace
}  // namespace keel
