#include "core/graph/record_model.h"

#include "core/base/status_matchers.h"
#include "core/graph/testing.h"
#include "core/graph/verifier.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::RecordTinyModel;
using ::keel::testing::StatusIs;
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

TEST_F(MutationTest, AnUnknownOpIsRefusedByNumber) {
  forward().mutable_nodes(1)->set_op(static_cast<proto::Op>(4242));
  EXPECT_THAT(VerifyGraph(graph_), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("4242")));
}

TEST_F(MutationTest, ANewerOpsetIsRefusedWithBothNumbers) {
  graph_.set_opset(99);
  EXPECT_THAT(VerifyGraph(graph_), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("opset is 99, this host runs 1 to 1")));
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
