#include "core/graph/weight_counts.h"

#include "gtest/gtest.h"

namespace keel {
namespace {

void AddLinear(int64_t in, int64_t out, proto::Graph* graph) {
  proto::Linear& linear = *graph->add_declarations()->mutable_linear();
  linear.set_in(in);
  linear.set_out(out);
}

void Apply(uint32_t object, proto::Function* function) {
  function->add_nodes()->set_object(object);
}

TEST(WeightCountsTest, CountsWhatOneTokenIsMultipliedBy) {
  proto::Graph graph;
  AddLinear(8, 4, &graph);                                     // 1
  AddLinear(4, 100, &graph);                                   // 2, the head
  proto::Moe& moe = *graph.add_declarations()->mutable_moe();  // 3
  moe.set_experts(6);
  moe.set_top_k(2);
  moe.set_hidden_size(4);
  moe.set_intermediate_size(3);
  moe.set_up("up");
  moe.set_down("down");
  graph.add_declarations()->mutable_embedding()->set_rows(100);  // 4
  proto::Function* forward = graph.add_functions();
  forward->set_name("forward");
  Apply(1, forward);
  Apply(1, forward);
  Apply(0, forward);  // no object
  Apply(4, forward);
  proto::Function* encode = graph.add_functions();
  encode->set_name("encode/image");
  Apply(1, encode);
  proto::Function* head = graph.add_functions();
  head->set_name("head");
  Apply(2, head);

  WeightCounts counts = CountWeights(graph);
  EXPECT_EQ(counts.token, 2 * 8 * 4);
  EXPECT_EQ(counts.logits, 4 * 100);
  EXPECT_EQ(counts.stored, 8 * 4 + 4 * 100);
  EXPECT_FALSE(counts.has_experts);

  Apply(3, graph.mutable_functions(0));
  counts = CountWeights(graph);
  EXPECT_EQ(counts.token, 2 * 8 * 4 + 2 * (2 * 4 * 3));
  EXPECT_EQ(counts.stored, 8 * 4 + 4 * 100 + 6 * (2 * 4 * 3));
  EXPECT_TRUE(counts.has_experts);

  graph.mutable_declarations(2)->mutable_moe()->set_gate("gate");
  EXPECT_EQ(CountWeights(graph).token, 2 * 8 * 4 + 2 * (3 * 4 * 3));
}

}  // namespace
}  // namespace keel
