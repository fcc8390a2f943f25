// Arguments: [--rounds=N] and directories with goldens, or testdata of families. Graph files that were
// changed, as a host takes them: read, verified, run over the weights that the unchanged graph has.
// Each is refused or served; none ends the process, and none that is served lets one sequence of a
// batch reach another. Seeded: a failure comes again.
#include <ATen/core/Tensor.h>

#include <cstdio>
#include <cstring>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/attention/registry.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "core/exec/executor.h"
#include "core/graph/graph_file.h"
#include "core/weights/testing.h"
#include "gtest/gtest.h"
#include "tests/recorded/graph_mutation.h"
#include "tests/recorded/recording.h"

namespace keel {
namespace {

constexpr int32_t kBlockSize = 4;

int g_rounds = 200;  // for a golden
std::vector<std::string> g_dirs;

using Sequences = std::vector<std::vector<int32_t>>;

// A golden that this host runs, with random weights.
struct Model {
  proto::Graph graph;
  std::shared_ptr<const Checkpoint> checkpoint;
};

absl::StatusOr<std::unique_ptr<Executor>> Open(const Model& model, const proto::Graph& graph) {
  ExecutorOptions options;
  options.block_size = kBlockSize;
  options.deterministic = true;
  return Executor::Create(graph, model.checkpoint, AttentionRegistry(), options);
}

// Logits of every token of a batch of whole sequences.
absl::StatusOr<at::Tensor> Logits(Executor& executor, const Sequences& sequences) {
  const size_t groups = executor.cache_layout().groups.size();
  const std::vector<int32_t> blocks(groups, 16);
  const auto slots = static_cast<int32_t>(sequences.size());
  if (absl::Status status = executor.AllocateCache(blocks, slots); !status.ok()) return status;
  Batch batch;
  int32_t next = 0;
  for (int32_t i = 0; i < slots; ++i) {
    const std::vector<int32_t>& ids = sequences[static_cast<size_t>(i)];
    const std::vector<int32_t> own = {next, next + 1};
    next += 2;
    const int32_t slot = executor.cache_layout().state_bytes > 0 ? i : -1;
    batch.sequences.push_back(
        {0, static_cast<int32_t>(ids.size()), slot, std::vector(groups, own)});
    for (const int32_t id : ids) {
      batch.logit_rows.push_back(static_cast<int32_t>(batch.token_ids.size()));
      batch.token_ids.push_back(id);
    }
  }
  absl::StatusOr<at::Tensor> out = executor.Step(batch);
  if (!out.ok()) return out.status();
  return out->clone();
}

bool SameRows(const at::Tensor& a, const at::Tensor& b, int64_t row, int64_t rows) {
  const int64_t vocab = a.size(1);
  return std::memcmp(a.const_data_ptr<float>() + row * vocab,
                     b.const_data_ptr<float>() + row * vocab,
                     static_cast<size_t>(rows * vocab) * sizeof(float)) == 0;
}

enum class Outcome { kNotRead, kNotLoaded, kNotRun, kServed, kMixed };
constexpr const char* kOutcomes[] = {"not read", "not loaded", "not run", "served", "mixed"};

// What becomes of a file: the sequence in the middle changes, the others may not.
Outcome Serve(const Model& model, const std::string& file) {
  const absl::StatusOr<proto::Graph> graph = ParseGraphFile(file);
  if (!graph.ok()) return Outcome::kNotRead;
  const auto executor = Open(model, *graph);
  if (!executor.ok()) return Outcome::kNotLoaded;
  const std::vector<int32_t> first = {3, 1, 4, 1, 5}, last = {9, 2, 6};
  const auto a = Logits(**executor, {first, {7, 7, 7, 7}, last});
  if (!a.ok()) return Outcome::kNotRun;
  const auto b = Logits(**executor, {first, {11, 90, 3, 25}, last});
  if (!b.ok()) return Outcome::kNotRun;
  return SameRows(*a, *b, 0, 5) && SameRows(*a, *b, 9, 3) ? Outcome::kServed : Outcome::kMixed;
}

TEST(GraphFileFuzzTest, ChangedFilesAreRefusedOrServedWithRowsApart) {
  std::vector<Model> models;
  std::vector<std::unique_ptr<testing::ScratchDir>> dirs;
  for (const std::string& dir : g_dirs) {
    const std::string path = JoinPath(dir, "graph.textproto");
    KEEL_ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(path));
    KEEL_ASSERT_OK_AND_ASSIGN(proto::Graph graph, ParseGraphText(text, path));
    graph.mutable_spec()->clear_renames();  // they are about another checkpoint's names
    dirs.push_back(std::make_unique<testing::ScratchDir>());
    KEEL_ASSERT_OK_AND_ASSIGN(
        std::shared_ptr<const Checkpoint> checkpoint,
        testing::WriteCheckpoint(dirs.back()->path(), testing::RandomTensors(graph, 5)));
    Model model{std::move(graph), std::move(checkpoint)};
    if (Serve(model, SerializeGraphFile(model.graph)) == Outcome::kServed)
      models.push_back(std::move(model));
  }
  ASSERT_GE(models.size(), 5u) << "too few goldens are served to say anything";

  std::mt19937 random(20261129);
  int outcomes[std::size(kOutcomes)] = {};
  for (const Model& model : models) {
    const std::string bytes = SerializeGraphFile(model.graph);
    for (int round = 0; round < g_rounds; ++round) {
      std::string file;
      if (round % 4 == 0) {
        file = testing::Mutate(bytes, random);
      } else {
        proto::Graph graph = model.graph;
        for (uint32_t i = 0, n = 1 + random() % 2; i < n; ++i) ChangeField(&graph, random);
        file = SerializeGraphFile(graph);
      }
      const Outcome outcome = Serve(model, file);
      ++outcomes[static_cast<int>(outcome)];
      EXPECT_NE(outcome, Outcome::kMixed) << "round " << round;
    }
  }
  for (size_t i = 0; i < std::size(kOutcomes); ++i)
    std::printf("%s: %d\n", kOutcomes[i], outcomes[i]);
  EXPECT_GT(outcomes[static_cast<int>(Outcome::kServed)], 0);
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (absl::ConsumePrefix(&argument, "--rounds=")) {
      if (!absl::SimpleAtoi(argument, &keel::g_rounds)) return 2;
      continue;
    }
    const std::vector<std::string> dirs = keel::RecordedDirectories(argv[i]);
    keel::g_dirs.insert(keel::g_dirs.end(), dirs.begin(), dirs.end());
  }
  if (keel::g_dirs.empty()) {
    std::fprintf(stderr, "usage: %s [--rounds=N] directory ...\n", argv[0]);
    return 2;
  }
  return RUN_ALL_TESTS();
}
