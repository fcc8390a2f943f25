// What a model may record with kernels of its plugin's own, and what is refused.
#include "core/graph/plugin_kernels.h"

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/config/config_view.h"
#include "core/graph/sharding.h"
#include "core/graph/testing.h"
#include "core/graph/verifier.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::kFirstExtraObject;
using ::keel::testing::RecordTinyModel;
using ::keel::testing::StatusIs;
using ::keel::testing::TinyModel;
using ::testing::AllOf;
using ::testing::HasSubstr;

// What the class's infer does to its first operand's type; set by each test.
std::function<void(keel_meta&)> g_result;

keel_status Infer(void*, const keel_kernel_use* use, const keel_meta* in, uint32_t num_in,
                  keel_meta* out, uint32_t num_out) {
  ConfigApi().get_int(use->attrs, "needed", 1, 0);
  if (num_in < 1) return 3;
  for (uint32_t i = 0; i < num_out; ++i) {
    out[i] = in[0];
    if (g_result) g_result(out[i]);
  }
  return 0;
}
keel_status Create(void*, const keel_kernel_use*, void**) { return 0; }
keel_status Run(void*, const keel_kernel_context*, const keel_dl_tensor* const*, uint32_t,
                keel_dl_tensor* const*, uint32_t) {
  return 0;
}
void Release(void*) {}

keel_kernel_class Class(const char* name, uint32_t flags) {
  static constexpr int32_t kCpu[] = {1, 0};
  keel_kernel_class c = {};
  c.struct_size = sizeof(c);
  c.flags = flags, c.name = name, c.device_types = kCpu;
  c.infer = Infer, c.create = Create, c.run = Run, c.release = Release;
  return c;
}
const keel_kernel_class kRowwise = Class("rowwise", KEEL_KERNEL_ROWWISE);
const keel_kernel_class kMixing = Class("mixing", 0);

keel_object Declare(keel_build* build, const char* name, const char* kernel,
                    const char* attrs = R"({"needed": 1})", keel_object state = 0) {
  const keel_kernel_desc desc = {sizeof(desc),
                                 state == 0 ? 0u : 1u,
                                 kernel,
                                 {attrs, std::char_traits<char>::length(attrs)},
                                 &state};
  return build->api->kernel(build, {name, std::char_traits<char>::length(name)}, &desc);
}
keel_object DeclareState(keel_build* build) {
  keel_state_desc desc = {};
  desc.struct_size = sizeof(desc), desc.kind = KEEL_STATE_OTHER, desc.ndim = 1, desc.dims[0] = 64;
  return build->api->state(build, {"state", 5}, &desc);
}
template <uint32_t kObject = kFirstExtraObject>
keel_tensor Call(keel_run* r, keel_tensor x) {
  keel_tensor out = 0;
  r->ops->call(r, kObject, &x, 1, &out, 1);
  return out;
}
// A state and the kernel over it, called in the first layer.
keel_tensor CallOverState(keel_run* r, keel_tensor x, int layer) {
  return layer == 0 ? Call<kFirstExtraObject + 1>(r, x) : x;
}

TinyModel Model(void (*declare)(keel_build*),
                keel_tensor (*after_mlp)(keel_run*, keel_tensor) = Call<>) {
  return {.after_mlp = after_mlp, .declare = declare, .kernels = {&kRowwise, &kMixing}};
}

class PluginKernelsTest : public ::testing::Test {
 protected:
  void SetUp() override { g_result = nullptr; }
};

TEST_F(PluginKernelsTest, AKernelThatPromisesRowsIsRecordedWithTheTypesItInfers) {
  const TinyModel model = Model([](keel_build* b) { Declare(b, "k", "rowwise"); });
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel recorded, RecordTinyModel(model));
  const proto::Declaration& d = recorded.graph.declarations(kFirstExtraObject - 1);
  EXPECT_EQ(d.name(), "k");
  EXPECT_TRUE(d.kernel().rowwise());
  EXPECT_EQ(recorded.graph.opset(), 2u);
  int calls = 0;
  for (const proto::Node& node : recorded.graph.functions(0).nodes()) {
    if (node.op() != proto::OP_CALL) continue;
    ++calls;
    KEEL_ASSERT_OK_AND_ASSIGN(const TensorType type, FromProto(node.types(0)));
    EXPECT_EQ(ToString(type), "MODEL[N, 64]");
  }
  EXPECT_EQ(calls, 2);
  KEEL_EXPECT_OK(ShardGraph(recorded.graph, {.ranks = 2}).status());
}

TEST_F(PluginKernelsTest, AKernelThatPromisesNothingMayNotSeeRows) {
  EXPECT_THAT(RecordTinyModel(Model([](keel_build* b) { Declare(b, "k", "mixing"); })),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("(call k) could mix the rows"), HasSubstr("mixing"),
                             HasSubstr("KEEL_KERNEL_ROWWISE"))));
  // A graph file that says so of a kernel is held to the class when it is run: CheckKernels.
}

TEST_F(PluginKernelsTest, WithStatesItWorksAlongSequencesOnceAStateAndInForwardAlone) {
  TinyModel model =
      Model([](keel_build* b) { Declare(b, "k", "mixing", R"({"needed": 1})", DeclareState(b)); },
            nullptr);
  model.after_layer = CallOverState;
  KEEL_EXPECT_OK(RecordTinyModel(model).status());
  model.after_layer = [](keel_run* r, keel_tensor x, int) {
    return Call<kFirstExtraObject + 1>(r, x);
  };
  EXPECT_THAT(RecordTinyModel(model),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is used twice")));
  model.declare = [](keel_build* b) {
    const keel_object state = DeclareState(b);
    Declare(b, "k", "mixing", R"({"needed": 1})", state);
    Declare(b, "other", "mixing", R"({"needed": 1})", state);
  };
  model.after_layer = [](keel_run* r, keel_tensor x, int layer) {
    return layer == 0 ? Call<kFirstExtraObject + 1>(r, x) : Call<kFirstExtraObject + 2>(r, x);
  };
  EXPECT_THAT(RecordTinyModel(model),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("call other"), HasSubstr("is used twice"))));
  model.declare = [](keel_build* b) { Declare(b, "k", "mixing", R"({"needed": 1})", 1); };
  EXPECT_THAT(RecordTinyModel(model),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("states[0] is object 1")));
}

TEST_F(PluginKernelsTest, AResultOfOtherRowsOrOfNoSizeIsRefused) {
  const TinyModel model = Model([](keel_build* b) { Declare(b, "k", "rowwise"); });
  const auto refused = [&](std::function<void(keel_meta&)> result, const char* why) {
    g_result = std::move(result);
    EXPECT_THAT(RecordTinyModel(model), StatusIs(absl::StatusCode::kInvalidArgument,
                                                 AllOf(HasSubstr("call k"), HasSubstr(why))));
  };
  g_result = [](keel_meta& m) { m.dims[0] = 5; };  // what is added to it notices
  EXPECT_THAT(RecordTinyModel(model),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("sizes N and 5")));
  refused([](keel_meta& m) { m.ndim = 0; }, "gives MODEL[]");
  refused([](keel_meta& m) { m.dims[1] = -2; }, "dimension 1 is -2");
  refused([](keel_meta& m) { m.dims[1] = 0; }, "dimension 1 is 0");
  refused([](keel_meta& m) { m.dims[1] = int64_t{1} << 40; }, "sizes up to 2^30");
  refused([](keel_meta& m) { m.ndim = 99; }, "99 dimensions");
  refused([](keel_meta& m) { m.dtype = 4711; }, "data type 4711");
}

TEST_F(PluginKernelsTest, AKernelThatThePluginLacksOrWhoseAttributesAreWrongIsRefusedByName) {
  EXPECT_THAT(RecordTinyModel(Model([](keel_build* b) { Declare(b, "k", "faster"); })),
              StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr("'k'"), HasSubstr("\"faster\""),
                                                          HasSubstr("rowwise, mixing"))));
  EXPECT_THAT(RecordTinyModel(Model([](keel_build* b) { Declare(b, "k", "rowwise", "[]"); })),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected an object")));
  EXPECT_THAT(RecordTinyModel(Model([](keel_build* b) { Declare(b, "k", "rowwise", ""); })),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("attrs of kernel rowwise"), HasSubstr("needed"))));
}

}  // namespace
}  // namespace keel
