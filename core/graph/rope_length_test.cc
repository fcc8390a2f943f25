#include "core/graph/rope_length.h"

#include "gtest/gtest.h"

namespace keel {
namespace {

void Add(proto::Graph& graph, int64_t trained, bool has_long, double dynamic_factor) {
  proto::Rope& rope = *graph.add_declarations()->mutable_rope();
  rope.set_original_max_positions(trained);
  if (has_long) rope.add_long_inv_freq(1);
  rope.set_dynamic_factor(dynamic_factor);
}

TEST(PromptRopeTest, SaysWhichPromptsHaveTheSameKeys) {
  proto::Graph graph;
  graph.add_declarations()->mutable_linear();
  Add(graph, 4096, false, 0);  // yarn
  EXPECT_EQ(PromptRopeOf(graph).trained, 0);
  Add(graph, 4096, true, 0);  // longrope
  EXPECT_EQ(PromptRopeOf(graph).trained, 4096);
  EXPECT_FALSE(PromptRopeOf(graph).each_own);
  Add(graph, 2048, true, 0);  // of other layers
  EXPECT_EQ(PromptRopeOf(graph).trained, 2048);
  EXPECT_TRUE(PromptRopeOf(graph).each_own);
  proto::Graph dynamic;
  Add(dynamic, 100, false, 2);
  EXPECT_EQ(PromptRopeOf(dynamic).trained, 100);
  EXPECT_TRUE(PromptRopeOf(dynamic).each_own);
}

}  // namespace
}  // namespace keel
