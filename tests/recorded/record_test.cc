// Arguments: a plugin's library and a directory with a config.json and its golden, graph.textproto,
// or with several such directories (testdata of a family). The recorded graph is the golden, as data it stands without the plugin, and the host either runs
// it or says by name what it can't.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/isfinite.h>
#include <google/protobuf/util/message_differencer.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/attention/registry.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/exec/executor.h"
#include "core/graph/pp_plan.h"
#include "core/graph/sharding.h"
#include "core/graph/stages.h"
#include "core/graph/verifier.h"
#include "core/weights/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/recorded/recording.h"

namespace keel {
namespace {

std::string g_plugin;  // of the command line
std::vector<std::string> g_dirs;

// The parameter is the directory.
class RecordTest : public ::testing::TestWithParam<std::string> {
 protected:
  static std::string GoldenPath() { return JoinPath(GetParam(), "graph.textproto"); }
};

// Rope frequencies come from the C library, whose last bit may differ between machines.
bool SameGraph(const proto::Graph& a, const proto::Graph& b) {
  google::protobuf::util::MessageDifferencer differencer;
  differencer.set_float_comparison(google::protobuf::util::MessageDifferencer::APPROXIMATE);
  return differencer.Compare(a, b);
}

// What `diff -u` prints.
std::string TextDiff(const std::string& golden, const std::string& actual) {
  const testing::ScratchDir dir;
  const std::string a = dir.Write("golden", golden), b = dir.Write("recorded", actual);
  std::FILE* pipe = popen(absl::StrCat("diff -u '", a, "' '", b, "' | head -n 200").c_str(), "r");
  if (pipe == nullptr) return "";
  std::string text;
  char buffer[4096];
  while (const size_t n = std::fread(buffer, 1, sizeof(buffer), pipe)) text.append(buffer, n);
  pclose(pipe);
  return text;
}

TEST_P(RecordTest, RecordsTheGolden) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Recording recording, RecordDirectory(g_plugin, GetParam()));
  const std::string actual = GraphText(recording.model.graph);
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(GoldenPath()));
  KEEL_ASSERT_OK_AND_ASSIGN(const proto::Graph golden, ParseGraphText(text, GoldenPath()));
  EXPECT_TRUE(SameGraph(golden, recording.model.graph))
      << TextDiff(text, actual)
      << "if the change is meant: ./bazelw run //tests/recorded:update, and read its diff";
}

TEST_P(RecordTest, RecordsTheSameGraphAgain) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Recording first, RecordDirectory(g_plugin, GetParam()));
  KEEL_ASSERT_OK_AND_ASSIGN(const Recording again, RecordDirectory(g_plugin, GetParam()));
  EXPECT_EQ(GraphText(first.model.graph), GraphText(again.model.graph));
}

TEST_P(RecordTest, TheGoldenIsAGraphFile) {
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(GoldenPath()));
  KEEL_ASSERT_OK_AND_ASSIGN(const proto::Graph golden, ParseGraphText(text, GoldenPath()));
  KEEL_EXPECT_OK(VerifyGraph(golden));
  EXPECT_EQ(GraphText(golden), text) << "the golden was edited by hand";
  proto::Graph binary;
  ASSERT_TRUE(binary.ParseFromString(golden.SerializeAsString()));
  EXPECT_EQ(GraphText(binary), text);
}

TEST_P(RecordTest, TheGraphNeedsNoPlugin) {
  KEEL_ASSERT_OK_AND_ASSIGN(Recording recording, RecordDirectory(g_plugin, GetParam()));
  const auto is_mapped = [&] {  // /proc's files have no size
    std::ifstream maps("/proc/self/maps");
    const std::string text(std::istreambuf_iterator<char>(maps), {});
    return text.find(recording.plugin->name()) != std::string::npos;
  };
  EXPECT_TRUE(is_mapped());
  recording.model.model.reset();
  if (recording.plugin->must_stay_loaded()) {  // its processor
    EXPECT_THAT(recording.plugin->Unload(),
                testing::StatusIs(absl::StatusCode::kFailedPrecondition));
  } else {
    KEEL_ASSERT_OK(recording.plugin->Unload());
    EXPECT_FALSE(is_mapped());
  }
  KEEL_EXPECT_OK(VerifyGraph(recording.model.graph));
  KEEL_EXPECT_OK(ShardGraph(recording.model.graph, {.ranks = 1}).status());
}

int Count(const proto::Graph& graph, proto::Op op) {
  int n = 0;
  for (const proto::Function& function : graph.functions()) {
    for (const proto::Node& node : function.nodes()) n += node.op() == op;
  }
  return n;
}

TEST_P(RecordTest, ItsTpPlanIsSoundForTwoRanks) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Recording recording, RecordDirectory(g_plugin, GetParam()));
  const proto::Graph& graph = recording.model.graph;
  KEEL_ASSERT_OK_AND_ASSIGN(const RankGraph rank, ShardGraph(graph, {.ranks = 2}));
  const int collectives =
      Count(rank.graph, proto::OP_ALL_REDUCE) + Count(rank.graph, proto::OP_ALL_GATHER);
  // Each layer that attends ends in a sum, unless the plan splits nothing.
  EXPECT_EQ(graph.spec().tp_plan().empty(), collectives == 0) << collectives << " collectives";
}

TEST_P(RecordTest, ItsPpPlanIsWhatItsLayersLeave) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Recording recording, RecordDirectory(g_plugin, GetParam()));
  const proto::Graph& graph = recording.model.graph;
  KEEL_EXPECT_OK(CheckPpPlan(graph));
  if (graph.spec().pp_plan().empty()) return;
  KEEL_EXPECT_OK(CutStages(graph, 2).status());
}

// ---- running -------------------------------------------------------------------------------

class ServingTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    KEEL_ASSERT_OK_AND_ASSIGN(recording_, RecordDirectory(g_plugin, GetParam()));
    // Renames are about the checkpoint's names; the random one has the declared ones.
    recording_.model.graph.mutable_spec()->clear_renames();
    auto tensors = testing::RandomTensors(recording_.model.graph, 7);
    KEEL_ASSERT_OK_AND_ASSIGN(checkpoint_, testing::WriteCheckpoint(dir_.path(), tensors));
  }

  // Logits of a prompt in two steps.
  absl::StatusOr<at::Tensor> Logits(ExecMode mode, int ranks, int stages = 1) {
    ExecutorOptions options;
    options.mode = mode;
    options.tensor_parallel = ranks;
    options.pipeline_parallel = stages;
    return Logits(options);
  }
  absl::StatusOr<at::Tensor> Logits(ExecutorOptions options) {
    options.block_size = 4;
    options.live = {recording_.model.model_class, recording_.model.model.get()};
    auto executor =
        Executor::Create(recording_.model.graph, checkpoint_, AttentionRegistry(), options);
    if (!executor.ok()) return executor.status();
    created_ = true;
    const size_t groups = (*executor)->cache_layout().groups.size();
    const std::vector<int32_t> num_blocks(groups, 8);
    if (absl::Status status = (*executor)->AllocateCache(num_blocks, 1); !status.ok())
      return status;
    const std::vector<std::vector<int32_t>> blocks(groups, {6, 2});
    Batch first{{3, 1, 4, 1, 5, 9}, {{0, 6, 0, blocks}}, {0, 1, 2, 3, 4, 5}};
    auto logits = (*executor)->Step(first);
    if (!logits.ok()) return logits.status();
    const at::Tensor head = logits->clone();
    Batch second{{2, 6}, {{6, 2, 0, blocks}}, {0, 1}};
    logits = (*executor)->Step(second);
    if (!logits.ok()) return logits.status();
    return at::cat({head, *logits});
  }

  void ExpectClose(const at::Tensor& actual, const at::Tensor& expected) {
    ASSERT_EQ(actual.sizes(), expected.sizes());
    const double difference = at::abs(actual - expected).max().item<double>();
    EXPECT_LE(difference, 1e-4 * at::abs(expected).max().item<double>());
  }

  testing::ScratchDir dir_;
  Recording recording_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  bool created_ = false;
};

TEST_P(ServingTest, IsRunInEveryWayAlikeOrRefusedByName) {
  const absl::StatusOr<at::Tensor> graph = Logits(ExecMode::kGraph, 1);
  if (!graph.ok()) {
    EXPECT_EQ(graph.status().code(), absl::StatusCode::kUnimplemented) << graph.status();
    EXPECT_FALSE(created_) << "the executor took the graph and fails in a step: " << graph.status();
    std::printf("refused: %s\n", graph.status().ToString().c_str());
    return;
  }
  EXPECT_TRUE(at::isfinite(*graph).all().item<bool>());
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor eager, Logits(ExecMode::kEager, 1));
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor shadow, Logits(ExecMode::kShadow, 1));
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor two_ranks, Logits(ExecMode::kGraph, 2));
  ExpectClose(eager, *graph);
  ExpectClose(shadow, *graph);
  ExpectClose(two_ranks, *graph);
  if (recording_.model.graph.spec().pp_plan().empty()) return;
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor two_stages, Logits(ExecMode::kGraph, 1, 2));
  KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor both, Logits(ExecMode::kGraph, 2, 2));
  EXPECT_TRUE(two_stages.equal(*graph));
  EXPECT_TRUE(both.equal(two_ranks));
}

// But where kernels go by the number of rows, which gathering early changes.
TEST_P(ServingTest, ACompiledStepGivesTheInterpretersBits) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    ExecutorOptions options;
    options.dtype = dtype;
    options.mode = ExecMode::kGraph;
    const absl::StatusOr<at::Tensor> graph = Logits(options);
    if (absl::IsUnimplemented(graph.status())) continue;
    ASSERT_TRUE(graph.ok()) << graph.status();
    options.mode = ExecMode::kCompiled;
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor gathered, Logits(options));
    options.disabled_passes = {"gather-early"};
    KEEL_ASSERT_OK_AND_ASSIGN(const at::Tensor compiled, Logits(options));
    EXPECT_TRUE(compiled.equal(*graph)) << TorchName(dtype) << ", largest difference "
                                        << at::abs(compiled - *graph).max().item<double>();
    if (dtype == DType::kF32) ExpectClose(gathered, *graph);
  }
}

std::string NameOf(const ::testing::TestParamInfo<std::string>& dir) {
  return dir.param.substr(dir.param.rfind('/') + 1);
}

INSTANTIATE_TEST_SUITE_P(All, RecordTest, ::testing::ValuesIn(g_dirs), NameOf);
INSTANTIATE_TEST_SUITE_P(All, ServingTest, ::testing::ValuesIn(g_dirs), NameOf);

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s plugin.so directory\n", argv[0]);
    return 2;
  }
  keel::g_plugin = argv[1];
  keel::g_dirs = keel::RecordedDirectories(argv[2]);
  if (keel::g_dirs.empty()) {
    std::fprintf(stderr, "%s: no graph.textproto; ./bazelw run //tests/recorded:update\n", argv[2]);
    return 2;
  }
  ::testing::InitGoogleTest(&argc, argv);  // makes the tests, one for each directory
  return RUN_ALL_TESTS();
}
