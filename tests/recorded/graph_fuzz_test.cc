// Arguments: directories with goldens, or testdata of families. Damaged graph files must be refused or taken, never crash
// the parser, the verifier, the sharder or what cuts stages. Seeded: a failure comes again.
#include <cstdio>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/graph/pp_plan.h"
#include "core/graph/sharding.h"
#include "core/graph/stages.h"
#include "core/graph/verifier.h"
#include "gtest/gtest.h"
#include "tests/recorded/graph_mutation.h"
#include "tests/recorded/recording.h"

namespace keel {
namespace {

constexpr int kRounds = 200;  // a golden and kind of damage

std::vector<std::string> g_dirs;  // of the command line

// What a host does with a file from outside.
void Take(const proto::Graph& graph) {
  if (!VerifyGraph(graph).ok()) return;
  (void)ShardGraph(graph, {.ranks = 2, .experts_apart = true});
  if (!CheckPpPlan(graph).ok()) return;
  const auto stages = CutStages(graph, 2);
  if (!stages.ok()) return;
  for (const proto::Graph& stage : *stages) (void)ShardGraph(stage, {.ranks = 4});
}

struct Golden {
  std::string text;
  proto::Graph graph;
};

class GraphFuzzTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const std::string& dir : g_dirs) {
      const std::string path = JoinPath(dir, "graph.textproto");
      KEEL_ASSERT_OK_AND_ASSIGN(std::string text, ReadFile(path));
      KEEL_ASSERT_OK_AND_ASSIGN(proto::Graph graph, ParseGraphText(text, path));
      goldens_.push_back({std::move(text), std::move(graph)});
    }
  }
  std::vector<Golden> goldens_;
  std::mt19937 random_{20260101};
};

TEST_F(GraphFuzzTest, DamagedText) {
  for (const Golden& golden : goldens_) {
    for (int round = 0; round < kRounds; ++round) {
      const auto graph = ParseGraphText(testing::Mutate(golden.text, random_), "fuzz");
      if (graph.ok()) Take(*graph);
    }
  }
}

TEST_F(GraphFuzzTest, DamagedBytes) {
  for (const Golden& golden : goldens_) {
    const std::string bytes = golden.graph.SerializeAsString();
    for (int round = 0; round < kRounds; ++round) {
      proto::Graph graph;
      if (graph.ParseFromString(testing::Mutate(bytes, random_))) Take(graph);
    }
  }
}

// ---- well-formed files that say something else -----------------------------------------------

TEST_F(GraphFuzzTest, ChangedFields) {
  for (const Golden& golden : goldens_) {
    for (int round = 0; round < 5 * kRounds; ++round) {
      proto::Graph graph = golden.graph;
      for (uint32_t i = 0, n = 1 + random_() % 3; i < n; ++i) ChangeField(&graph, random_);
      Take(graph);
    }
  }
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    const std::vector<std::string> dirs = keel::RecordedDirectories(argv[i]);
    keel::g_dirs.insert(keel::g_dirs.end(), dirs.begin(), dirs.end());
  }
  if (keel::g_dirs.empty()) {
    std::fprintf(stderr, "usage: %s directory ...\n", argv[0]);
    return 2;
  }
  return RUN_ALL_TESTS();
}
