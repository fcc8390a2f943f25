// The host's implementations as the kit drives a plugin's: what the kit holds to be attention is what
// they compute, and they keep what it asks of plugins.
#include <ATen/ops/from_blob.h>

#include <memory>
#include <string>
#include <vector>

#include "core/attention/attention.h"
#include "core/attention/registry.h"
#include "core/base/status_matchers.h"
#include "core/conformance/attention_step.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::conformance {
namespace {

using ::keel::testing::StatusIs;

at::Tensor ToAten(const keel_dl_tensor* t, at::ScalarType type) {
  return at::from_blob(static_cast<char*>(t->data) + t->byte_offset, {t->shape, size_t(t->ndim)},
                       {t->strides, size_t(t->ndim)}, type);
}

// An implementation of the host's behind the functions of a plugin's class.
struct Host {
  const AttentionImplementation* implementation;
  at::ScalarType type = at::kFloat;
  keel_attention_desc desc = {};

  static keel_status Prepare(void* self, const keel_attention_use* use, keel_attention_cache*,
                             void** instance) {
    auto* host = new Host(*static_cast<Host*>(self));
    *instance = host;
    host->desc = *use->desc;
    host->type = use->dtype == KEEL_F32 ? at::kFloat : at::kBFloat16;
    AttentionUse asked{&host->desc, use->dtype == KEEL_F32 ? DType::kF32 : DType::kBF16,
                       use->block_size};
    asked.args.assign(use->arg_names, use->arg_names + use->num_args);
    const absl::Status status = host->implementation->Supports(asked);
    if (!status.ok()) delete host;
    return static_cast<keel_status>(status.code());
  }
  static keel_status Run(void* self, const keel_kernel_context*, const keel_attention_call* c) {
    const Host& host = *static_cast<Host*>(self);
    AttentionMetadata m;
    m.block_table = ToAten(c->block_table, at::kInt);
    m.seq_lens = ToAten(c->seq_lens, at::kInt);
    m.cu_q = ToAten(c->cu_q, at::kInt);
    m.slots = ToAten(c->slots, at::kLong);
    m.positions = ToAten(c->positions, at::kLong);
    m.max_q = c->max_q, m.max_kv = c->max_kv;
    std::vector<NamedArg> args;
    for (uint32_t i = 0; i < c->num_args; ++i) {
      const bool is_slopes = std::string(c->arg_names[i]) == "alibi_slopes";
      args.push_back(
          {c->arg_names[i], ToAten(c->arg_tensors[i], is_slopes ? at::kFloat : host.type), 0});
    }
    AttentionCall call;
    call.desc = &host.desc;
    call.q = ToAten(c->q, host.type);
    call.k_cache = ToAten(c->k_cache, host.type), call.v_cache = ToAten(c->v_cache, host.type);
    call.metadata = &m;
    call.args = args;
    call.out = ToAten(c->out, host.type);
    auto instance = host.implementation->Prepare({call.desc});
    return static_cast<keel_status>(instance.ok() ? (*instance)->Run(call).code()
                                                  : instance.status().code());
  }
  static void Release(void* self) { delete static_cast<Host*>(self); }
};

class AttentionDataTest : public ::testing::TestWithParam<const char*> {
 protected:
  AttentionDataTest() : host_{registry_.Find(GetParam())->get()} {
    class_.struct_size = sizeof(class_);
    class_.name = GetParam();
    class_.args = kArgs;
    class_.prepare = Host::Prepare;
    class_.run = Host::Run;
    class_.release = Host::Release;
  }
  AttentionSubject Subject() { return {&class_, &host_}; }

  static constexpr const char* kArgs[] = {"alibi_slopes", "sinks", nullptr};
  AttentionRegistry registry_;
  Host host_;
  keel_attention_class class_ = {};
};

TEST_P(AttentionDataTest, ThePlainAttentionIsTheHosts) {
  const std::vector<AttentionSequence> step = {{5, 1}, {17, 17}, {40, 1}, {33, 12}};
  int taken = 0;
  for (const AttentionLayer& layer :
       {AttentionLayer{}, AttentionLayer{.heads = 5, .kv_heads = 1, .qk_dim = 24, .v_dim = 8},
        AttentionLayer{.window = 7}, AttentionLayer{.chunk = 8}, AttentionLayer{.softcap = 2},
        AttentionLayer{.alibi = true}, AttentionLayer{.sinks = true},
        AttentionLayer{.heads = 6, .kv_heads = 1, .qk_dim = 24, .latent = true}}) {
    const absl::Status asked = Ask(Subject(), layer);
    if (absl::IsUnimplemented(asked)) continue;
    KEEL_ASSERT_OK(asked);
    ++taken;
    const AttentionData data(layer, step, 3);
    for (const bool scrambled : {false, true}) {
      KEEL_ASSERT_OK_AND_ASSIGN(const AttentionResult result,
                                RunAttention(Subject(), data, {.scrambled = scrambled}));
      EXPECT_LE(PlainAttention(data).Apart(result.out), 2e-5) << ToString(layer);
      EXPECT_EQ(result.broken, "");
    }
  }
  EXPECT_GE(taken, 5);
}

INSTANTIATE_TEST_SUITE_P(EachOfTheHosts, AttentionDataTest,
                         ::testing::Values("eager", "sdpa", "paged"),
                         [](const auto& info) { return std::string(info.param); });

TEST(AttentionLayerTest, AnArgumentThatAClassDoesNotTakeIsRefused) {
  keel_attention_class c = {};
  c.name = "org.example.none";
  EXPECT_THAT(Ask({&c, nullptr}, {.sinks = true}), StatusIs(absl::StatusCode::kUnimplemented));
}

}  // namespace
}  // namespace keel::conformance
