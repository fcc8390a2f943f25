#include "core/graph/record_model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/graph/testing.h"
#include "core/graph/verifier.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::IsOk;
using ::keel::testing::RecordTinyModel;
using ::keel::testing::StatusIs;
using ::keel::testing::TinyModel;
using ::testing::HasSubstr;

TEST(RecordModelTest, RecordsDeclarationsAndNodesInOrderOfTheForward) {
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel model, RecordTinyModel());
  EXPECT_EQ(model.graph.spec().num_layers(), 2);
  EXPECT_EQ(model.graph.declarations_size(), 1 + 2 * 10 + 1);
  ASSERT_EQ(model.graph.functions_size(), 1);
  const proto::Function& forward = model.graph.functions(0);
  EXPECT_EQ(forward.inputs(0).name(), "embeds");
  EXPECT_EQ(forward.nodes_size(), 2 * 21 + 1);
  EXPECT_EQ(forward.nodes(0).op(), proto::OP_MARK);
  EXPECT_EQ(forward.nodes(1).op(), proto::OP_NORM);
}

TEST(RecordModelTest, RefusesAForwardThatAsksForTheNumberOfTokens) {
  EXPECT_THAT(
      RecordTinyModel({.after_mlp =
                           [](keel_run* r, keel_tensor x) {
                             r->ops->dim(r, x, 0);
                             return x;
                           }}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the number of tokens has no value")));
}

TEST(RecordModelTest, RefusesAForwardThatLooksIntoATensor) {
  EXPECT_THAT(RecordTinyModel({.after_mlp =
                                   [](keel_run* r, keel_tensor x) {
                                     r->ops->item(r, x);
                                     return x;
                                   }}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("must not depend on tensor contents")));
}

TEST(RecordModelTest, RefusesForgedHandlesByName) {
  EXPECT_THAT(
      RecordTinyModel(
          {.after_mlp = [](keel_run* r, keel_tensor x) { return r->ops->add(r, x, x + 12345); }}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not of this run")));
}

TEST(RecordModelTest, RefusesAHandleKeptFromTheFirstRecording) {
  static keel_tensor kept;
  kept = 0;
  EXPECT_THAT(RecordTinyModel({.after_mlp =
                                   [](keel_run* r, keel_tensor x) {
                                     if (kept == 0) kept = x;
                                     return r->ops->add(r, x, kept);
                                   }}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not of this run")));
}

TEST(RecordModelTest, RefusesAForwardThatRecordsTwoDifferentGraphs) {
  static int calls;
  calls = 0;
  EXPECT_THAT(RecordTinyModel(
                  {.after_mlp = [](keel_run* r,
                                   keel_tensor x) { return r->ops->affine(r, x, ++calls, 0); }}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("two different graphs")));
}

TEST(RecordModelTest, RefusesACreateThatDeclaresSomethingElseTheSecondTime) {
  static int64_t calls;
  calls = 0;
  EXPECT_THAT(RecordTinyModel({.declare =
                                   [](keel_build* b) {
                                     b->api->linear(b, {"extra", 5}, 8, 8 + ++calls, 0);
                                   }}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("create recorded two different graphs")));
}

TEST(RecordModelTest, RefusesLogitsThatRecordTwoDifferentGraphs) {
  static int calls;
  calls = 0;
  TinyModel model;
  model.logits = [](const void*, keel_run* r, keel_tensor hidden, keel_tensor* logits) {
    *logits = r->ops->affine(r, r->ops->repeat(r, hidden, 1, 2), ++calls, 0);
    return r->ops->status(r);
  };
  EXPECT_THAT(RecordTinyModel(model), StatusIs(absl::StatusCode::kInvalidArgument,
                                               HasSubstr("logits recorded two different graphs")));
}

TEST(RecordModelTest, AModelClassMayHaveNoModelType) {
  TinyModel model;
  model.model_type = nullptr;
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel recorded, RecordTinyModel(model));
  EXPECT_EQ(recorded.graph.spec().model_type(), "");
}

// A plugin that hands over NULL is told so; nothing is read from it.
TEST(RecordModelTest, RefusesListsThatAreNull) {
  const std::pair<const char*, keel_tensor (*)(keel_run*, keel_tensor)> calls[] = {
      {"view: dims", [](keel_run* r, keel_tensor x) { return r->ops->view(r, x, 2, nullptr); }},
      {"permute: order",
       [](keel_run* r, keel_tensor x) { return r->ops->permute(r, x, 2, nullptr); }},
      {"cat: xs", [](keel_run* r, keel_tensor) { return r->ops->cat(r, nullptr, 2, 0); }},
      {"constant: dims",
       [](keel_run* r, keel_tensor x) { return r->ops->constant(r, KEEL_F32, 1, nullptr, &x); }},
      {"constant: data",
       [](keel_run* r, keel_tensor) {
         const int64_t dims[] = {1};
         return r->ops->constant(r, KEEL_F32, 1, dims, nullptr);
       }},
      {"topk: values or indices",
       [](keel_run* r, keel_tensor x) {
         r->ops->topk(r, x, 1, &x, nullptr);
         return x;
       }},
      {"args",
       [](keel_run* r, keel_tensor x) { return r->ops->attention(r, 1, x, x, x, nullptr, 1); }}};
  for (const auto& [what, call] : calls) {
    EXPECT_THAT(RecordTinyModel({.after_mlp = call}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat(what, " is NULL, expected "))));
  }
}

TEST(RecordModelTest, NamesOpObjectAndShapesOfAMismatch) {
  EXPECT_THAT(RecordTinyModel({.after_mlp =
                                   [](keel_run* r, keel_tensor x) {
                                     const int64_t dims[] = {0, 4, 16};
                                     return r->ops->add(r, x, r->ops->view(r, x, 3, dims));
                                   }}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("recording forward: add")));
}

TEST(RecordModelTest, RefusesAValueThatIsComputedAndNeverUsed) {
  EXPECT_THAT(RecordTinyModel({.after_mlp =
                                   [](keel_run* r, keel_tensor x) {
                                     r->ops->affine(r, x, 2, 0);
                                     return x;
                                   }}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("never used")));
}

TEST(RecordModelTest, AnErrorInANestedExpressionStaysTheFirstOne) {
  EXPECT_THAT(RecordTinyModel({.after_mlp =
                                   [](keel_run* r, keel_tensor x) {
                                     const int64_t dims[] = {0, 7};
                                     return r->ops->add(
                                         r, r->ops->softmax(r, r->ops->view(r, x, 2, dims), 5), x);
                                   }}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("can't be viewed as [0, 7]")));
}

TEST(RecordModelTest, RefusesACallOfWhatIsNoKernel) {
  EXPECT_THAT(RecordTinyModel({.after_mlp =
                                   [](keel_run* r, keel_tensor x) {
                                     keel_tensor out = 0;
                                     r->ops->call(r, 1, &x, 1, &out, 1);
                                     return out;
                                   }}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("object 1 is no kernel")));
}

TEST(RecordModelTest, RefusesAnArgumentOfAttentionThatHasNotOneEntryAHead) {
  const auto record = [](keel_tensor (*slopes)(keel_run*)) {
    return RecordTinyModel({.attention_args = slopes});
  };
  EXPECT_THAT(record([](keel_run* r) {
                const float numbers[] = {1, 2, 3, 4};
                const int64_t dims[] = {4};
                return r->ops->constant(r, KEEL_F32, 1, dims, numbers);
              }).status(),
              IsOk());
  EXPECT_THAT(record([](keel_run* r) {
                const float numbers[] = {1, 2, 3};
                const int64_t dims[] = {3};
                return r->ops->constant(r, KEEL_F32, 1, dims, numbers);
              }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("argument alibi_slopes is F32[3], expected numbers [4]")));
}

TEST(RecordModelTest, RefusesABiasOfDistancesWithoutAColumnForEachOnEitherSide) {
  const auto record = [](keel_tensor (*bias)(keel_run*, keel_tensor)) {
    return RecordTinyModel({.query_bias = bias});
  };
  KEEL_EXPECT_OK(
      record([](keel_run* r, keel_tensor q) { return r->ops->narrow(r, q, 2, 0, 5); }).status());
  EXPECT_THAT(record([](keel_run* r, keel_tensor q) { return r->ops->narrow(r, q, 2, 0, 4); }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("argument query_distance_bias is MODEL[N, 4, 4], expected numbers "
                                 "[N, 4, 2 D + 1], not of MLA")));
}

TEST(RecordModelTest, GroupsAreForwardsInput) {
  KEEL_EXPECT_OK(
      RecordTinyModel({.groups = [](keel_run*, keel_tensor in) { return in; }}).status());
  const auto refused = [](keel_tensor (*groups)(keel_run*, keel_tensor), const char* text) {
    EXPECT_THAT(RecordTinyModel({.groups = groups}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text)));
  };
  refused([](keel_run* r, keel_tensor in) { return r->ops->cast(r, in, KEEL_I64); },
          "argument groups is I64[N], expected I32[N] of causal attention");
  refused([](keel_run* r, keel_tensor in) { return r->ops->add(r, in, in); },
          "has an argument 'groups' that the model computes, expected the input of forward");
}

// The same rules for a plugin's arguments and a graph file's.
TEST(RecordModelTest, FlagsOfAnArgumentSayWhatItsTensorIs) {
  static uint32_t flags = 0;
  const auto record = [](uint32_t f) {
    flags = f;
    return RecordTinyModel(
        {.after_mlp =
             [](keel_run* r, keel_tensor x) {
               const int64_t heads[] = {0, 4, 16}, flat[] = {0, 64};
               const float numbers[] = {1, 2, 3, 4};
               const int64_t dims[] = {4};
               const keel_arg arg{"its_own", 0, r->ops->constant(r, KEEL_F32, 1, dims, numbers),
                                  flags};
               const keel_tensor h = r->ops->view(r, x, 3, heads);
               return r->ops->view(
                   r, r->ops->attention(r, testing::kFirstExtraObject, h, h, h, &arg, 1), 2, flat);
             },
         .declare =
             [](keel_build* b) {
               keel_attention_desc d{};
               d.struct_size = sizeof(d), d.kind = KEEL_ATTENTION_ENCODER;
               d.heads = d.kv_heads = 4, d.qk_dim = d.v_dim = 16;
               b->api->attention(b, {"encoder", 7}, &d);
             }});
  };
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel plain, record(0));
  EXPECT_EQ(plain.graph.opset(), 1u);
  KEEL_ASSERT_OK_AND_ASSIGN(const RecordedModel flagged,
                            record(KEEL_ARG_PER_HEAD | KEEL_ARG_OPTIONAL));
  EXPECT_EQ(flagged.graph.opset(), 3u);
  const auto refused = [&](uint32_t f, const char* text) {
    EXPECT_THAT(record(f), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text)));
    proto::Graph graph = flagged.graph;
    for (proto::Node& node : *graph.mutable_functions(0)->mutable_nodes()) {
      if (!node.arg_flags().empty()) node.set_arg_flags(0, f);
    }
    EXPECT_THAT(VerifyGraph(graph),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("flags")));
  };
  refused(KEEL_ARG_PER_TOKEN,
          "argument its_own is F32[4], expected a tensor whose first dimension");
  refused(KEEL_ARG_PER_HEAD | KEEL_ARG_PER_TOKEN, "argument its_own has the flags 5");
  refused(16, "argument its_own: flags are 0x10, expected bits of 0xf");
  proto::Graph graph = flagged.graph;
  graph.mutable_functions(0)->mutable_nodes(1)->add_arg_flags(1);
  EXPECT_THAT(VerifyGraph(graph),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("has flags of 1 arguments")));
}

TEST(RecordModelTest, AConstantNeedsAPlainType) {
  EXPECT_THAT(RecordTinyModel({.attention_args =
                                   [](keel_run* r) {
                                     const float numbers[] = {1, 2, 3, 4};
                                     const int64_t dims[] = {4};
                                     return r->ops->constant(r, KEEL_DTYPE_MODEL, 1, dims, numbers);
                                   }}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("constant")));
}

// It keeps nothing from step to step, unlike one with a cache.
TEST(RecordModelTest, AnEncodersAttentionMayBeUsedInEveryLayer) {
  KEEL_EXPECT_OK(RecordTinyModel({.after_mlp =
                                      [](keel_run* r, keel_tensor x) {
                                        const int64_t heads[] = {0, 4, 16}, flat[] = {0, 64};
                                        const keel_tensor h = r->ops->view(r, x, 3, heads);
                                        return r->ops->view(
                                            r,
                                            r->ops->attention(r, testing::kFirstExtraObject, h, h,
                                                              h, nullptr, 0),
                                            2, flat);
                                      },
                                  .declare =
                                      [](keel_build* b) {
                                        keel_attention_desc d{};
                                        d.struct_size = sizeof(d), d.kind = KEEL_ATTENTION_ENCODER;
                                        d.heads = d.kv_heads = 4, d.qk_dim = d.v_dim = 16;
                                        b->api->attention(b, {"encoder", 7}, &d);
                                      }})
                     .status());
}

// Every single change below makes another computation; none may pass for the one that was recorded.
class MutationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    KEEL_ASSERT_OK_AND_ASSIGN(RecordedModel model, RecordTinyModel());
    graph_ = model.graph;
    KEEL_ASSERT_OK(VerifyGraph(graph_));
  }
  proto::Function& forward() { return *graph_.mutable_functions(0); }
  proto::Graph graph_;
};

TEST_F(MutationTest, DroppingAnyNodeIsRefused) {
  for (int i = 0; i < forward().nodes_size(); ++i) {
    proto::Graph mutated = graph_;
    mutated.mutable_functions(0)->mutable_nodes()->DeleteSubrange(i, 1);
    EXPECT_FALSE(VerifyGraph(mutated).ok()) << "node " << i;
  }
}

TEST_F(MutationTest, ChangingAnyShapeIsRefused) {
  for (int i = 0; i < forward().nodes_size(); ++i) {
    if (forward().nodes(i).types().empty()) continue;
    proto::Graph mutated = graph_;
    proto::Dim* dim =
        mutated.mutable_functions(0)->mutable_nodes(i)->mutable_types(0)->mutable_dims(1);
    dim->set_size(dim->size() + 1);
    EXPECT_FALSE(VerifyGraph(mutated).ok()) << "node " << i;
  }
}

TEST_F(MutationTest, UsingAValueBeforeItIsDefinedIsRefused) {
  forward().mutable_nodes(1)->set_inputs(0, 50);
  EXPECT_THAT(VerifyGraph(graph_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("node 1 (norm model.layers.0.input_layernorm): value 50")));
}

TEST_F(MutationTest, SwappingQueryAndKeyIsRefused) {
  for (proto::Node& node : *forward().mutable_nodes()) {
    if (node.op() == proto::OP_ATTENTION) node.mutable_inputs()->SwapElements(0, 1);
  }
  EXPECT_FALSE(VerifyGraph(graph_).ok());
}

// What a declaration of a file says must fit what is computed with it.
TEST_F(MutationTest, ADeclarationOfAnotherSizeIsRefused) {
  for (int i = 0; i < graph_.declarations_size(); ++i) {
    for (const int64_t size : {int64_t{0}, int64_t{-1}, int64_t{17}, int64_t{1} << 62}) {
      proto::Graph mutated = graph_;
      proto::Declaration* d = mutated.mutable_declarations(i);
      if (d->has_linear()) d->mutable_linear()->set_out(size);
      if (d->has_norm()) d->mutable_norm()->set_size(size);
      if (d->has_rope()) d->mutable_rope()->set_head_dim(size);
      if (d->has_attention()) d->mutable_attention()->set_v_dim(size);
      EXPECT_FALSE(VerifyGraph(mutated).ok()) << d->name() << " with " << size;
    }
  }
}

TEST_F(MutationTest, AConvolutionOfAFileIsCheckedBeforeItsSizesAreComputedWith) {
  const auto with_stride = [this](int64_t stride) {
    proto::Graph graph = graph_;
    proto::Declaration* d = graph.add_declarations();
    d->set_name("conv");
    proto::Conv* conv = d->mutable_conv();
    conv->set_in(64), conv->set_out(64), conv->set_groups(1);
    conv->add_kernel(1), conv->add_stride(stride), conv->add_padding(0);
    return VerifyGraph(graph);
  };
  KEEL_EXPECT_OK(with_stride(1));
  EXPECT_THAT(with_stride(0), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'conv'")));
}

// What a recording is held against, too.
TEST_F(MutationTest, AMergeRuleThatDoesNotFitIsRefused) {
  proto::ModelSpec::Input& input = *graph_.mutable_spec()->add_inputs();
  input.set_graph("image");
  input.set_name("index");
  input.set_dtype(KEEL_I64);
  input.add_dims(-1);
  input.set_merge(KEEL_MERGE_INDICES);
  input.set_index_symbol(-1);
  input.set_index_multiple(1);
  KEEL_EXPECT_OK(VerifyGraph(graph_));
  input.set_index_symbol(-2);
  EXPECT_THAT(VerifyGraph(graph_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'index' of image has indices that count the symbol -2")));
  input.set_merge(7);
  EXPECT_THAT(VerifyGraph(graph_), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("has the merge rule 7, expected")));
}

TEST_F(MutationTest, WhatAnOpsetOrAHostLacksIsRefusedByName) {
  graph_.add_required_features("op.compare");
  KEEL_EXPECT_OK(VerifyGraph(graph_));
  graph_.add_required_features("op.teleport");
  EXPECT_THAT(VerifyGraph(graph_), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("needs 'op.teleport', expected features")));
  graph_.clear_required_features();
  proto::ModelSpec::Rename* rename = graph_.mutable_spec()->add_renames();
  rename->set_op(proto::ModelSpec::Rename::UNSTACK);
  EXPECT_THAT(VerifyGraph(graph_), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("opset is 1, expected at least 3")));
  graph_.set_opset(3);
  KEEL_EXPECT_OK(VerifyGraph(graph_));
  rename->set_op(static_cast<proto::ModelSpec::Rename::Op>(77));
  EXPECT_THAT(VerifyGraph(graph_), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("a rename with the operation 77")));
}

TEST_F(MutationTest, AnUnknownOpIsRefusedByNumber) {
  forward().mutable_nodes(1)->set_op(static_cast<proto::Op>(4242));
  EXPECT_THAT(VerifyGraph(graph_), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("4242")));
}

TEST_F(MutationTest, ANewerOpsetIsRefusedWithBothNumbers) {
  graph_.set_opset(99);
  EXPECT_THAT(VerifyGraph(graph_), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("opset is 99, this host runs 1 to 3")));
}

// Random bytes changed in the file: parsing may fail and verification may fail, neither may crash.
TEST_F(MutationTest, RandomDamageNeverCrashes) {
  const std::string bytes = graph_.SerializeAsString();
  uint64_t seed = 20260101;
  const auto next = [&seed] {
    return seed = seed * 6364136223846793005u + 1442695040888963407u, seed >> 33;
  };
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = bytes;
    for (uint64_t i = 0, n = 1 + next() % 4; i < n; ++i)
      damaged[next() % damaged.size()] = static_cast<char>(next());
    proto::Graph graph;
    if (graph.ParseFromString(damaged)) (void)VerifyGraph(graph);
  }
}

}  // namespace
}  // namespace keel
