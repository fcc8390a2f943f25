// Kernels of a plugin's own as they are run: memory, states, instances, and what is refused before.
#include "core/ops/plugin_kernel.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/config/config_view.h"
#include "core/graph/op_attributes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct Plugin {
  int instances = 0;
  uint64_t workspace_bytes = 64;
};

struct Instance {
  Plugin* plugin;
  double factor;
};

keel_status Infer(void*, const keel_kernel_use*, const keel_meta*, uint32_t, keel_meta*, uint32_t) {
  return 12;  // the node says the types
}
keel_status Create(void* self, const keel_kernel_use* use, void** instance) {
  auto* plugin = static_cast<Plugin*>(self);
  ++plugin->instances;
  *instance = new Instance{plugin, ConfigApi().get_real(use->attrs, "factor", 1, 0)};
  return use->dtype == KEEL_F32 ? 0 : 3;
}
uint64_t Workspace(void* self, const keel_dl_tensor* const*, uint32_t, const keel_dl_tensor* const*,
                   uint32_t) {
  return static_cast<Instance*>(self)->plugin->workspace_bytes;
}
// out[n] = factor * in[n], or with a state the running sum of that over a sequence.
keel_status RunScale(void* self, const keel_kernel_context* context,
                     const keel_dl_tensor* const* in, uint32_t num_in, keel_dl_tensor* const* out,
                     uint32_t num_out) {
  if (num_in != 1 || num_out != 1 || in[0]->ndim != 1 || in[0]->strides[0] != 1) return 3;
  if (reinterpret_cast<uintptr_t>(context->workspace) % 64 != 0 || context->workspace_bytes != 64)
    return 13;
  const auto factor = static_cast<float>(static_cast<Instance*>(self)->factor);
  const auto* x = static_cast<const float*>(in[0]->data);
  auto* y = static_cast<float*>(out[0]->data);
  for (int64_t i = 0; i < in[0]->shape[0]; ++i) y[i] = factor * x[i];
  const keel_sequences* sequences = context->sequences;
  for (uint32_t s = 0; sequences != nullptr && s < sequences->num_sequences; ++s) {
    float& sum = static_cast<float*>(sequences->states[0]->data)[sequences->slots[s]];
    for (int32_t i = sequences->cu_q[s]; i < sequences->cu_q[s + 1]; ++i) y[i] = sum += y[i];
  }
  out[0]->shape[0] = int64_t{1} << 40;  // a view is the kernel's own: nobody reads it again
  return 0;
}
void Release(void* self) {
  --static_cast<Instance*>(self)->plugin->instances;
  delete static_cast<Instance*>(self);
}

class PluginKernelTest : public ::testing::Test {
 protected:
  PluginKernelTest() {
    class_.struct_size = sizeof(class_);
    class_.flags = KEEL_KERNEL_ROWWISE, class_.name = "scale", class_.device_types = device_types_;
    class_.infer = Infer, class_.create = Create, class_.workspace = Workspace;
    class_.run = RunScale, class_.release = Release;
    kernels_ = {{&class_}, &plugin_, {}};
    proto::Declaration* state = graph_.add_declarations();
    state->set_name("sum");
    state->mutable_state()->mutable_type()->set_dtype(proto::F32);
    state->mutable_state()->mutable_type()->add_dims()->set_size(1);
    for (const char* name : {"rows", "sums"}) {
      proto::Declaration* d = graph_.add_declarations();
      d->set_name(name);
      d->mutable_kernel()->set_kernel("scale");
      d->mutable_kernel()->set_attrs(R"({"factor": 2})");
      d->mutable_kernel()->set_rowwise(true);
    }
    graph_.mutable_declarations(2)->mutable_kernel()->add_states(1);
  }
  ~PluginKernelTest() override { EXPECT_EQ(plugin_.instances, 0); }

  // Of object `object`, a result of `size` fp32.
  static proto::Node Node(uint32_t object, int64_t size) {
    proto::Node node = op::MakeNode(proto::OP_CALL, object);
    node.add_types()->set_dtype(proto::MODEL);
    node.mutable_types(0)->add_dims()->set_size(size);
    return node;
  }
  static at::Tensor RunOn(KernelInstances& kernels, const proto::Node& node, const at::Tensor& x,
                          const StepContext* step, const RecurrentStates& states) {
    std::vector<at::Tensor> out;
    KEEL_EXPECT_OK(kernels.Run(node, {&x, 1}, step, states, &out));
    return out.empty() ? at::Tensor() : out[0];
  }

  int32_t device_types_[2] = {1, 0};
  keel_kernel_class class_ = {};
  Plugin plugin_;
  PluginKernels kernels_;
  proto::Graph graph_;
};

TEST_F(PluginKernelTest, RowsComeAloneOrTogetherAlikeAndSumsStayWithinASequence) {
  KEEL_ASSERT_OK_AND_ASSIGN(KernelInstances kernels,
                            KernelInstances::Create(graph_, kernels_, DType::kF32));
  EXPECT_EQ(plugin_.instances, 2);
  KEEL_ASSERT_OK_AND_ASSIGN(RecurrentStates states,
                            RecurrentStates::Create({{1, DType::kF32, {1}}}));
  KEEL_ASSERT_OK(states.Allocate(3));
  const at::Tensor x = at::arange(6, at::kFloat);
  EXPECT_TRUE(RunOn(kernels, Node(2, 6), x, nullptr, states).equal(x * 2));
  // Not contiguous here, contiguous there.
  EXPECT_TRUE(RunOn(kernels, Node(2, 3), x.view({3, 2}).select(1, 1), nullptr, states)
                  .equal(x.view({3, 2}).select(1, 1) * 2));
  StepContext step;
  step.state_slots = {2, 0}, step.cu_q = {0, 2, 6};
  const at::Tensor sums = RunOn(kernels, Node(3, 6), x, &step, states);
  const float* y = sums.const_data_ptr<float>();
  EXPECT_THAT(std::vector<float>(y, y + 6), ::testing::ElementsAre(0, 2, 4, 10, 18, 28));
  const at::Tensor kept = states.Of(1).flatten();
  EXPECT_EQ(kept[0].item<float>(), 28);
  EXPECT_EQ(kept[1].item<float>(), 0);
  EXPECT_EQ(kept[2].item<float>(), 2);
  std::vector<at::Tensor> out;
  EXPECT_THAT(kernels.Run(Node(3, 6), {&x, 1}, nullptr, states, &out),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("outside of a step")));
}

TEST_F(PluginKernelTest, WhatAKernelMakesOfNaNsIsDataLikeAnyOther) {
  KEEL_ASSERT_OK_AND_ASSIGN(KernelInstances kernels,
                            KernelInstances::Create(graph_, kernels_, DType::kF32));
  KEEL_ASSERT_OK_AND_ASSIGN(const RecurrentStates states, RecurrentStates::Create({}));
  const at::Tensor x = at::full({3}, std::numeric_limits<double>::quiet_NaN());
  EXPECT_TRUE(std::isnan(RunOn(kernels, Node(2, 3), x, nullptr, states)[1].item<float>()));
}

TEST_F(PluginKernelTest, ItsErrorsNameIt) {
  plugin_.workspace_bytes = uint64_t{1} << 40;
  KEEL_ASSERT_OK_AND_ASSIGN(KernelInstances kernels,
                            KernelInstances::Create(graph_, kernels_, DType::kF32));
  KEEL_ASSERT_OK_AND_ASSIGN(const RecurrentStates states, RecurrentStates::Create({}));
  const at::Tensor x = at::zeros({3}), matrix = at::zeros({3, 1});
  std::vector<at::Tensor> out;
  EXPECT_THAT(kernels.Run(Node(2, 3), {&x, 1}, nullptr, states, &out),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("scale.workspace")));
  plugin_.workspace_bytes = 64;
  EXPECT_THAT(kernels.Run(Node(2, 3), {&matrix, 1}, nullptr, states, &out),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("kernel scale.run")));
  graph_.mutable_declarations(1)->mutable_kernel()->set_attrs("{}");
  EXPECT_THAT(
      KernelInstances::Create(graph_, kernels_, DType::kF32),
      StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr("rows"), HasSubstr("factor"))));
}

TEST_F(PluginKernelTest, AGraphIsHeldToWhatTheClassesPromise) {
  KEEL_EXPECT_OK(CheckKernels(graph_, kernels_, Numerics::kFastest));
  EXPECT_THAT(CheckKernels(graph_, kernels_, Numerics::kInvariant),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("rows"), HasSubstr("KEEL_KERNEL_INVARIANT"))));
  class_.flags = KEEL_KERNEL_INVARIANT;
  EXPECT_THAT(CheckKernels(graph_, kernels_, Numerics::kFastest),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("KEEL_KERNEL_ROWWISE")));
  class_.flags = KEEL_KERNEL_INVARIANT | KEEL_KERNEL_ROWWISE;
  KEEL_EXPECT_OK(CheckKernels(graph_, kernels_, Numerics::kInvariant));
  device_types_[0] = 2;
  EXPECT_THAT(CheckKernels(graph_, kernels_, Numerics::kFastest),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("device_types")));
  EXPECT_THAT(CheckKernels(graph_, {}, Numerics::kFastest),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("\"scale\"")));
}

}  // namespace
}  // namespace keel
